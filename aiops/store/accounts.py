"""Accounts: people who sign in with a password, or through OpenID Connect."""

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from aiops.model.role import Role
from aiops.store import audit
from aiops.store.tables import account, session
from aiops.store.tokens import Principal


class NameTaken(Exception):
    """Somebody else has this name: what is done would stand under it in the audit trail."""


def create(
    conn: Connection,
    name: str,
    role: Role,
    password: str,
    at: float,
    by: str = audit.ACTOR,
    teams: Iterable[str] = (),
) -> int:
    """A local account; ``password`` as argon2 writes it. Raises `NameTaken`."""
    theirs = " ".join(sorted(set(teams)))
    return _insert(conn, name, role, at, by, password=password, issuer="", subject=name, teams=theirs)


def _insert(conn: Connection, name: str, role: Role, at: float, by: str, **values: str) -> int:
    if conn.execute(sa.select(account.c.id).where(account.c.name == name)).first() is not None:
        raise NameTaken(f"there is another account {name!r}")
    row = conn.execute(account.insert().values(name=name, role=role, made=at, **values))
    ident: int = (row.inserted_primary_key or (0,))[0]
    _note(conn, ident, "", "created", f"{name}: {role.value}", at, by)
    return ident


def enter(
    conn: Connection,
    issuer: str,
    subject: str,
    name: str,
    role: Role,
    at: float,
    teams: Iterable[str] | None = None,
) -> int | None:
    """The account of somebody whom `issuer` vouches for, with the role that it gives now; made when new.

    `teams`: what it gives of these, none being all of them; None: they stay as they are. Gives None for an
    account that was closed here. Raises `NameTaken` when the name is another account's.
    """
    mine = (account.c.issuer == issuer) & (account.c.subject == subject)
    row = conn.execute(sa.select(account).where(mine)).mappings().first()
    theirs = None if teams is None else " ".join(sorted(set(teams)))
    if row is None:
        return _insert(conn, name, role, at, name, issuer=issuer, subject=subject, teams=theirs or "")
    if row["closed"] is not None:
        return None
    if theirs is not None and row["teams"] != theirs:
        conn.execute(account.update().where(mine).values(teams=theirs))
        reason = f"{row['name']}: of {theirs or 'all teams'}, by its groups"
        _note(conn, row["id"], "", "", reason, at, audit.ACTOR)
    if row["role"] != role:
        conn.execute(account.update().where(mine).values(role=role))
        reason = f"{row['name']}: {row['role']} => {role.value}, by its groups"
        _note(conn, row["id"], row["role"], role.value, reason, at, audit.ACTOR)
    ident: int = row["id"]
    return ident


def by_name(conn: Connection, name: str) -> dict[str, Any] | None:
    """A local account that is not closed, with its password's hash."""
    query = sa.select(account).where(account.c.name == name, account.c.closed.is_(None))
    row = conn.execute(query.where(account.c.password != "")).mappings().first()
    return dict(row) if row else None


def holder(conn: Connection, ident: int) -> Principal | None:
    """Whom the account speaks for; None once it was closed."""
    query = sa.select(account).where(account.c.id == ident, account.c.closed.is_(None))
    row = conn.execute(query).mappings().first()
    if row is None:
        return None
    teams = frozenset(row["teams"].split())
    return Principal(0, row["name"], role=Role(row["role"]), account_id=ident, teams=teams)


def listed(conn: Connection) -> list[dict[str, Any]]:
    """All of them by name, without passwords: ``id, name, role, teams, issuer, made, last_in, closed``."""
    names = ("id", "name", "role", "teams", "issuer", "made", "last_in", "closed")
    query = sa.select(*(account.c[name] for name in names)).order_by(account.c.name)
    return [{**row, "teams": row["teams"].split()} for row in conn.execute(query).mappings()]


def set_teams(conn: Connection, ident: int, teams: Iterable[str], at: float, by: str) -> bool:
    """What it sees and acts on from the next request on; none: everything. False when there is none."""
    row = conn.execute(sa.select(account).where(account.c.id == ident)).mappings().first()
    if row is None:
        return False
    theirs = " ".join(sorted(set(teams)))
    conn.execute(account.update().where(account.c.id == ident).values(teams=theirs))
    _note(conn, ident, "", "", f"{row['name']}: of {theirs or 'all teams'}", at, by)
    return True


def set_role(conn: Connection, ident: int, role: Role, at: float, by: str) -> bool:
    """False when there is no such account."""
    row = conn.execute(sa.select(account).where(account.c.id == ident)).mappings().first()
    if row is None:
        return False
    conn.execute(account.update().where(account.c.id == ident).values(role=role))
    _note(conn, ident, row["role"], role.value, f"{row['name']}: {role.value}", at, by)
    return True


def set_password(conn: Connection, ident: int, password: str, at: float, by: str, but: int = 0) -> bool:
    """Of a local account; ends its sessions but the one with the id `but`. False when there is none."""
    local = (account.c.id == ident) & (account.c.password != "")
    if not conn.execute(account.update().where(local).values(password=password)).rowcount:
        return False
    conn.execute(session.delete().where(session.c.account_id == ident, session.c.id != but))
    _note(conn, ident, "", "", "a new password", at, by)
    return True


def close(conn: Connection, ident: int, at: float, by: str) -> bool:
    """It stays for the audit trail, but opens nothing; its sessions end. False when there is none."""
    open_ = (account.c.id == ident) & account.c.closed.is_(None)
    if not conn.execute(account.update().where(open_).values(closed=at)).rowcount:
        return False
    conn.execute(session.delete().where(session.c.account_id == ident))
    _note(conn, ident, "created", "closed", "by hand", at, by)
    return True


def _note(conn: Connection, ident: int, current: str, to: str, reason: str, at: float, by: str) -> None:
    audit.note(
        conn, at=at, entity="account", entity_id=ident, current=current, to=to, reason=reason, actor=by
    )
