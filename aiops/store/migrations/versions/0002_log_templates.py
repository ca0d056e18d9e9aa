"""log templates"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "log_template",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("level", sa.String(length=16), server_default="", nullable=False),
        sa.Column("lines", sa.BigInteger(), nullable=False),
        sa.Column("first_seen", sa.Float(), nullable=False),
        sa.Column("last_seen", sa.Float(), nullable=False),
        sa.Column("merged_into", sa.String(length=32), nullable=True),
        sa.Column("team", sa.Text(), server_default="default", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_log_template")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("log_template", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_log_template_last_seen"), ["last_seen"], unique=False)
        batch_op.create_index(batch_op.f("ix_log_template_team"), ["team"], unique=False)
        batch_op.create_index("uq_log_template", ["name", "team"], unique=True)


def downgrade() -> None:
    op.drop_table("log_template")
