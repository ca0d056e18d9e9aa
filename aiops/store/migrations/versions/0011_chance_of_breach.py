"""how likely a foretold breach is, and within what time"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

COLUMNS = ("breach_chance", "breach_within")


def upgrade() -> None:
    for table in ("alert", "problem"):
        for name in COLUMNS:
            op.add_column(table, sa.Column(name, sa.Float(), nullable=True))


def downgrade() -> None:
    for table in ("alert", "problem"):
        for name in COLUMNS:
            op.drop_column(table, name)
