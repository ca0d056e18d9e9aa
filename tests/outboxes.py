"""What tests of the outbox and of the relay share."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from aiops.engine.clock import Clock, SystemClock
from aiops.engine.deliver import Relay, RelaySettings
from aiops.model.problem import NotifyReason
from aiops.plugin import Sink
from aiops.store import outbox
from aiops.store.database import Database
from aiops.store.tables import attempt, delivery, problem, ticket
from aiops.testing import FakeClock

R = NotifyReason

STORY = (R.OPENED, R.BREACHED, R.REMEDIATING, R.RESOLVED)


def a_problem(db: Database, key: str = "P-1", state: str = "open") -> int:
    """A stored problem's number."""
    row = {"key": key, "title": "disk fills", "state": state, "stage": "predicted", "severity": "major"}
    with db.begin() as conn:
        made = conn.execute(problem.insert().values(**row, labels={}, opened=1.0, updated=1.0))
        return int((made.inserted_primary_key or (0,))[0])


def say(
    db: Database, problem_id: int, *reasons: NotifyReason, sink: str = "itsm", at: float = 1.0
) -> list[int]:
    """Messages about it, one after the other; their numbers."""
    with db.begin() as conn:
        return [outbox.enqueue(conn, problem_id, sink, r, {"n": r.value}, at=at) for r in reasons]


def queue(
    db: Database,
    problems: int,
    *reasons: NotifyReason,
    sink: str = "itsm",
    state: str = "open",
    first: int = 0,
) -> None:
    """`problems` new problems ``P-0``, ``P-1``, ... with their messages, in one transaction."""
    fields = {"title": "x", "state": state, "stage": "active", "severity": "major", "labels": {}}
    with db.begin() as conn:
        for n in range(first, first + problems):
            row = problem.insert().values(key=f"P-{n}", **fields, opened=1.0, updated=1.0)
            ident = int((conn.execute(row).inserted_primary_key or (0,))[0])
            for reason in reasons:
                outbox.enqueue(conn, ident, sink, reason, {"n": reason.value}, at=1.0)


def rows(db: Database, table: sa.Table) -> list[dict[str, Any]]:
    """All of a table, in the order of its ids."""
    with db.read_only() as conn:
        return [dict(r) for r in conn.execute(sa.select(table).order_by(table.c.id)).mappings()]


def states(db: Database) -> list[str]:
    """The state of every delivery."""
    return [row["state"] for row in rows(db, delivery)]


def settled(db: Database) -> bool:
    """Whether every delivery is sent."""
    return set(states(db)) <= {"sent"}


HASTY = RelaySettings(poll=0.05, first_wait=0.05, settle=0.2, first_pause=0.05, longest_pause=0.2, drain=5)


def no_wait(low: float, _high: float) -> float:
    return low


@asynccontextmanager
async def running(
    db: Database, *sinks: Sink, clock: Clock | None = None, settings: RelaySettings = HASTY, **other: Any
) -> AsyncIterator[Relay]:
    wake = other.pop("wake", asyncio.Event())
    by_name = {sink.name: sink for sink in sinks}
    relay = Relay(db, clock or SystemClock(), lambda: by_name, wake, settings, **other)
    task = asyncio.create_task(relay.run())
    try:
        yield relay
        relay.stop()
        await asyncio.wait_for(asyncio.shield(task), 10)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def pass_time(
    db: Database,
    clock: FakeClock,
    seconds: float,
    until: Callable[[], object] = lambda: False,
    step: float = 0.5,
) -> bool:
    """Let up to `seconds` of fake time pass, in steps after each of which the store has caught up.

    Returns whether `until` held, which ends it early.
    """
    for _ in range(int(seconds / step)):
        await _calm(db)
        if until():
            return True
        await clock.advance(step)
    await _calm(db)
    return bool(until())


async def _calm(db: Database) -> None:
    """Until whatever was asked of the store has been answered, and what follows from that as well."""
    for _ in range(3):
        await db.run(_nothing)
        await asyncio.gather(db.read(_nothing), db.read(_nothing))


def _nothing(_conn: Connection) -> None:
    """A turn on the database's thread."""


__all__ = [
    "HASTY",
    "STORY",
    "R",
    "a_problem",
    "attempt",
    "delivery",
    "no_wait",
    "pass_time",
    "queue",
    "rows",
    "running",
    "say",
    "settled",
    "states",
    "ticket",
]
