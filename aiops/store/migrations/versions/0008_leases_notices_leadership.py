"""leases of runs, news of runs for their problems, and who leads"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def _team() -> sa.Column[str]:
    return sa.Column("team", sa.Text(), server_default="default", nullable=False)


def upgrade() -> None:
    op.create_table(
        "lease",
        sa.Column("run_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("until", sa.Float(), nullable=False),
        _team(),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_lease_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_lease")),
    )
    op.create_table(
        "notice",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        _team(),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_notice_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notice")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "leadership",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("since", sa.Float(), nullable=False),
        _team(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_leadership")),
    )
    for name, column in (("lease", "team"), ("notice", "run_id"), ("notice", "team"), ("leadership", "team")):
        op.create_index(op.f(f"ix_{name}_{column}"), name, [column], unique=False)
    # What an engine of the former version had not told when it was stopped
    op.execute(
        """
        INSERT INTO notice (run_id, state)
        SELECT run.id, run.state FROM run JOIN problem ON problem.id = run.problem_id
        WHERE problem.state = 'remediating'
          AND run.state NOT IN ('queued', 'awaiting_approval', 'running', 'verifying')
          AND run.id = (SELECT max(other.id) FROM run AS other WHERE other.problem_id = problem.id)
        """
    )


def downgrade() -> None:
    for name in ("leadership", "notice", "lease"):
        op.drop_table(name)
