"""API tokens: shown once, stored as SHA-256, compared in constant time."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from aiops.store import audit
from aiops.store.tables import token

PREFIX = "fw_"
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_DIGITS = 43
"""Base-62 digits that hold 32 random bytes: 43 * log2(62) = 256.03 bits."""
_USED_EVERY = 60.0
"""`last_used` is written at most this often (s), so that checking a token is nearly always a read."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a token speaks for."""

    token_id: int
    name: str
    stale: bool = False
    """Whether `touch` is due."""


def create(conn: Connection, name: str, at: float, by: str = audit.ACTOR) -> str:
    """A new token in plain text, never to be read again: only its digest is stored. ``at``: epoch s."""
    number = int.from_bytes(secrets.token_bytes(32), "big")
    digits = []
    for _ in range(_DIGITS):
        number, rest = divmod(number, 62)
        digits.append(_ALPHABET[rest])
    plain = PREFIX + "".join(reversed(digits))
    row = conn.execute(token.insert().values(name=name, digest=_digest(plain), created=at))
    audit.note(
        conn,
        at=at,
        entity="token",
        entity_id=(row.inserted_primary_key or (0,))[0],
        current="",
        to="created",
        reason=name,
        actor=by,
    )
    return plain


def verify(conn: Connection, plain: str, at: float) -> Principal | None:
    """Whom `plain` speaks for, or None. All digests are compared, each in constant time."""
    wanted = _digest(plain)
    found = None
    for row in conn.execute(sa.select(token)).mappings():
        if hmac.compare_digest(row["digest"], wanted):
            found = Principal(row["id"], row["name"], at - (row["last_used"] or 0.0) >= _USED_EVERY)
    return found


def touch(conn: Connection, token_id: int, at: float) -> None:
    """Note that the token was used at `at` (epoch s)."""
    conn.execute(token.update().where(token.c.id == token_id).values(last_used=at))


def holder(conn: Connection, token_id: int) -> Principal | None:
    """Whom the token with this id speaks for; None once it was revoked."""
    row = conn.execute(sa.select(token.c.id, token.c.name).where(token.c.id == token_id)).first()
    return Principal(row.id, row.name) if row else None


def revoke(conn: Connection, token_id: int, at: float, by: str = audit.ACTOR) -> bool:
    """Delete the token, and with it every session it opened; False when there is none."""
    gone = conn.execute(token.delete().where(token.c.id == token_id)).rowcount
    if gone:
        audit.note(
            conn,
            at=at,
            entity="token",
            entity_id=token_id,
            current="created",
            to="revoked",
            reason="by hand",
            actor=by,
        )
    return bool(gone)


def listed(conn: Connection) -> list[dict[str, Any]]:
    """All of them, without what would open a door: ``id, name, created, last_used``."""
    columns = (token.c.id, token.c.name, token.c.created, token.c.last_used)
    return [dict(row) for row in conn.execute(sa.select(*columns).order_by(token.c.id)).mappings()]


def exist(conn: Connection) -> bool:
    """Whether there is any token: the first start makes one."""
    return conn.execute(sa.select(token.c.id).limit(1)).first() is not None


def _digest(plain: str) -> str:
    return hashlib.sha256(plain.encode()).hexdigest()
