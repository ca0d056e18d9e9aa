"""Read queries for API and console. Rows are plain dicts of the table's columns; times are epoch seconds.

Lists are newest first and paged by id: ``before`` is the last id of the page before.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from aiops.model.lifecycle import AlertState, DeliveryState, ProblemState, RunState
from aiops.model.signal import Severity
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
)

Row: TypeAlias = dict[str, Any]
Query: TypeAlias = sa.Select[tuple[Any, ...]]

OPEN_AT_MOST = 500
"""Unresolved problems that are ranked by urgency; more than anybody reads."""

ASLEEP = 1e6
UNKNOWN_MINUTES = 240.0
"""Time to breach that a prediction without one is ranked by."""


@dataclass(frozen=True, slots=True)
class ProblemFilter:
    """What a list of problems is narrowed to; empty = no narrowing."""

    states: tuple[str, ...] = ()
    stage: str = ""
    severity: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    text: str = ""
    """Part of the title or of the key, in any case."""

    def apply(self, query: Query) -> Query:
        if self.states:
            query = query.where(problem.c.state.in_(self.states))
        if self.stage:
            query = query.where(problem.c.stage == self.stage)
        if self.severity:
            query = query.where(problem.c.severity == self.severity)
        for name, value in self.labels:
            query = query.where(problem.c.labels[name].as_string() == value)
        if self.text:
            hit = problem.c.title.icontains(self.text, autoescape=True)
            query = query.where(hit | problem.c.key.icontains(self.text, autoescape=True))
        return query


def problems(conn: Connection, narrow: ProblemFilter, before: int | None, limit: int) -> list[Row]:
    """One page, newest first."""
    return _page(conn, narrow.apply(sa.select(problem)), problem, before, limit)


def open_problems(conn: Connection, now: float) -> list[Row]:
    """Everything unresolved, most urgent first."""
    query = sa.select(problem).where(problem.c.state != ProblemState.RESOLVED)
    rows = _rows(conn, query.order_by(problem.c.id.desc()).limit(OPEN_AT_MOST))
    return sorted(rows, key=lambda row: (-urgency(row, now), -row["opened"]))


def urgency(row: Mapping[str, Any], now: float) -> float:
    """Impact times P(breach) over minutes left: a level of severity counts fourfold.

    Active counts as sure, with one minute left. What is snoozed comes after everything else.
    """
    impact = float(4 ** Severity(row["severity"]).level)
    if (row.get("snoozed_until") or 0.0) > now:
        return impact / ASLEEP
    if row["stage"] == "active":
        return impact
    if row["breach_expected"] is None:
        return impact / UNKNOWN_MINUTES
    chance = 1.0 if row.get("breach_chance") is None else row["breach_chance"]
    return float(impact * chance / max(1.0, (row["breach_expected"] - now) / 60))


def resolved_problems(conn: Connection, since: float, limit: int) -> list[Row]:
    """Those resolved since `since`, latest first."""
    query = sa.select(problem).where(problem.c.state == ProblemState.RESOLVED, problem.c.resolved >= since)
    return _rows(conn, query.order_by(problem.c.resolved.desc()).limit(limit))


def get(conn: Connection, table: sa.Table, row_id: int) -> Row | None:
    """One row by its id."""
    return next(iter(_rows(conn, sa.select(table).where(table.c.id == row_id))), None)


@dataclass(frozen=True, slots=True)
class AlertFilter:
    states: tuple[str, ...] = ()
    kind: str = ""
    problem_id: int | None = None
    text: str = ""
    """Part of the labels or of the reason, in any case."""

    def apply(self, query: Query) -> Query:
        if self.states:
            query = query.where(alert.c.state.in_(self.states))
        if self.kind:
            query = query.where(alert.c.kind == self.kind)
        if self.problem_id is not None:
            query = query.where(alert.c.problem_id == self.problem_id)
        if self.text:
            labels = sa.cast(alert.c.labels, sa.Text).icontains(self.text, autoescape=True)
            query = query.where(labels | alert.c.reason.icontains(self.text, autoescape=True))
        return query


def alerts(conn: Connection, narrow: AlertFilter, before: int | None, limit: int) -> list[Row]:
    """One page, newest first."""
    return _page(conn, narrow.apply(sa.select(alert)), alert, before, limit)


def alerts_of(conn: Connection, problem_id: int, limit: int = 200) -> list[Row]:
    """A problem's alerts: firing before resolved, then the most surprising first."""
    firing = sa.case((alert.c.state == AlertState.FIRING, 0), else_=1)
    query = sa.select(alert).where(alert.c.problem_id == problem_id)
    return _rows(conn, query.order_by(firing, alert.c.peak.desc(), alert.c.id).limit(limit))


def open_entities(conn: Connection) -> list[Row]:
    """Labels of what fires in unresolved problems: ``labels``, and the problem's ``problem_id, severity``."""
    query = (
        sa.select(alert.c.labels, problem.c.id.label("problem_id"), problem.c.severity)
        .join(problem, problem.c.id == alert.c.problem_id)
        .where(problem.c.state != ProblemState.RESOLVED, alert.c.state == AlertState.FIRING)
    )
    return _rows(conn, query.order_by(problem.c.id.desc()).limit(2000))


def worst_alerts(conn: Connection, problem_ids: Sequence[int]) -> dict[int, Row]:
    """Problem id -> its most surprising alert that is still firing, else its most surprising one."""
    rank = sa.func.row_number().over(
        partition_by=alert.c.problem_id,
        order_by=(sa.case((alert.c.state == AlertState.FIRING, 0), else_=1), alert.c.peak.desc(), alert.c.id),
    )
    inner = sa.select(alert, rank.label("rank")).where(alert.c.problem_id.in_(problem_ids)).subquery()
    return {row["problem_id"]: row for row in _rows(conn, sa.select(inner).where(inner.c.rank == 1))}


def evidence_of(conn: Connection, alert_ids: Iterable[int]) -> dict[int, dict[str, list[float | None]]]:
    """Alert id -> its stored points, one list a column (`tables.evidence`)."""
    query = sa.select(evidence).where(evidence.c.alert_id.in_(list(alert_ids)))
    return {row["alert_id"]: row["points"] for row in _rows(conn, query)}


def tickets_of(conn: Connection, problem_id: int) -> list[Row]:
    query = sa.select(ticket).where(ticket.c.problem_id == problem_id)
    return _rows(conn, query.order_by(ticket.c.id))


@dataclass(frozen=True, slots=True)
class RunFilter:
    states: tuple[str, ...] = ()
    problem_id: int | None = None
    playbook: str = ""

    def apply(self, query: Query) -> Query:
        if self.states:
            query = query.where(run.c.state.in_(self.states))
        if self.problem_id is not None:
            query = query.where(run.c.problem_id == self.problem_id)
        if self.playbook:
            query = query.where(run.c.playbook == self.playbook)
        return query


def runs(conn: Connection, narrow: RunFilter, before: int | None, limit: int) -> list[Row]:
    """One page, newest first; each with its problem's title."""
    query = sa.select(run, problem.c.title).join(problem, problem.c.id == run.c.problem_id)
    return _page(conn, narrow.apply(query), run, before, limit)


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


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    state: str = ""
    sink: str = ""
    problem_id: int | None = None

    def apply(self, query: Query) -> Query:
        if self.state:
            query = query.where(delivery.c.state == self.state)
        if self.sink:
            query = query.where(delivery.c.sink == self.sink)
        if self.problem_id is not None:
            query = query.where(delivery.c.problem_id == self.problem_id)
        return query


def deliveries(conn: Connection, narrow: DeliveryFilter, before: int | None, limit: int) -> list[Row]:
    """One page, newest first; each with its problem's title."""
    query = sa.select(delivery, problem.c.title).join(problem, problem.c.id == delivery.c.problem_id)
    return _page(conn, narrow.apply(query), delivery, before, limit)


def attempts_of(conn: Connection, delivery_id: int) -> list[Row]:
    """Every try of a delivery, oldest first."""
    query = sa.select(attempt).where(attempt.c.delivery_id == delivery_id)
    return _rows(conn, query.order_by(attempt.c.id))


@dataclass(frozen=True, slots=True)
class Counts:
    """What waits for somebody."""

    problems: int
    approvals: int
    dead: int


def counts(conn: Connection) -> Counts:
    """Unresolved problems, runs awaiting approval, dead deliveries."""

    def of(table: sa.Table, condition: sa.ColumnElement[bool]) -> int:
        query = sa.select(sa.func.count()).select_from(table).where(condition)
        return int(conn.execute(query).scalar_one())

    return Counts(
        problems=of(problem, problem.c.state != ProblemState.RESOLVED),
        approvals=of(run, run.c.state == RunState.AWAITING_APPROVAL),
        dead=of(delivery, delivery.c.state == DeliveryState.DEAD),
    )


def _page(conn: Connection, query: Query, table: sa.Table, before: int | None, limit: int) -> list[Row]:
    if before is not None:
        query = query.where(table.c.id < before)
    return _rows(conn, query.order_by(table.c.id.desc()).limit(limit))


def _rows(conn: Connection, query: sa.Select[Any]) -> list[Row]:
    return [dict(row) for row in conn.execute(query).mappings()]
