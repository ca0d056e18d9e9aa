"""roles, scopes and ends of tokens; accounts; sessions"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("token", sa.Column("role", sa.String(16), nullable=False, server_default="admin"))
    op.add_column("token", sa.Column("scopes", sa.Text(), nullable=False, server_default=""))
    op.add_column("token", sa.Column("expires", sa.Float(), nullable=True))
    op.add_column("token", sa.Column("made_by", sa.Text(), nullable=False, server_default=""))
    op.create_table(
        "account",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("password", sa.Text(), server_default="", nullable=False),
        sa.Column("issuer", sa.String(300), server_default="", nullable=False),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("made", sa.Float(), nullable=False),
        sa.Column("last_in", sa.Float(), nullable=True),
        sa.Column("closed", sa.Float(), nullable=True),
        sa.Column("team", sa.Text(), server_default="default", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account")),
        sa.UniqueConstraint("name", name=op.f("uq_account_name")),
        sa.UniqueConstraint("issuer", "subject", name=op.f("uq_account_issuer_subject")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_account_team"), "account", ["team"])
    op.create_table(
        "session",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("token_id", sa.Integer(), nullable=True),
        sa.Column("account_id", sa.Integer(), nullable=True),
        sa.Column("opened", sa.Float(), nullable=False),
        sa.Column("seen", sa.Float(), nullable=False),
        sa.Column("expires", sa.Float(), nullable=False),
        sa.Column("team", sa.Text(), server_default="default", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_session")),
        sa.UniqueConstraint("digest", name=op.f("uq_session_digest")),
        sa.ForeignKeyConstraint(
            ["token_id"], ["token.id"], name=op.f("fk_session_token_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_session_account_id"), ondelete="CASCADE"
        ),
        sqlite_autoincrement=True,
    )
    for column in ("account_id", "team", "token_id"):
        op.create_index(op.f(f"ix_session_{column}"), "session", [column])


def downgrade() -> None:
    op.drop_table("session")
    op.drop_table("account")
    for name in ("made_by", "expires", "scopes", "role"):
        op.drop_column("token", name)
