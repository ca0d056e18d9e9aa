"""teams that tokens and accounts are for; a silence that was made for all of them says so"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    for table in ("token", "account"):
        op.add_column(table, sa.Column("teams", sa.Text(), server_default="", nullable=False))
    op.execute(sa.table("silence", sa.column("team", sa.Text)).update().values(team="*"))


def downgrade() -> None:
    op.execute(sa.table("silence", sa.column("team", sa.Text)).update().values(team="default"))
    for table in ("token", "account"):
        op.drop_column(table, "teams")
