"""What stands in the outbox, for metrics and restarts, and the forgetting of what has been said."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from aiops.model.lifecycle import DeliveryState, ProblemState
from aiops.model.problem import NotifyReason
from aiops.store.tables import delivery, problem

DUE, SENT, DEAD = DeliveryState.DUE, DeliveryState.SENT, DeliveryState.DEAD


@dataclass(frozen=True, slots=True)
class SinkCounts:
    """One sink's backlog. ``oldest_due``: seconds since the oldest unsent message was said; 0 for none."""

    due: int = 0
    dead: int = 0
    oldest_due: float = 0.0


def counts(conn: Connection, now: float) -> dict[str, SinkCounts]:
    """Sink -> its backlog, for the metrics; sinks with neither due nor dead messages are absent."""
    query = (
        sa.select(delivery.c.sink, delivery.c.state, sa.func.count(), sa.func.min(delivery.c.said))
        .where(delivery.c.state.in_([DUE, DEAD]))
        .group_by(delivery.c.sink, delivery.c.state)
    )
    found: dict[str, SinkCounts] = {}
    for sink, state, many, oldest in conn.execute(query):
        have = found.get(sink, SinkCounts())
        if state == DUE:
            found[sink] = SinkCounts(many, have.dead, max(0.0, now - oldest))
        else:
            found[sink] = SinkCounts(have.due, many, have.oldest_due)
    return found


@dataclass(frozen=True, slots=True)
class Said:
    """That a message was said to a sink (epoch s), or will be."""

    sink: str
    reason: NotifyReason
    at: float


def said(conn: Connection, problem_ids: Collection[int]) -> dict[int, list[Said]]:
    """Problem -> its messages, in the order in which they were said; for picking up after a restart.

    Problems of which nothing was said are absent.
    """
    query = sa.select(delivery.c.problem_id, delivery.c.sink, delivery.c.reason, delivery.c.said)
    found: dict[int, list[Said]] = {}
    for part in batched(problem_ids):
        asked = query.where(delivery.c.problem_id.in_(part)).order_by(delivery.c.id)
        for ident, sink, reason, at in conn.execute(asked):
            found.setdefault(ident, []).append(Said(sink, NotifyReason(reason), at))
    return found


def batched(idents: Collection[int], size: int = 500) -> Iterator[list[int]]:
    """In parts of as many as one statement takes."""
    listed = list(idents)
    for start in range(0, len(listed), size):
        yield listed[start : start + size]


def prune(conn: Connection, before: float) -> int:
    """Forget messages sent before `before` about problems that are resolved; returns how many."""
    over = sa.select(problem.c.id).where(problem.c.state == ProblemState.RESOLVED)
    old = (delivery.c.state == SENT) & (delivery.c.sent < before) & delivery.c.problem_id.in_(over)
    return conn.execute(delivery.delete().where(old)).rowcount
