"""Silences made by API or console: alerts that are not to become problems for a while."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from aiops.model.selector import Selector
from aiops.store import audit
from aiops.store.tables import silence


@dataclass(frozen=True, slots=True)
class Silence:
    """Holds back alerts whose labels match, from ``starts`` until ``ends`` (epoch s; None = no end)."""

    id: int
    match: str
    starts: float
    ends: float | None
    reason: str
    created_by: str
    created: float
    team: str = "*"
    """Whose alerts; ``*``: everybody's."""

    @property
    def selector(self) -> Selector:
        return Selector.parse(self.match)

    def state(self, at: float) -> str:
        """``pending``, ``active`` or ``expired`` at `at` (epoch s)."""
        if at < self.starts:
            return "pending"
        return "active" if self.ends is None or at < self.ends else "expired"


def create(
    conn: Connection,
    *,
    match: str,
    starts: float,
    ends: float | None,
    reason: str,
    by: str,
    at: float,
    team: str = "*",
) -> Silence:
    """Store one. Raises `SelectorError`, and ValueError for an end that is not after the start."""
    text = str(Selector.parse(match))
    if ends is not None and ends <= max(starts, at):
        raise ValueError("the silence would end before it starts, or has ended already")
    values = {
        "match": text,
        "starts": starts,
        "ends": ends,
        "reason": reason,
        "created_by": by,
        "created": at,
        "team": team,
    }
    made = int((conn.execute(silence.insert().values(**values)).inserted_primary_key or (0,))[0])
    _note(conn, made, "", "created", f"{text}: {reason}", by, at)
    return Silence(made, text, starts, ends, reason, by, at, team)


def expire(conn: Connection, silence_id: int, *, by: str, at: float) -> Silence | None:
    """End it at `at`; one that has ended already stays as it is. None when there is none."""
    found = get(conn, silence_id)
    if found is None or found.state(at) == "expired":
        return found
    ends = max(at, found.starts)
    conn.execute(silence.update().where(silence.c.id == silence_id).values(ends=ends))
    _note(conn, silence_id, found.state(at), "expired", "ended by hand", by, at)
    return get(conn, silence_id)


def get(conn: Connection, silence_id: int) -> Silence | None:
    row = conn.execute(sa.select(silence).where(silence.c.id == silence_id)).mappings().first()
    return _silence(row) if row else None


def listed(conn: Connection, at: float, *, expired: bool = False) -> list[Silence]:
    """Those pending or active at `at`, newest first; with `expired`, the last 200 of all."""
    query = sa.select(silence).order_by(silence.c.id.desc()).limit(200)
    if not expired:
        query = query.where(sa.or_(silence.c.ends.is_(None), silence.c.ends > at))
    return [_silence(row) for row in conn.execute(query).mappings()]


def active(conn: Connection, at: float) -> list[Silence]:
    """Those that hold back alerts at `at` (epoch s)."""
    return [one for one in listed(conn, at) if one.state(at) == "active"]


def _silence(row: RowMapping) -> Silence:
    keep = ("id", "match", "starts", "ends", "reason", "created_by", "created", "team")
    return Silence(**{key: row[key] for key in keep})


def _note(conn: Connection, silence_id: int, current: str, to: str, reason: str, by: str, at: float) -> None:
    audit.note(
        conn,
        at=at,
        entity="silence",
        entity_id=silence_id,
        current=current,
        to=to,
        reason=reason,
        actor=by,
    )
