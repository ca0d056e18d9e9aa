"""links, marks, traits and likeness of problems; answers kept for repeats"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "answer",
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("holder", sa.String(length=64), nullable=False),
        sa.Column("asked", sa.String(length=64), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("media_type", sa.String(length=64), server_default="", nullable=False),
        sa.Column("body", sa.Text(), server_default="", nullable=False),
        sa.Column("team", sa.Text(), server_default="default", nullable=False),
        sa.PrimaryKeyConstraint("key", "holder", name=op.f("pk_answer")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("answer", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_answer_at"), ["at"], unique=False)
        batch_op.create_index(batch_op.f("ix_answer_team"), ["team"], unique=False)

    op.create_table(
        "likeness",
        sa.Column("problem_id", sa.Integer(), nullable=False),
        sa.Column("other_id", sa.Integer(), nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("because", sa.Text(), nullable=False),
        sa.Column("team", sa.Text(), server_default="default", nullable=False),
        sa.ForeignKeyConstraint(
            ["other_id"], ["problem.id"], name=op.f("fk_likeness_other_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["problem_id"], ["problem.id"], name=op.f("fk_likeness_problem_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("problem_id", "other_id", name=op.f("pk_likeness")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("likeness", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_likeness_other_id"), ["other_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_likeness_team"), ["team"], unique=False)

    op.create_table(
        "link",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("problem_id", sa.Integer(), nullable=False),
        sa.Column("other_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("made", sa.Float(), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("team", sa.Text(), server_default="default", nullable=False),
        sa.ForeignKeyConstraint(
            ["other_id"], ["problem.id"], name=op.f("fk_link_other_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["problem_id"], ["problem.id"], name=op.f("fk_link_problem_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_link")),
        sa.UniqueConstraint("problem_id", "other_id", "kind", name=op.f("uq_link_problem_id_other_id_kind")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("link", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_link_other_id"), ["other_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_link_problem_id"), ["problem_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_link_team"), ["team"], unique=False)

    op.create_table(
        "mark",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("problem_id", sa.Integer(), nullable=True),
        sa.Column("problem_key", sa.String(length=64), nullable=False),
        sa.Column("verdict", sa.String(length=16), nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("made", sa.Float(), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("team", sa.Text(), server_default="default", nullable=False),
        sa.ForeignKeyConstraint(
            ["problem_id"], ["problem.id"], name=op.f("fk_mark_problem_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mark")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("mark", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_mark_made"), ["made"], unique=False)
        batch_op.create_index(batch_op.f("ix_mark_problem_id"), ["problem_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_mark_team"), ["team"], unique=False)

    op.create_table(
        "trait",
        sa.Column("problem_id", sa.Integer(), nullable=False),
        sa.Column("text", sa.String(length=300), nullable=False),
        sa.Column("team", sa.Text(), server_default="default", nullable=False),
        sa.ForeignKeyConstraint(
            ["problem_id"], ["problem.id"], name=op.f("fk_trait_problem_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("problem_id", "text", name=op.f("pk_trait")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("trait", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_trait_team"), ["team"], unique=False)
        batch_op.create_index("ix_trait_text_problem_id", ["text", "problem_id"], unique=False)
    op.add_column("problem", sa.Column("flaps", sa.Integer(), server_default="0", nullable=False))
    op.add_column("problem", sa.Column("snoozed_until", sa.Float(), nullable=True))
    op.add_column(
        "problem", sa.Column("merged_into", sa.String(length=64), server_default="", nullable=False)
    )
    op.add_column("problem", sa.Column("verdict", sa.String(length=16), server_default="", nullable=False))


def downgrade() -> None:
    for name in ("verdict", "merged_into", "snoozed_until", "flaps"):
        op.drop_column("problem", name)
    for name in ("trait", "mark", "link", "likeness", "answer"):
        op.drop_table(name)
