"""Likely causes of problems, and the changes that may have brought them."""

import sqlalchemy as sa

from aiops.store.columns import own_id, table

cause = table(
    "cause",
    sa.Column("problem_id", sa.ForeignKey("problem.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("known", sa.Boolean, nullable=False),
    sa.Column("because", sa.Text, nullable=False),
    # [{"component", "score", "share", "reasons": [...], "counterfactual"}], the likeliest first
    sa.Column("ranked", sa.JSON, nullable=False),
)

change = table(
    "change",
    own_id(),
    sa.Column("time", sa.Float, nullable=False, index=True),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("labels", sa.JSON, nullable=False),
    sa.Column("url", sa.Text, nullable=False, server_default=""),
    sa.Column("detail", sa.JSON, nullable=False),
)
