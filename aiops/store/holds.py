"""Holds: a person says that playbooks may not act, all of them or one, until it is lifted."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from aiops.store import audit
from aiops.store.tables import hold, problem


@dataclass(frozen=True, slots=True)
class Hold:
    """``playbook`` empty: none may act. ``lifted`` (epoch s) is None while it holds."""

    id: int
    playbook: str
    reason: str
    made: float
    made_by: str
    lifted: float | None = None
    lifted_by: str = ""

    @property
    def words(self) -> str:
        what = self.playbook or "all remediation"
        return f"{what} is on hold by {self.made_by}: {self.reason}"


def create(conn: Connection, *, playbook: str, reason: str, by: str, at: float) -> Hold:
    """Store one; it holds at once."""
    values = {"playbook": playbook, "reason": reason, "made": at, "made_by": by}
    made = int((conn.execute(hold.insert().values(**values)).inserted_primary_key or (0,))[0])
    one = Hold(id=made, playbook=playbook, reason=reason, made=at, made_by=by)
    _note(conn, one, "", "holding", reason, by, at)
    return one


def lift(conn: Connection, hold_id: int, *, by: str, at: float) -> Hold | None:
    """End it; one that was lifted stays as it is. None when there is none."""
    found = get(conn, hold_id)
    if found is None or found.lifted is not None:
        return found
    conn.execute(hold.update().where(hold.c.id == hold_id).values(lifted=at, lifted_by=by))
    _note(conn, found, "holding", "lifted", "lifted by hand", by, at)
    return get(conn, hold_id)


def get(conn: Connection, hold_id: int) -> Hold | None:
    row = conn.execute(sa.select(hold).where(hold.c.id == hold_id)).mappings().first()
    return _hold(row) if row else None


def listed(conn: Connection, *, lifted: bool = False) -> list[Hold]:
    """Those that hold, newest first; with `lifted`, the last 200 of all."""
    query = sa.select(hold).order_by(hold.c.id.desc()).limit(200)
    return [
        _hold(r) for r in conn.execute(query if lifted else query.where(hold.c.lifted.is_(None))).mappings()
    ]


def over(conn: Connection, playbook: str) -> Hold | None:
    """The newest that keeps `playbook` from acting."""
    mine = hold.c.lifted.is_(None) & hold.c.playbook.in_(("", playbook))
    row = conn.execute(sa.select(hold).where(mine).order_by(hold.c.id.desc()).limit(1)).mappings().first()
    return _hold(row) if row else None


def openings(conn: Connection, since: float) -> list[float]:
    """When the problems opened that opened after `since` (epoch s)."""
    return list(conn.execute(sa.select(problem.c.opened).where(problem.c.opened > since)).scalars())


def _hold(row: RowMapping) -> Hold:
    return Hold(**{name: row[name] for name in Hold.__dataclass_fields__})


def _note(conn: Connection, one: Hold, current: str, to: str, reason: str, by: str, at: float) -> None:
    text = f"{one.playbook or 'all playbooks'}: {reason}"
    audit.note(conn, at=at, entity="hold", entity_id=one.id, current=current, to=to, reason=text, actor=by)
