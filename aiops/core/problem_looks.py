"""What follows from a problem's alerts: title, labels, severity, time to breach."""

import math

from aiops.core import words
from aiops.core.correlate import common_labels, importance
from aiops.model.lifecycle import AlertState
from aiops.model.problem import Problem
from aiops.model.signal import Alert, AlertKind

NEXT = 60.0
"""Seconds to a breach below which the likelier one is the more pressing."""


def rewrite(problem: Problem) -> None:
    """Bring them up to date; the severity only ever rises."""
    problem.severity = max((problem.severity, *(a.severity for a in problem.alerts)), key=lambda s: s.level)
    leading = max(problem.alerts, key=importance)
    if leading.state is AlertState.FIRING or not problem.title:
        problem.title = words.of_alert(leading)
    problem.labels = common_labels(problem.alerts)
    foretold = [a for a in problem.alerts if math.isfinite(a.breach_expected)]
    standing = [a for a in foretold if a.state is AlertState.FIRING]
    # once no forecast stands any more, what was foretold last is kept, for the ledger
    ahead = standing or ([] if math.isfinite(problem.breach_expected) else foretold)
    if ahead:
        take_breach(problem, max(ahead, key=_pressing))


def take_breach(problem: Problem, of: Alert | Problem) -> None:
    """The same time to breach, interval and chance as `of`."""
    problem.breach_earliest, problem.breach_expected = of.breach_earliest, of.breach_expected
    problem.breach_latest = of.breach_latest
    problem.breach_chance, problem.breach_within = of.breach_chance, of.breach_within


def _pressing(alert: Alert) -> tuple[float, float]:
    """Chance over the time left: a likely breach in two hours comes before an unlikely one in one."""
    chance = 1.0 if math.isnan(alert.breach_chance) else alert.breach_chance
    left = max(NEXT, alert.breach_expected - alert.updated) if math.isfinite(alert.updated) else NEXT
    return chance / left, -alert.breach_expected


def sli_firing(problem: Problem) -> Alert | None:
    """The alert that says that users notice: an SLI is breached, or the budget of an objective is gone."""
    firing = (a for a in problem.alerts if a.state is AlertState.FIRING)
    return next((a for a in firing if a.kind is AlertKind.SLI or _gone(a)), None)


def noticed(alert: Alert) -> float:
    """Since when users do, by what `sli_firing` gave."""
    return alert.updated if alert.kind is AlertKind.BURN else alert.fired


def _gone(alert: Alert) -> bool:
    return alert.kind is AlertKind.BURN and alert.observed >= alert.bound
