"""What follows from a problem's alerts: title, labels, severity, time to breach."""

import math

from aiops.core import words
from aiops.core.correlate import common_labels, importance
from aiops.model.lifecycle import AlertState
from aiops.model.problem import Problem
from aiops.model.signal import Alert, AlertKind


def rewrite(problem: Problem) -> None:
    """Bring them up to date; the severity only ever rises."""
    problem.severity = max((problem.severity, *(a.severity for a in problem.alerts)), key=lambda s: s.level)
    leading = max(problem.alerts, key=importance)
    if leading.state is AlertState.FIRING or not problem.title:
        problem.title = words.of_alert(leading)
    problem.labels = common_labels(problem.alerts)
    ahead = [a for a in problem.alerts if math.isfinite(a.breach_expected)]
    if ahead:
        first = min(ahead, key=lambda a: a.breach_expected)
        problem.breach_earliest = first.breach_earliest
        problem.breach_expected, problem.breach_latest = first.breach_expected, first.breach_latest


def sli_firing(problem: Problem) -> Alert | None:
    """The alert that says that users notice."""
    return next((a for a in problem.alerts if a.kind is AlertKind.SLI and a.state is AlertState.FIRING), None)
