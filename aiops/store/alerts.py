"""Alerts and their evidence, as many as a step changes at a time. The caller owns the transaction."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, TypeAlias

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from aiops.model.lifecycle import AlertState
from aiops.model.signal import Alert
from aiops.store import rows
from aiops.store.rows import labels_in, null
from aiops.store.tables import alert as alert_table
from aiops.store.tables import evidence

Points: TypeAlias = Mapping[str, list[float | None]]

ALERT_NUMBERS = tuple(f.name for f in fields(Alert) if f.type is float or f.type == "float")


def save_alerts(conn: Connection, alerts: Iterable[tuple[Alert, int | None]]) -> None:
    """Each with its problem's id: insert what has no id yet, which gives it its id, and update the others."""
    # only one of a series may fire: what is over is written first
    listed = sorted(alerts, key=lambda one: one[0].id == 0 or one[0].state is AlertState.FIRING)
    rows.save(conn, alert_table, [(alert, _columns(alert, problem_id)) for alert, problem_id in listed])


def save_evidence(conn: Connection, points: Mapping[int, Points]) -> None:
    """By id of the alert, the course of its series around it; replaces what was kept before."""
    dialect = postgresql if conn.dialect.name == "postgresql" else sqlite
    made = dialect.insert(evidence)
    saved = made.on_conflict_do_update(index_elements=["alert_id"], set_={"points": made.excluded.points})
    for batch in rows.batches(list(points.items())):
        conn.execute(saved, [{"alert_id": ident, "points": course} for ident, course in batch])


def _columns(alert: Alert, problem_id: int | None) -> dict[str, Any]:
    values: dict[str, Any] = {name: null(getattr(alert, name)) for name in ALERT_NUMBERS}
    values |= {
        "problem_id": problem_id,
        "rule": alert.rule,
        "source": alert.source,
        "state": alert.state.value,
        "severity": alert.severity.value,
        "flaps": alert.flaps,
        "silenced_by": alert.silenced_by,
        "reason": alert.reason,
        "examples": alert.examples,
        "joined": alert.joined,
        "team": alert.team,
    }
    if alert.id == 0:  # what it is known by never changes
        values |= {
            "fingerprint": alert.fingerprint,
            "kind": alert.kind.value,
            "labels": labels_in(alert.labels),
        }
    return values
