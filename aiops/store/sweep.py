"""Tickets that can be looked at, and what puts them right again. Times are seconds since the epoch."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from aiops.model.lifecycle import DeliveryState, ProblemState
from aiops.model.problem import NotifyReason
from aiops.store import outbox
from aiops.store.tables import delivery, problem, ticket


@dataclass(frozen=True, slots=True)
class Known:
    """A ticket as we believe it to be."""

    problem_id: int
    key: str
    ref: str
    resolved: bool
    """Whether our problem is over."""


def tickets(conn: Connection, sink: str, since: float, after: int, limit: int) -> list[Known]:
    """Those of problems that are not over, or over since `since`, and of which nothing more is to be said.

    In the order of their problems' numbers, beginning behind `after`.
    """
    same = (delivery.c.problem_id == ticket.c.problem_id) & (delivery.c.sink == ticket.c.sink)
    waiting = sa.exists().where(same, delivery.c.state == DeliveryState.DUE)
    lately = (problem.c.state != ProblemState.RESOLVED) | (problem.c.resolved >= since)
    query = (
        sa.select(problem.c.id, problem.c.key, ticket.c.ref, problem.c.state)
        .join(ticket, ticket.c.problem_id == problem.c.id)
        .where(ticket.c.sink == sink, problem.c.id > after, lately, ~waiting)
        .order_by(problem.c.id)
        .limit(limit)
    )
    return [
        Known(ident, key, ref, state == ProblemState.RESOLVED)
        for ident, key, ref, state in conn.execute(query)
    ]


def tell_again(conn: Connection, known: Known, sink: str, reason: NotifyReason, why: str, at: float) -> bool:
    """Say the last thing once more, as `reason`; whether there was anything to repeat."""
    stream = (delivery.c.problem_id == known.problem_id) & (delivery.c.sink == sink)
    query = sa.select(delivery.c.body, delivery.c.team).where(stream).order_by(delivery.c.seq.desc()).limit(1)
    row = conn.execute(query).first()
    if row is None:
        return False
    body: dict[str, Any] = {**row.body, "reason": reason.value, "why": why}
    outbox.enqueue(conn, known.problem_id, sink, reason, body, at=at, team=row.team)
    return True


def open_anew(conn: Connection, known: Known, sink: str, why: str, at: float) -> bool:
    """Forget a ticket that is gone, so that the next message opens another; whether one could be said."""
    gone = (ticket.c.problem_id == known.problem_id) & (ticket.c.sink == sink) & (ticket.c.ref == known.ref)
    conn.execute(ticket.delete().where(gone))
    return tell_again(conn, known, sink, NotifyReason.OPENED, why, at)
