"""Read queries for API and console. Rows are plain dicts of the table's columns; times are epoch seconds.

Lists are in `lists`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from aiops.model.lifecycle import AlertState, DeliveryState, ProblemState, RunState, Stage
from aiops.model.signal import Severity
from aiops.store.lists import (
    AlertFilter,
    DeliveryFilter,
    ProblemFilter,
    Query,
    Row,
    RunFilter,
    alerts,
    deliveries,
    problems,
    runs,
)
from aiops.store.tables import (
    alert,
    attempt,
    delivery,
    evidence,
    playbook_revision,
    problem,
    run,
    step,
    ticket,
    trait,
)

__all__ = [
    "AlertFilter",
    "Counts",
    "DeliveryFilter",
    "ProblemFilter",
    "Row",
    "RunFilter",
    "alert_count",
    "alerts",
    "alerts_of",
    "attempts_of",
    "counts",
    "deliveries",
    "evidence_of",
    "get",
    "latest_runs",
    "open_problems",
    "open_traits",
    "problems",
    "resolved_problems",
    "runs",
    "steps_of",
    "texts_of",
    "tickets_of",
    "worst_alerts",
]

UNRESOLVED = tuple(state for state in ProblemState if state is not ProblemState.RESOLVED)
MOST_TRAITS = 20_000
"""Of the newest problems; a problem may be on thousands of components."""
ASLEEP = 1e6
UNKNOWN_MINUTES = 240.0
"""Time to breach that a prediction without one is ranked by."""


def open_problems(conn: Connection, now: float, skip: int = 0, limit: int = 50) -> list[Row]:
    """What is unresolved, most urgent first: `limit` of it after the first `skip`."""
    query = sa.select(problem).where(problem.c.state.in_(UNRESOLVED))
    ranked = query.order_by(_urgency(now).desc(), problem.c.opened.desc(), problem.c.id.desc())
    return _rows(conn, ranked.offset(skip).limit(limit))


def _urgency(now: float) -> sa.ColumnElement[float]:
    """Impact times P(breach) over minutes left: a level of severity counts fourfold.

    Active counts as sure, with one minute left. What is snoozed comes after everything else.
    """
    c = problem.c
    impact = sa.case({one.value: 4.0**one.level for one in Severity}, value=c.severity)
    minutes = (c.breach_expected - now) / 60.0
    chance = sa.func.coalesce(c.breach_chance, 1.0) / sa.case((minutes > 1.0, minutes), else_=1.0)
    return impact * sa.case(
        (sa.func.coalesce(c.snoozed_until, 0.0) > now, 1 / ASLEEP),
        (c.stage == Stage.ACTIVE, 1.0),
        (c.breach_expected.is_(None), 1 / UNKNOWN_MINUTES),
        else_=chance,
    )


def resolved_problems(conn: Connection, since: float, limit: int) -> list[Row]:
    """Those resolved since `since`, latest first."""
    query = sa.select(problem).where(problem.c.state == ProblemState.RESOLVED, problem.c.resolved >= since)
    return _rows(conn, query.order_by(problem.c.resolved.desc()).limit(limit))


def get(conn: Connection, table: sa.Table, row_id: int) -> Row | None:
    """One row by its id."""
    return next(iter(_rows(conn, sa.select(table).where(table.c.id == row_id))), None)


def alerts_of(conn: Connection, problem_id: int, limit: int = 200) -> list[Row]:
    """A problem's alerts: firing before resolved, then the most surprising first."""
    found: list[Row] = []
    for state in _WORST_FIRST:
        # each by itself is the head of an index: a problem may have thousands
        query = _worst(sa.select(alert), state).where(alert.c.problem_id == problem_id)
        found += _rows(conn, query.limit(limit - len(found)))
    return found


def alert_count(conn: Connection, problem_id: int) -> int:
    """How many alerts a problem has in all."""
    query = sa.select(sa.func.count()).select_from(alert).where(alert.c.problem_id == problem_id)
    return int(conn.execute(query).scalar_one())


_WORST_FIRST = (AlertState.FIRING, AlertState.RESOLVED, AlertState.PENDING)


def _worst(query: Query, state: AlertState) -> Query:
    return query.where(alert.c.state == state).order_by(alert.c.peak.desc(), alert.c.id)


def open_traits(conn: Connection, kind: str) -> list[tuple[str, str, int]]:
    """(what it is, severity, id) of every trait of that kind (``entity``) which an unresolved problem has."""
    begins = trait.c.text.startswith(f"{kind}:", autoescape=True)
    query = (
        sa.select(trait.c.text, problem.c.severity, problem.c.id)
        .join(trait, trait.c.problem_id == problem.c.id)
        .where(problem.c.state.in_(UNRESOLVED), begins)
        .order_by(problem.c.id.desc())
        .limit(MOST_TRAITS)
    )
    return [(text[len(kind) + 1 :], severity, ident) for text, severity, ident in conn.execute(query)]


def worst_alerts(conn: Connection, problem_ids: Sequence[int]) -> dict[int, Row]:
    """Problem id -> its most surprising alert that is still firing, else its most surprising one."""
    mine = sa.select(alert.c.id).where(alert.c.problem_id == problem.c.id).correlate(problem)
    first = [_worst(mine, state).limit(1).scalar_subquery() for state in _WORST_FIRST]
    ids = conn.scalars(sa.select(sa.func.coalesce(*first)).where(problem.c.id.in_(problem_ids)))
    query = sa.select(alert).where(alert.c.id.in_([ident for ident in ids if ident is not None]))
    return {row["problem_id"]: row for row in _rows(conn, query)}


def evidence_of(conn: Connection, alert_ids: Iterable[int]) -> dict[int, dict[str, list[float | None]]]:
    """Alert id -> its stored points, one list a column (`tables.evidence`)."""
    query = sa.select(evidence).where(evidence.c.alert_id.in_(list(alert_ids)))
    return {row["alert_id"]: row["points"] for row in _rows(conn, query)}


def tickets_of(conn: Connection, problem_id: int) -> list[Row]:
    query = sa.select(ticket).where(ticket.c.problem_id == problem_id)
    return _rows(conn, query.order_by(ticket.c.id))


def latest_runs(conn: Connection, problem_ids: Sequence[int]) -> dict[int, Row]:
    """Problem id -> its newest run, with the ``doing`` plan of that run's newest step (or None)."""
    newest = sa.select(sa.func.max(run.c.id)).where(run.c.problem_id.in_(problem_ids))
    doing = (
        sa.select(step.c.plan)
        .where(step.c.run_id == run.c.id)
        .order_by(step.c.number.desc())
        .limit(1)
        .scalar_subquery()
    )
    query = sa.select(run, doing.label("doing")).where(run.c.id.in_(newest.group_by(run.c.problem_id)))
    return {row["problem_id"]: row for row in _rows(conn, query)}


def steps_of(conn: Connection, run_ids: Iterable[int]) -> dict[int, list[Row]]:
    """Run id -> its steps, in order."""
    query = sa.select(step).where(step.c.run_id.in_(list(run_ids)))
    found: dict[int, list[Row]] = {}
    for row in _rows(conn, query.order_by(step.c.run_id, step.c.number)):
        found.setdefault(row["run_id"], []).append(row)
    return found


def texts_of(conn: Connection, revisions: Iterable[str]) -> dict[str, str]:
    """Revision -> the playbook's text, as runs are pinned to it."""
    table = playbook_revision
    query = sa.select(table.c.revision, table.c.text).where(table.c.revision.in_(set(revisions)))
    return {row["revision"]: row["text"] for row in _rows(conn, query)}


def attempts_of(conn: Connection, delivery_id: int) -> list[Row]:
    """Every try of a delivery, oldest first."""
    query = sa.select(attempt).where(attempt.c.delivery_id == delivery_id)
    return _rows(conn, query.order_by(attempt.c.id))


@dataclass(frozen=True, slots=True)
class Counts:
    """What waits for somebody. ``active``: of the ``problems``, those that users notice."""

    problems: int
    active: int
    approvals: int
    dead: int


def counts(conn: Connection) -> Counts:
    """Unresolved problems, runs awaiting approval, dead deliveries; in one statement, as every page asks."""

    def of(table: sa.Table, condition: sa.ColumnElement[bool]) -> sa.ScalarSelect[int]:
        return sa.select(sa.func.count()).select_from(table).where(condition).scalar_subquery()

    unresolved = problem.c.state.in_(UNRESOLVED)
    query = sa.select(
        of(problem, unresolved),
        of(problem, unresolved & (problem.c.stage == Stage.ACTIVE)),
        of(run, run.c.state == RunState.AWAITING_APPROVAL),
        of(delivery, delivery.c.state == DeliveryState.DEAD),
    )
    return Counts(*conn.execute(query).one())


def _rows(conn: Connection, query: sa.Select[Any]) -> list[Row]:
    return [dict(row) for row in conn.execute(query).mappings()]
