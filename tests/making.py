"""Alerts, signals and settings for tests, with only what a test cares about spelled out."""

from typing import Any

from aiops.config import Alerting, Grouping
from aiops.model.lifecycle import AlertState
from aiops.model.series import Labels, labels_of
from aiops.model.signal import Alert, AlertKind, Severity, Signal

NOW = 1_767_225_600.0
"""2026-01-01 00:00:00 UTC"""


def labels(metric: str = "load", **pairs: str) -> Labels:
    return labels_of({"__name__": metric, **pairs})


def signal(of: Labels, fires: bool = True, **fields: Any) -> Signal:
    kind = fields.pop("kind", AlertKind.ANOMALY)
    severity = fields.pop("severity", Severity.MINOR)
    rule = fields.pop("rule", "adaptive")
    return Signal(of, kind, rule, fires, severity, fields.pop("observed", 1.0), **fields)


def firing(metric: str = "load", at: float = NOW, **fields: Any) -> Alert:
    """A firing alert; fields of `Alert` go by name, anything else is a label."""
    known = {name: fields.pop(name) for name in list(fields) if name in Alert.__slots__ and name != "labels"}
    kind = known.pop("kind", AlertKind.ANOMALY)
    alert = Alert(kind, labels(metric, **fields), at, known.pop("rule", "adaptive"), state=AlertState.FIRING)
    alert.fired = alert.updated = at
    alert.observed, alert.source = 1.0, "prod"
    for name, value in known.items():
        setattr(alert, name, value)
    return alert


def alerting(**keys: Any) -> Alerting:
    return Alerting.model_validate(keys)


def grouping(**keys: Any) -> Grouping:
    return Grouping.model_validate(keys)
