"""Who may come in: tokens, accounts, and the sessions that either opened."""

import sqlalchemy as sa

from aiops.store.columns import own_id, table

token = table(
    "token",
    own_id(),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("digest", sa.String(128), nullable=False, unique=True),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("last_used", sa.Float),
    sa.Column("role", sa.String(16), nullable=False, server_default="admin"),
    # Names of rooms of the API, separated by spaces; empty: all of them
    sa.Column("scopes", sa.Text, nullable=False, server_default=""),
    # Names of teams, separated by spaces; empty: all of them
    sa.Column("teams", sa.Text, nullable=False, server_default=""),
    sa.Column("expires", sa.Float),
    sa.Column("made_by", sa.Text, nullable=False, server_default=""),
)

account = table(
    "account",
    own_id(),
    sa.Column("name", sa.String(100), nullable=False, unique=True),
    sa.Column("role", sa.String(16), nullable=False),
    # As of a token
    sa.Column("teams", sa.Text, nullable=False, server_default=""),
    # In argon2's own format; empty: signs in elsewhere
    sa.Column("password", sa.Text, nullable=False, server_default=""),
    # Of OpenID Connect; a local account has its own name as its subject
    sa.Column("issuer", sa.String(300), nullable=False, server_default=""),
    sa.Column("subject", sa.String(255), nullable=False),
    sa.Column("made", sa.Float, nullable=False),
    sa.Column("last_in", sa.Float),
    sa.Column("closed", sa.Float),
    sa.UniqueConstraint("issuer", "subject"),
)

session = table(
    "session",
    own_id(),
    sa.Column("digest", sa.String(64), nullable=False, unique=True),
    sa.Column("token_id", sa.ForeignKey("token.id", ondelete="CASCADE"), index=True),
    sa.Column("account_id", sa.ForeignKey("account.id", ondelete="CASCADE"), index=True),
    sa.Column("opened", sa.Float, nullable=False),
    sa.Column("seen", sa.Float, nullable=False),
    sa.Column("expires", sa.Float, nullable=False),
)
