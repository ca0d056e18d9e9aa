"""What stands in the outbox, for metrics and restarts, and the forgetting of what has been said."""

from collections.abc import Collection
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from aiops.model.lifecycle import DeliveryState, ProblemState
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


def told(conn: Connection, problem_ids: Collection[int]) -> dict[int, frozenset[str]]:
    """Problem -> the sinks that have, or will get, messages about it; for picking up after a restart."""
    query = sa.select(delivery.c.problem_id, delivery.c.sink).distinct()
    found: dict[int, set[str]] = {ident: set() for ident in problem_ids}
    for ident, sink in conn.execute(query.where(delivery.c.problem_id.in_(problem_ids))):
        found[ident].add(sink)
    return {ident: frozenset(sinks) for ident, sinks in found.items()}


def prune(conn: Connection, before: float) -> int:
    """Forget messages sent before `before` about problems that are resolved; returns how many."""
    over = sa.select(problem.c.id).where(problem.c.state == ProblemState.RESOLVED)
    old = (delivery.c.state == SENT) & (delivery.c.sent < before) & delivery.c.problem_id.in_(over)
    return conn.execute(delivery.delete().where(old)).rowcount
