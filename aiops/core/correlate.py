"""Which problem an alert belongs to. Simple and explained: shared labels, close in time."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from aiops.core import words
from aiops.core.settings import GroupingSettings
from aiops.model.lifecycle import AlertState, ProblemState
from aiops.model.problem import Problem
from aiops.model.series import Labels, text_of
from aiops.model.signal import Alert, AlertKind


@dataclass(frozen=True, slots=True)
class Placement:
    """`alert` belongs to `problem`, or to a new one when that is None; `because` says why in words."""

    alert: Alert
    problem: Problem | None
    because: str


def place(alert: Alert, problems: Iterable[Problem], now: float, settings: GroupingSettings) -> Placement:
    """The problem that `alert` joins, the most recent evidence first.

    An alert joins a problem of its team that shares the value of one grouping label and that still fires or
    had evidence within the window; and its own former problem while that may be reopened.
    """
    candidates = sorted(problems, key=_freshness, reverse=True)
    for problem in candidates:
        if problem.team == alert.team and _had(problem, alert) and _may_reopen(problem, now, settings):
            return Placement(alert, problem, "the same alert came back")
    for problem in candidates:
        if problem.team != alert.team or problem.state is ProblemState.RESOLVED:
            continue
        shared = shared_label(alert, problem.alerts, settings.by)
        ago = now - _freshness(problem)
        if shared and (ago <= settings.window or still_firing(problem)):
            return Placement(alert, problem, f"same {shared[0]} {shared[1]}, {words.duration(ago)} later")
    return Placement(alert, None, "nothing near in time shares its labels")


def shared_label(alert: Alert, others: Sequence[Alert], by: Sequence[str]) -> tuple[str, str] | None:
    """The first grouping label, in the order of `by`, on which the alert agrees with one of the others.

    Alerts on the very same series agree, whatever their labels are.
    """
    if any(alert.labels == other.labels for other in others):
        return "series", text_of(alert.labels)
    mine = dict(alert.labels)
    for name in by:
        value = mine.get(name)
        if value and any(dict(other.labels).get(name) == value for other in others):
            return name, value
    return None


def _freshness(problem: Problem) -> float:
    # in this order max passes over a NaN
    return max(problem.opened, problem.last_evidence)


def _had(problem: Problem, alert: Alert) -> bool:
    return any(known.key == alert.key for known in problem.alerts)


def _may_reopen(problem: Problem, now: float, settings: GroupingSettings) -> bool:
    if problem.state is not ProblemState.RESOLVED:
        return True
    return now - problem.resolved <= settings.reopen_within


def still_firing(problem: Problem) -> bool:
    return any(alert.state is AlertState.FIRING for alert in problem.alerts)


_RANK = {
    AlertKind.SLI: 4,
    AlertKind.LIMIT: 3,
    AlertKind.FORECAST: 3,
    AlertKind.LOG: 2,
    AlertKind.ANOMALY: 2,
    AlertKind.SILENCE: 1,
}


def importance(alert: Alert) -> tuple[bool, int, int, float]:
    """By this the alert is chosen that gives a problem its title."""
    return alert.state is AlertState.FIRING, _RANK[alert.kind], alert.severity.level, alert.peak


def common_labels(alerts: Sequence[Alert]) -> Labels:
    """The labels on which all alerts agree."""
    common = set(alerts[0].labels)
    for alert in alerts[1:]:
        common &= set(alert.labels)
    return tuple(sorted(common))
