"""whether a run's end has counted as evidence for its playbook"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("run", sa.Column("weighed", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_index(op.f("ix_run_weighed"), "run", ["weighed"], unique=False)
    # What had ended before anybody weighed it says nothing of how its playbook does now
    run = sa.table("run", sa.column("weighed", sa.Boolean))
    op.execute(run.update().values(weighed=True))


def downgrade() -> None:
    op.drop_index(op.f("ix_run_weighed"), "run")
    op.drop_column("run", "weighed")
