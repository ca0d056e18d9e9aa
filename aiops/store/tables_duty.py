"""Who does what among several engines on one store: leases of runs, news of runs, and the leader."""

import sqlalchemy as sa

from aiops.store.columns import own_id, table
from aiops.store.vault import SealedBytes

lease = table(
    "lease",
    sa.Column("run_id", sa.ForeignKey("run.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    sa.Column("owner", sa.String(64), nullable=False),
    # Counts the owners; who writes under an older one has been taken over from
    sa.Column("epoch", sa.Integer, nullable=False),
    # By the clock of the store
    sa.Column("until", sa.Float, nullable=False),
)

notice = table(
    "notice",
    own_id(),
    sa.Column("run_id", sa.ForeignKey("run.id", ondelete="CASCADE"), nullable=False, index=True),
    # What the run's problem has not heard of yet
    sa.Column("state", sa.String(24), nullable=False),
)

leadership = table(
    "leadership",
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    # Counts the leaders; who writes under an older one leads no more
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("owner", sa.String(64), nullable=False),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("since", sa.Float, nullable=False),
)

spool = table(
    "spool",
    # Counts requests in the order in which they took effect
    sa.Column(
        "number",
        sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
        primary_key=True,
        autoincrement=False,
    ),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("headers", sa.JSON, nullable=False),
    sa.Column("body", SealedBytes, nullable=False),
)
