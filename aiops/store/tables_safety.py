"""What keeps remediation in hand: holds, approvals of runs, and the seals of the audit trail."""

import sqlalchemy as sa

from aiops.store.columns import own_id, table

hold = table(
    "hold",
    own_id(),
    # The playbook that may not act, or empty: none may
    sa.Column("playbook", sa.Text, nullable=False, server_default=""),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("made", sa.Float, nullable=False),
    sa.Column("made_by", sa.Text, nullable=False),
    sa.Column("lifted", sa.Float, index=True),
    sa.Column("lifted_by", sa.Text, nullable=False, server_default=""),
)

approval = table(
    "approval",
    own_id(),
    sa.Column("run_id", sa.ForeignKey("run.id", ondelete="CASCADE"), nullable=False),
    sa.Column("given_by", sa.Text, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
    sa.UniqueConstraint("run_id", "given_by"),
)

seal = table(
    "seal",
    own_id(),
    # No foreign key: the seal outlives the row that retention takes away
    sa.Column("audit_id", sa.Integer, nullable=False, unique=True),
    # SHA-256, hex: of the row, and of the seal before with that
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("chain", sa.String(64), nullable=False),
)
