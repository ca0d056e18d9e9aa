"""What people and likeness say about problems: links, marks, traits; and answers kept for repeats."""

import sqlalchemy as sa

from aiops.store.columns import own_id, problem_id, table

link = table(
    "link",
    own_id(),
    problem_id(),
    problem_id(name="other_id"),
    # merged (the problem went into the other), split (it came out of the other), related
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("note", sa.Text, nullable=False, server_default=""),
    sa.Column("made", sa.Float, nullable=False),
    sa.Column("made_by", sa.Text, nullable=False),
    sa.UniqueConstraint("problem_id", "other_id", "kind"),
)

mark = table(
    "mark",
    own_id(),
    # A mark is learnt from long after its problem was purged: its evidence stands by itself
    sa.Column("problem_id", sa.ForeignKey("problem.id", ondelete="SET NULL"), nullable=True, index=True),
    sa.Column("problem_key", sa.String(64), nullable=False),
    sa.Column("verdict", sa.String(16), nullable=False),
    sa.Column("note", sa.Text, nullable=False, server_default=""),
    sa.Column("made", sa.Float, nullable=False, index=True),
    sa.Column("made_by", sa.Text, nullable=False),
    sa.Column("evidence", sa.JSON, nullable=False),
)

trait = table(
    "trait",
    sa.Column("problem_id", sa.ForeignKey("problem.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("text", sa.String(300), primary_key=True),
    sa.Index("ix_trait_text_problem_id", "text", "problem_id"),
)

likeness = table(
    "likeness",
    sa.Column("problem_id", sa.ForeignKey("problem.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("other_id", sa.ForeignKey("problem.id", ondelete="CASCADE"), primary_key=True, index=True),
    sa.Column("score", sa.Float, nullable=False),
    sa.Column("because", sa.Text, nullable=False),
)

answer = table(
    "answer",
    # An Idempotency-Key, as its holder gave it
    sa.Column("key", sa.String(255), primary_key=True),
    sa.Column("holder", sa.String(64), primary_key=True),
    sa.Column("asked", sa.String(64), nullable=False),
    sa.Column("at", sa.Float, nullable=False, index=True),
    # Null while the first request is under way
    sa.Column("status", sa.Integer),
    sa.Column("media_type", sa.String(64), nullable=False, server_default=""),
    sa.Column("body", sa.Text, nullable=False, server_default=""),
)
