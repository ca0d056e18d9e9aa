"""The autonomy that playbooks have earned, and the evidence for it: ended runs, each weighed once."""

from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from aiops.model.autonomy import Autonomy, Earned, Standing
from aiops.model.lifecycle import LIVE_RUN
from aiops.model.problem import Run
from aiops.store import audit, runs
from aiops.store.tables import autonomy, run, step

AT_ONCE = 500
"""Runs weighed in one transaction."""


def wanting(conn: Connection) -> bool:
    """Whether there are runs to weigh."""
    return conn.execute(sa.select(run.c.id).where(_unweighed()).limit(1)).first() is not None


def unweighed(conn: Connection) -> list[tuple[Run, bool]]:
    """Runs that have ended and did not count yet, oldest first, and whether each was verified.

    They count as weighed from now on: whoever asks has to see to it in this transaction.
    """
    query = sa.select(run.c.id).where(_unweighed()).order_by(run.c.ended, run.c.id).limit(AT_ONCE)
    found = []
    for ident in list(conn.execute(query).scalars()):
        mine = run.update().where(run.c.id == ident, run.c.weighed.is_(False)).values(weighed=True)
        one = runs.get(conn, ident) if conn.execute(mine).rowcount else None
        if one is not None:
            found.append((one, _verified(conn, ident)))
    return found


def put(conn: Connection, one: Earned, before: Autonomy, at: float) -> None:
    """Store a standing; one whose level is another than `before` is a transition, and audited."""
    _put(conn, one)
    if one.standing.level is not before:
        _note(conn, one, before.value, audit.ACTOR, at)


def known(conn: Connection, playbook: str, service: str) -> bool:
    """Whether the playbook has met evidence for the service, weighed or not."""
    if get(conn, playbook, service) is not None:
        return True
    mine = _unweighed() & (run.c.playbook == playbook) & (run.c.service == service)
    return conn.execute(sa.select(run.c.id).where(mine).limit(1)).first() is not None


def levels(conn: Connection) -> dict[tuple[str, str], Autonomy]:
    """Playbook and service -> level, of those that have met any evidence."""
    rows = conn.execute(sa.select(autonomy.c.playbook, autonomy.c.service, autonomy.c.level))
    return {(row.playbook, row.service): Autonomy(row.level) for row in rows}


def listed(conn: Connection) -> list[Earned]:
    """All of them, by playbook and service."""
    rows = conn.execute(sa.select(autonomy).order_by(autonomy.c.playbook, autonomy.c.service)).mappings()
    return [_earned(row) for row in rows]


def get(conn: Connection, playbook: str, service: str) -> Standing | None:
    mine = (autonomy.c.playbook == playbook) & (autonomy.c.service == service)
    row = conn.execute(sa.select(autonomy).where(mine)).mappings().first()
    return _earned(row).standing if row else None


def pin(
    conn: Connection, playbook: str, service: str, to: Autonomy, *, by: str, note: str, at: float
) -> Earned:
    """Fix the level, whatever the evidence, until `unpin`."""
    before = get(conn, playbook, service)
    reason = f"fixed by {by}" + (f": {note}" if note else "")
    made = Earned(playbook, service, Standing(to, before.streak if before else 0, at, reason, by))
    _put(conn, made)
    _note(conn, made, before.level if before else "", by, at)
    return made


def unpin(conn: Connection, playbook: str, service: str, *, by: str, at: float) -> Earned | None:
    """Let evidence move it again, from the level where it is; None when there is none that is pinned."""
    before = get(conn, playbook, service)
    if before is None or not before.pinned_by:
        return None
    standing = replace(before, streak=0, since=at, reason=f"let go by {by}", pinned_by="")
    made = Earned(playbook, service, standing)
    _put(conn, made)
    _note(conn, made, before.level, by, at)
    return made


def _put(conn: Connection, one: Earned) -> None:
    values = {name: getattr(one.standing, name) for name in Standing.__dataclass_fields__}
    mine = (autonomy.c.playbook == one.playbook) & (autonomy.c.service == one.service)
    if not conn.execute(autonomy.update().where(mine).values(**values)).rowcount:
        conn.execute(autonomy.insert().values(playbook=one.playbook, service=one.service, **values))


def _verified(conn: Connection, run_id: int) -> bool:
    proof = (step.c.run_id == run_id) & (step.c.phase == "verify") & step.c.ok.is_(True)
    return conn.execute(sa.select(step.c.id).where(proof).limit(1)).first() is not None


def _unweighed() -> sa.ColumnElement[bool]:
    return run.c.weighed.is_(False) & run.c.state.not_in(LIVE_RUN)


def _earned(row: RowMapping) -> Earned:
    values = {name: row[name] for name in Standing.__dataclass_fields__}
    return Earned(row["playbook"], row["service"], Standing(**values | {"level": Autonomy(row["level"])}))


def _note(conn: Connection, one: Earned, current: str, by: str, at: float) -> None:
    ident, reason = f"{one.playbook}/{one.service}"[:64], one.standing.reason
    to = one.standing.level.value
    audit.note(
        conn, at=at, entity="autonomy", entity_id=ident, current=current, to=to, reason=reason, actor=by
    )
