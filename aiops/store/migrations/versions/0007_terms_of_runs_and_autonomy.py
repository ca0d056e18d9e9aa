"""what a run was queued under, and the autonomy that playbooks have earned"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def _terms() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("asked_by", sa.Text(), server_default="", nullable=False),
        sa.Column("needs", sa.Integer(), server_default="1", nullable=False),
        sa.Column("approvers", sa.JSON(), nullable=True),
        sa.Column("expires", sa.Float(), nullable=True),
        sa.Column("plan", sa.JSON(), nullable=True),
        sa.Column("service", sa.Text(), server_default="", nullable=False),
        sa.Column("domain", sa.Text(), server_default="", nullable=False),
        sa.Column("replicas", sa.Integer(), server_default="0", nullable=False),
        sa.Column("not_before", sa.Float(), server_default="0", nullable=False),
    )


def upgrade() -> None:
    for column in _terms():
        op.add_column("run", column)
    op.create_index(op.f("ix_run_service"), "run", ["service"], unique=False)
    op.create_table(
        "autonomy",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("playbook", sa.Text(), nullable=False),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("level", sa.String(length=16), nullable=False),
        sa.Column("streak", sa.Integer(), server_default="0", nullable=False),
        sa.Column("since", sa.Float(), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("pinned_by", sa.Text(), server_default="", nullable=False),
        sa.Column("team", sa.Text(), server_default="default", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_autonomy")),
        sa.UniqueConstraint("playbook", "service", name=op.f("uq_autonomy_playbook_service")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("autonomy", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_autonomy_team"), ["team"], unique=False)


def downgrade() -> None:
    op.drop_table("autonomy")
    op.drop_index(op.f("ix_run_service"), table_name="run")
    for column in _terms():
        op.drop_column("run", column.name)
