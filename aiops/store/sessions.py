"""Sessions of the console: a random cookie, of which only the digest is stored."""

import hashlib
import secrets
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from aiops.store import accounts, tokens
from aiops.store.tables import account, session
from aiops.store.tokens import Principal

LIFETIME = 12 * 3600.0
"""Seconds until a person signs in again, whatever was done: one shift."""
IDLE = 4 * 3600.0
"""Seconds without a request after which a session has ended."""
SEEN_EVERY = 300.0
"""Seconds between two notes that a session is in use."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A session that holds, and whose it is. ``stale``: `seen` is due."""

    id: int
    who: Principal
    stale: bool


def start(conn: Connection, at: float, token_id: int = 0, account_id: int = 0) -> str:
    """The cookie's value of a new session of a token or of an account; ``at``: epoch s.

    What has ended is swept out.
    """
    conn.execute(session.delete().where((session.c.expires <= at) | (session.c.seen <= at - IDLE)))
    plain = secrets.token_urlsafe(32)
    values = {"token_id": token_id or None, "account_id": account_id or None}
    conn.execute(
        session.insert().values(digest=_digest(plain), opened=at, seen=at, expires=at + LIFETIME, **values)
    )
    if account_id:
        conn.execute(account.update().where(account.c.id == account_id).values(last_in=at))
    return plain


def find(conn: Connection, plain: str, at: float) -> Signed | None:
    """The session that a cookie names, unless it has ended, or its token or account has."""
    row = conn.execute(sa.select(session).where(session.c.digest == _digest(plain))).mappings().first()
    if row is None or at >= row["expires"] or at - row["seen"] >= IDLE:
        return None
    if row["account_id"] is not None:
        who = accounts.holder(conn, row["account_id"])
    else:
        who = tokens.holder(conn, row["token_id"], at)
    return Signed(row["id"], who, at - row["seen"] >= SEEN_EVERY) if who else None


def seen(conn: Connection, ident: int, at: float) -> None:
    """Note that it is in use at `at` (epoch s)."""
    conn.execute(session.update().where(session.c.id == ident).values(seen=at))


def end(conn: Connection, ident: int) -> None:
    """Its cookie opens nothing any more."""
    conn.execute(session.delete().where(session.c.id == ident))


def _digest(plain: str) -> str:
    return hashlib.sha256(plain.encode()).hexdigest()
