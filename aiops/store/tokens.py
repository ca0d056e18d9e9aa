"""API tokens: shown once, stored as SHA-256, compared in constant time."""

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from aiops.model.role import Role
from aiops.store import audit
from aiops.store.tables import token

PREFIX = "fw_"
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_DIGITS = 43
"""Base-62 digits that hold 32 random bytes: 43 * log2(62) = 256.03 bits."""
GIVEN = "configuration"
"""Maker of tokens that are given."""
SHORTEST = 32
"""Characters of a token that is given."""
_USED_EVERY = 60.0
"""`last_used` is written at most this often (s), so that checking a token is nearly always a read."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: what a token, or the account that signed in, speaks for."""

    token_id: int
    """0: an account, not a token."""
    name: str
    stale: bool = False
    """Whether `touch` is due."""
    role: Role = Role.ADMIN
    scopes: frozenset[str] = frozenset()
    """Rooms of the API; empty: all of them."""
    account_id: int = 0
    teams: frozenset[str] = frozenset()
    """Whose it sees, and acts on; empty: everybody's."""

    def may(self, role: Role) -> bool:
        return self.role.covers(role)


def create(
    conn: Connection,
    name: str,
    at: float,
    by: str = audit.ACTOR,
    role: Role = Role.ADMIN,
    scopes: Iterable[str] = (),
    expires: float | None = None,
    teams: Iterable[str] = (),
) -> str:
    """A new token in plain text, never to be read again: only its digest is stored.

    ``at`` and ``expires`` (None: never): epoch s. ``scopes``: rooms of the API; none: all of them. ``teams``:
    as of `Principal`.
    """
    number = int.from_bytes(secrets.token_bytes(32), "big")
    digits = []
    for _ in range(_DIGITS):
        number, rest = divmod(number, 62)
        digits.append(_ALPHABET[rest])
    plain = PREFIX + "".join(reversed(digits))
    rooms, theirs = " ".join(sorted(set(scopes))), " ".join(sorted(set(teams)))
    values = {"name": name, "digest": _digest(plain), "created": at, "made_by": by}
    row = conn.execute(
        token.insert().values(**values, role=role, scopes=rooms, teams=theirs, expires=expires)
    )
    reason = (
        f"{name}: {role.value}" + (f", only {rooms}" if rooms else "") + (f", of {theirs}" if theirs else "")
    )
    _note(conn, at, (row.inserted_primary_key or (0,))[0], "", "created", reason, by)
    return plain


def give(conn: Connection, name: str, plain: str, at: float) -> None:
    """Make `plain`, which somebody chose, the admin's token called `name`; another of that name is no more.

    Raises ValueError for one that could be guessed.
    """
    if len(plain) < SHORTEST:
        raise ValueError(
            f"the token of the {name} has {len(plain)} characters; give at least {SHORTEST} random ones"
        )
    digest = _digest(plain)
    given = sa.select(token.c.id, token.c.digest).where(token.c.name == name, token.c.made_by == GIVEN)
    for row in conn.execute(given).all():
        if row.digest == digest:
            return
        revoke(conn, row.id, at)
    values = {
        "name": name,
        "digest": digest,
        "created": at,
        "made_by": GIVEN,
        "role": Role.ADMIN,
        "scopes": "",
    }
    try:
        with conn.begin_nested():
            made = conn.execute(token.insert().values(**values))
    except sa.exc.IntegrityError:
        return  # another engine, starting at the same moment, has given it
    _note(conn, at, (made.inserted_primary_key or (0,))[0], "", "created", f"{name}: admin", GIVEN)


def verify(conn: Connection, plain: str, at: float) -> Principal | None:
    """Whom `plain` speaks for at `at` (epoch s), or None. Digests are compared in constant time."""
    wanted = _digest(plain)
    # The digest is not the secret: finding its row by it tells nobody how to make one
    row = conn.execute(sa.select(token).where(token.c.digest == wanted)).mappings().first()
    if row is None or not hmac.compare_digest(row["digest"], wanted) or _over(row["expires"], at):
        return None
    return _principal(row, at - (row["last_used"] or 0.0) >= _USED_EVERY)


def _principal(row: Any, stale: bool = False) -> Principal:
    scopes = frozenset(row["scopes"].split())
    return Principal(
        row["id"], row["name"], stale, Role(row["role"]), scopes, 0, frozenset(row["teams"].split())
    )


def _over(expires: float | None, at: float) -> bool:
    return expires is not None and at >= expires


def touch(conn: Connection, token_id: int, at: float) -> None:
    """Note that the token was used at `at` (epoch s)."""
    conn.execute(token.update().where(token.c.id == token_id).values(last_used=at))


def holder(conn: Connection, token_id: int, at: float) -> Principal | None:
    """Whom the token with this id speaks for at `at` (epoch s); None once it was revoked or has expired."""
    row = conn.execute(sa.select(token).where(token.c.id == token_id)).mappings().first()
    return None if row is None or _over(row["expires"], at) else _principal(row)


def revoke(conn: Connection, token_id: int, at: float, by: str = audit.ACTOR) -> bool:
    """Delete the token, and with it every session it opened; False when there is none."""
    gone = conn.execute(token.delete().where(token.c.id == token_id)).rowcount
    if gone:
        _note(conn, at, token_id, "created", "revoked", "by hand", by)
    return bool(gone)


def listed(conn: Connection) -> list[dict[str, Any]]:
    """All of them, without what would open a door."""
    columns = (
        token.c.id,
        token.c.name,
        token.c.created,
        token.c.last_used,
        token.c.role,
        token.c.scopes,
        token.c.teams,
        token.c.expires,
        token.c.made_by,
    )
    rows = conn.execute(sa.select(*columns).order_by(token.c.id)).mappings()
    return [{**row, "scopes": row["scopes"].split(), "teams": row["teams"].split()} for row in rows]


def exist(conn: Connection) -> bool:
    """Whether there is any token: the first start makes one."""
    return conn.execute(sa.select(token.c.id).limit(1)).first() is not None


def _digest(plain: str) -> str:
    return hashlib.sha256(plain.encode()).hexdigest()


def _note(conn: Connection, at: float, ident: int, current: str, to: str, reason: str, by: str) -> None:
    audit.note(conn, at=at, entity="token", entity_id=ident, current=current, to=to, reason=reason, actor=by)
