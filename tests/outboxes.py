"""What tests of the outbox and of the relay share."""

from typing import Any

import sqlalchemy as sa

from aiops.model.problem import NotifyReason
from aiops.store import outbox
from aiops.store.database import Database
from aiops.store.tables import attempt, delivery, problem, ticket

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


def queue(db: Database, problems: int, *reasons: NotifyReason, sink: str = "itsm") -> None:
    """`problems` new problems ``P-0``, ``P-1``, ... with their messages, in one transaction."""
    fields = {"title": "x", "state": "open", "stage": "active", "severity": "major", "labels": {}}
    with db.begin() as conn:
        for n in range(problems):
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


__all__ = [
    "STORY",
    "R",
    "a_problem",
    "attempt",
    "delivery",
    "queue",
    "rows",
    "say",
    "settled",
    "states",
    "ticket",
]
