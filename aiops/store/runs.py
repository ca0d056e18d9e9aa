"""Runs and their steps: what was planned, approved, intended and done. Times are epoch seconds.

Each change of state is one compare-and-set with its audit row, so that two who change a run at once (an
approval and its expiry, two engines) cannot both succeed: the later one gets `RunChanged`.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from aiops.model.lifecycle import LIVE_RUN, RunState, check
from aiops.model.problem import NAN, EscalationReason, Run, Step
from aiops.store import audit, leases, notices
from aiops.store.leases import HOLDING as HOLDING
from aiops.store.leases import RunChanged as RunChanged
from aiops.store.tables import playbook_revision, run, step

WAITING = (RunState.QUEUED, RunState.AWAITING_APPROVAL)

MAX_OUTPUT = 16_384
"""Characters of a step's output that are kept."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Runs of one look: those that may begin, wait for approval, or were left in the middle."""

    queued: list[Run]
    unapproved: list[Run]
    begun: list[Run]


def insert(conn: Connection, one: Run, text: str) -> Run:
    """Store a new run and the text of the playbook revision that it is pinned to; sets and returns its id."""
    keep_revision(conn, one.playbook, one.revision, text, one.queued)
    values = {name: _null(getattr(one, name)) for name in _RUN_COLUMNS if name != "id"}
    made = conn.execute(run.insert().values(**values))
    assert made.inserted_primary_key is not None
    one.id = int(made.inserted_primary_key[0])
    audit.note_run(conn, one, one.queued, was="")
    return one


def keep_revision(conn: Connection, name: str, revision: str, text: str, at: float) -> None:
    """Store a playbook's text under its hash, once."""
    table = playbook_revision
    if conn.execute(sa.select(table.c.revision).where(table.c.revision == revision)).first() is None:
        conn.execute(table.insert().values(revision=revision, playbook=name, text=text, seen=at))


def revision_text(conn: Connection, revision: str) -> str | None:
    query = sa.select(playbook_revision.c.text).where(playbook_revision.c.revision == revision)
    return conn.execute(query).scalar_one_or_none()


def get(conn: Connection, run_id: int) -> Run | None:
    row = conn.execute(sa.select(run).where(run.c.id == run_id)).mappings().first()
    return None if row is None else _run(row)


def of_problems(conn: Connection, problem_ids: Iterable[int]) -> list[Run]:
    """Their runs, oldest first."""
    query = sa.select(run).where(run.c.problem_id.in_(list(problem_ids))).order_by(run.c.id)
    return [_run(row) for row in conn.execute(query).mappings()]


def steps(conn: Connection, run_id: int) -> list[Step]:
    """A run's steps in the order of their numbers."""
    rows = conn.execute(sa.select(step).where(step.c.run_id == run_id).order_by(step.c.number)).mappings()
    return [_step(row) for row in rows]


def recent(conn: Connection, since: float) -> list[Run]:
    """Runs that are live, or were queued or ended after `since`: the history that guards look at."""
    fresh = (run.c.queued >= since) | (run.c.ended >= since) | run.c.state.in_(LIVE_RUN)
    return [_run(row) for row in conn.execute(sa.select(run).where(fresh).order_by(run.c.id)).mappings()]


def waiting(conn: Connection, limit: int, now: float = math.inf) -> Waiting:
    """What the worker may have to do. At most `limit` queued runs, oldest first, one live run a target.

    Those that are held back for longer than until `now` (epoch s) are none of them.
    """
    live = [_run(r) for r in conn.execute(_live_query()).mappings()]
    held = {one.target for one in live if one.state in HOLDING and not one.dry_run}
    queued: list[Run] = []
    for one in live:
        if (
            one.state is not RunState.QUEUED
            or one.not_before > now
            or (one.target in held and not one.dry_run)
        ):
            continue
        if not one.dry_run:
            held.add(one.target)
        queued.append(one)
    return Waiting(
        queued=queued[:limit],
        unapproved=[one for one in live if one.state is RunState.AWAITING_APPROVAL],
        begun=[one for one in live if one.state in HOLDING],
    )


def save(conn: Connection, one: Run, was: RunState, at: float, actor: str = audit.ACTOR) -> None:
    """Store the transition ``was => one.state`` that the run has made. Raises `RunChanged`.

    A run that begins takes its target: it does not when another live run holds it, `RunChanged` too.
    """
    change = run.update().where(run.c.id == one.id, run.c.state == was)
    if one.state is RunState.RUNNING and not one.dry_run:
        _lock_target(conn, one.target)
        other = run.alias()
        holder = sa.select(other.c.id).where(
            other.c.target == one.target,
            other.c.state.in_(HOLDING),
            other.c.dry_run.is_(False),
            other.c.id != one.id,
        )
        change = change.where(~holder.exists())
    values = {
        name: _null(getattr(one, name)) for name in ("state", "started", "ended", "reason", "approved_by")
    }
    if conn.execute(change.values(**values)).rowcount != 1:
        raise RunChanged(f"run {one.id} is no longer {was}, or another run holds {one.target}")
    if one.state not in LIVE_RUN:
        leases.end(conn, one.id)
    notices.add(conn, one)
    audit.note_run(conn, one, at, was=was, actor=actor)


def begin(conn: Connection, one: Run, was: RunState, at: float, owner: str, seconds: float) -> int:
    """Store that `one` runs, under a lease of `owner`; returns its epoch. Raises `RunChanged`."""
    save(conn, one, was, at)
    return leases.grant(conn, one.id, owner, seconds)


def approve(conn: Connection, run_id: int, by: str, at: float, actor: str = "") -> Run:
    """Let a waiting run begin; `actor`: who of those in `by` was the last.

    Raises KeyError, `IllegalTransition` or `RunChanged`.
    """
    return _decide(conn, run_id, RunState.QUEUED, f"approved by {by}", by, at, actor)


def refuse(conn: Connection, run_id: int, by: str, at: float, note: str = "") -> Run:
    """Say no to a waiting run: it ends expired. Raises KeyError, `IllegalTransition` or `RunChanged`."""
    said = f"{EscalationReason.APPROVAL_REFUSED.value}: by {by}" + (f": {note}" if note else "")
    return _decide(conn, run_id, RunState.EXPIRED, said, by, at)


def cancel(conn: Connection, run_id: int, by: str, at: float) -> Run:
    """Take back a run that has not begun: it ends expired. Raises as `refuse` does."""
    said = f"{EscalationReason.BY_HAND.value}: cancelled by {by}"
    return _decide(conn, run_id, RunState.EXPIRED, said, by, at)


def intend(conn: Connection, one: Step) -> Step:
    """Store what is about to be done, before it is; sets and returns its id.

    Again changes nothing: a server that goes away while it commits may have done so.
    """
    same = (step.c.run_id == one.run_id) & (step.c.number == one.number) & (step.c.name == one.name)
    if (ident := conn.execute(sa.select(step.c.id).where(same)).scalar()) is not None:
        one.id = int(ident)
        return one
    values = {name: _null(getattr(one, name)) for name in _STEP_COLUMNS if name != "id"}
    made = conn.execute(step.insert().values(**values))
    assert made.inserted_primary_key is not None
    one.id = int(made.inserted_primary_key[0])
    return one


def conclude(conn: Connection, one: Step) -> None:
    """Store what came of a step."""
    one.output = one.output[:MAX_OUTPUT].replace("\x00", "\ufffd")
    change = step.update().where(step.c.id == one.id)
    conn.execute(change.values(ended=_null(one.ended), ok=one.ok, output=one.output, data=one.data))


def untold(conn: Connection) -> list[tuple[RunState, Run]]:
    """News of runs that their problems have not heard of, oldest first: what came about, and the run."""
    found = ((state, get(conn, run_id)) for run_id, state in notices.waiting(conn))
    return [(state, one) for state, one in found if one is not None]


def _decide(
    conn: Connection, run_id: int, to: RunState, reason: str, by: str, at: float, actor: str = ""
) -> Run:
    one = get(conn, run_id)
    if one is None:
        raise KeyError(run_id)
    was = one.state
    check(was, to)
    one.state, one.reason = to, reason
    if to is RunState.QUEUED:
        one.approved_by = by
    else:
        one.ended = at
    save(conn, one, was, at, actor=actor or by)
    return one


def _live_query() -> sa.Select[Any]:
    return sa.select(run).where(run.c.state.in_(LIVE_RUN)).order_by(run.c.id)


def _lock_target(conn: Connection, target: str) -> None:
    """Transactions that begin runs on one target pass one after the other; SQLite has one writer anyway."""
    if conn.dialect.name == "postgresql":
        conn.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(target, 0))))


_RUN_COLUMNS = [column.name for column in run.columns]
_STEP_COLUMNS = [column.name for column in step.columns]


def _null(value: Any) -> Any:
    return None if isinstance(value, float) and value != value else value


def _run(row: sa.RowMapping) -> Run:
    values = {name: row[name] for name in _RUN_COLUMNS}
    values["state"] = RunState(values["state"])
    for name in ("started", "ended", "expires"):
        values[name] = NAN if values[name] is None else values[name]
    for name in ("approvers", "plan"):
        values[name] = values[name] or []
    return Run(**values)


def _step(row: sa.RowMapping) -> Step:
    values = {name: row[name] for name in _STEP_COLUMNS}
    values["ended"] = NAN if values["ended"] is None else values["ended"]
    return Step(**values)
