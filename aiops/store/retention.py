"""What has outlived its time, table by table: counted, or deleted. Times are seconds since the epoch.

Every part is one condition, so that a count and a purge cannot differ. Seals of the audit trail are kept:
the chain closes without the rows that are gone.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from aiops.model.lifecycle import AlertState, DeliveryState, ProblemState
from aiops.store import answers, problems
from aiops.store.tables import (
    alert,
    answer,
    audit,
    change,
    delivery,
    hold,
    log_template,
    problem,
    session,
    silence,
    token,
)

Condition: TypeAlias = Callable[[float], sa.ColumnElement[bool]]


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of one table that go together. ``over(before)``: those that were over before then."""

    name: str
    keep: str
    """The key under `retention`."""
    table: sa.Table
    over: Condition


def _alerts(before: float) -> sa.ColumnElement[bool]:
    loose = alert.c.problem_id.is_(None) & (alert.c.state == AlertState.RESOLVED)
    return loose & (alert.c.resolved < before)


def _deliveries(before: float) -> sa.ColumnElement[bool]:
    resolved = sa.select(problem.c.id).where(problem.c.state == ProblemState.RESOLVED)
    old = (delivery.c.state == DeliveryState.SENT) & (delivery.c.sent < before)
    return old & delivery.c.problem_id.in_(resolved)


PARTS = (
    Part("alerts", "alerts", alert, _alerts),
    Part("deliveries", "deliveries", delivery, _deliveries),
    Part("changes", "changes", change, lambda before: change.c.time < before),
    Part("log templates", "log_templates", log_template, lambda before: log_template.c.last_seen < before),
    Part("audit", "audit", audit, lambda before: audit.c.problem_id.is_(None) & (audit.c.at < before)),
    Part("silences", "ended", silence, lambda before: silence.c.ends < before),
    Part("holds", "ended", hold, lambda before: hold.c.lifted < before),
    Part("sessions", "ended", session, lambda before: session.c.expires < before),
    Part("tokens", "ended", token, lambda before: token.c.expires < before),
    Part("problems", "problems", problem, problems.over),
)
"""Problems last: what goes with them has been counted by then."""


def due(conn: Connection, keep: Mapping[str, float], now: float) -> dict[str, int]:
    """Part -> rows that a purge would take now. `keep`: seconds, by the key under `retention`."""
    found = {part.name: _count(conn, part, now - keep[part.keep]) for part in PARTS}
    old = sa.select(sa.func.count()).select_from(answer).where(answers.old(now))
    return {**found, "answers": int(conn.execute(old).scalar_one())}


def purge(conn: Connection, keep: Mapping[str, float], now: float) -> dict[str, int]:
    """The same, deleted: problems with all that belongs to them, their audit rows too."""
    found = {}
    for part in PARTS:
        before = now - keep[part.keep]
        if part.table is problem:
            found[part.name] = problems.purge(conn, before)
        else:
            found[part.name] = conn.execute(part.table.delete().where(part.over(before))).rowcount
    return {**found, "answers": answers.purge(conn, now)}


def _count(conn: Connection, part: Part, before: float) -> int:
    query: Any = sa.select(sa.func.count()).select_from(part.table).where(part.over(before))
    return int(conn.execute(query).scalar_one())
