"""Problems and their alerts in the store. Plain functions; the caller owns the transaction."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from aiops.model.lifecycle import AlertState, ProblemState, Stage
from aiops.model.problem import EscalationReason, Problem, Verdict
from aiops.model.signal import Alert, AlertKind, Severity
from aiops.store import rows
from aiops.store.alerts import ALERT_NUMBERS
from aiops.store.rows import labels_in, labels_out, nan, null
from aiops.store.tables import alert as alert_table
from aiops.store.tables import audit, watermark
from aiops.store.tables import problem as problem_table

Known: TypeAlias = Mapping[str, Any] | RowMapping
"""A row of a table, by its columns."""

_PROBLEM_NUMBERS = (
    "opened",
    "updated",
    "last_evidence",
    "breached",
    "breach_earliest",
    "breach_expected",
    "breach_latest",
    "breach_chance",
    "breach_within",
    "resolved",
    "acknowledged",
    "snoozed_until",
)
NUMBER = "(number of the last work)"
"""Stands among the watermarks, where no source bears such a name."""


def save_problems(conn: Connection, problems: Iterable[Problem]) -> None:
    """Insert each that has no id yet, which gives it its id, or update its row."""
    rows.save(conn, problem_table, [(problem, _columns(problem)) for problem in problems])


def _columns(problem: Problem) -> dict[str, Any]:
    values: dict[str, Any] = {name: null(getattr(problem, name)) for name in _PROBLEM_NUMBERS}
    return values | {
        "key": problem.key,
        "title": problem.title,
        "state": problem.state.value,
        "stage": problem.stage.value,
        "severity": problem.severity.value,
        "labels": labels_in(problem.labels),
        "assignee": problem.assignee,
        "escalation": problem.escalation.value if problem.escalation else None,
        "reason": problem.reason,
        "flaps": problem.flaps,
        "merged_into": problem.merged_into,
        "verdict": problem.verdict.value if problem.verdict else "",
        "team": problem.team,
    }


def save_watermark(conn: Connection, source: str, acted_until: float) -> None:
    """Samples of `source` up to `acted_until` have had their effect."""
    where = watermark.c.source == source
    changed = conn.execute(watermark.update().where(where).values(acted_until=acted_until))
    if changed.rowcount == 0:
        conn.execute(watermark.insert().values(source=source, acted_until=acted_until))


def watermarks(conn: Connection) -> dict[str, float]:
    marks = {row.source: row.acted_until for row in conn.execute(sa.select(watermark))}
    marks.pop(NUMBER, None)
    return marks


def note_number(conn: Connection, number: float) -> None:
    """Write down which transaction this is, to be asked for when its commit has no answer."""
    save_watermark(conn, NUMBER, number)


def is_noted(conn: Connection, number: float) -> bool:
    """Whether the last transaction that was written down is this one."""
    query = sa.select(watermark.c.acted_until).where(watermark.c.source == NUMBER)
    return bool(conn.execute(query).scalar() == number)


def load_known(conn: Connection, resolved_since: float) -> list[Problem]:
    """Problems that are not over, and those resolved since then, each with its alerts."""
    c = problem_table.c
    wanted = (c.state != ProblemState.RESOLVED.value) | (c.resolved >= resolved_since)
    found = [_problem(row) for row in conn.execute(sa.select(problem_table).where(wanted)).mappings()]
    _attach_alerts(conn, found)
    return found


def load(conn: Connection, problem_id: int) -> Problem | None:
    """One problem with its alerts."""
    row = conn.execute(sa.select(problem_table).where(problem_table.c.id == problem_id)).mappings().first()
    if row is None:
        return None
    problem = _problem(row)
    _attach_alerts(conn, [problem])
    return problem


def built(row: Known, alerts: Iterable[Known]) -> Problem:
    """One problem of its row and of rows of its alerts."""
    problem = _problem(row)
    _attach({problem.id: problem}, sorted(alerts, key=lambda one: one["id"]))
    return problem


def load_firing(conn: Connection) -> list[Alert]:
    """Alerts that fire but belong to no problem (silenced, or not enough yet)."""
    c = alert_table.c
    query = sa.select(alert_table).where(c.state == AlertState.FIRING.value, c.problem_id.is_(None))
    return [_alert(row) for row in conn.execute(query).mappings()]


def over(before: float) -> sa.ColumnElement[bool]:
    """Resolved before then (epoch s)."""
    c = problem_table.c
    return (c.state == ProblemState.RESOLVED.value) & (c.resolved < before)


def purge(conn: Connection, before: float) -> int:
    """Delete problems resolved before then, with all that belongs to them; returns how many."""
    old = over(before)
    ids = sa.select(problem_table.c.id).where(old)
    conn.execute(audit.delete().where(audit.c.problem_id.in_(ids)))
    conn.execute(alert_table.delete().where(alert_table.c.problem_id.in_(ids)))
    return conn.execute(problem_table.delete().where(old)).rowcount


def _attach_alerts(conn: Connection, problems: Iterable[Problem]) -> None:
    by_id = {problem.id: problem for problem in problems}
    if by_id:
        query = sa.select(alert_table).where(alert_table.c.problem_id.in_(by_id)).order_by(alert_table.c.id)
        _attach(by_id, conn.execute(query).mappings())


def _attach(by_id: Mapping[int, Problem], rows: Iterable[Known]) -> None:
    """Rows of alerts, in the order of their ids."""
    latest: dict[tuple[int, object], int] = {}
    for row in rows:
        problem, alert = by_id[row["problem_id"]], _alert(row)
        alert.problem_key = problem.key
        place = latest.setdefault((problem.id, alert.key), len(problem.alerts))
        # a later firing of the same alert stands in the place of the former, as it does in memory
        problem.alerts[place : place + 1] = [alert]


def _problem(row: Known) -> Problem:
    problem = Problem(key=row["key"], opened=row["opened"])
    for name in _PROBLEM_NUMBERS:
        setattr(problem, name, nan(row[name]))
    problem.id, problem.title, problem.team = row["id"], row["title"], row["team"]
    problem.state, problem.stage = ProblemState(row["state"]), Stage(row["stage"])
    problem.severity = Severity(row["severity"])
    problem.labels = labels_out(row["labels"])
    problem.assignee, problem.reason = row["assignee"], row["reason"]
    problem.escalation = EscalationReason(row["escalation"]) if row["escalation"] else None
    problem.flaps, problem.merged_into = row["flaps"], row["merged_into"]
    problem.verdict = Verdict(row["verdict"]) if row["verdict"] else None
    return problem


def _alert(row: Known) -> Alert:
    alert = Alert(AlertKind(row["kind"]), labels_out(row["labels"]), row["started"], row["rule"])
    for name in ALERT_NUMBERS:
        setattr(alert, name, nan(row[name]))
    alert.id, alert.team, alert.source = row["id"], row["team"], row["source"]
    alert.state, alert.severity = AlertState(row["state"]), Severity(row["severity"])
    alert.flaps, alert.silenced_by, alert.reason = row["flaps"], row["silenced_by"], row["reason"]
    alert.examples, alert.joined = list(row["examples"]), row["joined"]
    return alert
