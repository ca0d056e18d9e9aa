"""What keeps remediation in hand: holds, approvals of runs, and the seals of the audit trail."""

from typing import Any

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


def terms_of_a_run() -> list[sa.Column[Any]]:
    """What a run was queued under, fixed then: who asked and who may approve, and where it would act."""
    return [
        sa.Column("asked_by", sa.Text, nullable=False, server_default=""),
        sa.Column("needs", sa.Integer, nullable=False, server_default="1"),
        sa.Column("approvers", sa.JSON),
        sa.Column("expires", sa.Float),
        # What each step would do, in words: what an approval is given for
        sa.Column("plan", sa.JSON),
        sa.Column("service", sa.Text, nullable=False, server_default="", index=True),
        sa.Column("domain", sa.Text, nullable=False, server_default=""),
        sa.Column("replicas", sa.Integer, nullable=False, server_default="0"),
        sa.Column("not_before", sa.Float, nullable=False, server_default="0"),
        # Whether its end has counted as evidence for its playbook
        sa.Column("weighed", sa.Boolean, nullable=False, server_default=sa.false(), index=True),
    ]


autonomy = table(
    "autonomy",
    own_id(),
    sa.Column("playbook", sa.Text, nullable=False),
    sa.Column("service", sa.Text, nullable=False),
    sa.Column("level", sa.String(16), nullable=False),
    # Pieces of evidence in a row since the level was reached
    sa.Column("streak", sa.Integer, nullable=False, server_default="0"),
    sa.Column("since", sa.Float, nullable=False),
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
    # Who fixed the level, whatever the evidence; empty: nobody
    sa.Column("pinned_by", sa.Text, nullable=False, server_default=""),
    sa.UniqueConstraint("playbook", "service"),
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
