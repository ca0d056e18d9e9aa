"""Alerts, signals and settings for tests, with only what a test cares about spelled out."""

import math
from itertools import count
from typing import Any

from aiops.config import Alerting, Grouping
from aiops.core.problems import ProblemChange, Problems
from aiops.model.lifecycle import AlertState
from aiops.model.problem import Problem
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


class ProblemStand:
    """The problems of one installation, their live alerts, and a clock."""

    def __init__(self, escalate_after: float = math.inf, **keys: object) -> None:
        numbers = count(1)
        self.problems = Problems(grouping(**keys), lambda: f"fw-{next(numbers)}", lambda p: escalate_after)
        self.live: list[Alert] = []
        self.now = NOW

    def step(self, *new: Alert, after: float = 0.0) -> list[ProblemChange]:
        self.now += after
        for alert in new:
            alert.fired = alert.updated = self.now
        self.live = [a for a in self.live if a.state is AlertState.FIRING] + list(new)
        found = self.problems.correlate(self.live, self.now)
        return found + self.problems.tick(self.now)

    def clear(self, *alerts: Alert, after: float = 0.0) -> list[ProblemChange]:
        for alert in alerts or self.live:
            alert.state = AlertState.RESOLVED
        return self.step(after=after)

    @property
    def only(self) -> Problem:
        (one,) = self.problems.known
        return one
