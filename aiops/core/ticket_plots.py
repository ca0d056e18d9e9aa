"""The courses that a ticket shows: of its most telling alerts, thinned to what a small picture can hold."""

from collections.abc import Mapping, Sequence
from typing import Any

from aiops.core import words
from aiops.model.lifecycle import AlertState
from aiops.model.problem import Problem
from aiops.model.signal import Alert

MOST = 2
POINTS = 120
FEWEST = 5

Points = Mapping[str, Sequence[float | None]]
"""``times, observed, expected, lower, upper``, of equal length; None = no sample."""


def shown(problem: Problem) -> list[Alert]:
    """The alerts whose courses are worth a picture, the most telling first."""
    known = [alert for alert in problem.alerts if alert.id]
    order = lambda a: (a.state is AlertState.FIRING, a.severity.level, a.peak)  # noqa: E731
    return sorted(known, key=order, reverse=True)[:MOST]


def plots(alerts: Sequence[Alert], points: Mapping[int, Points]) -> list[dict[str, Any]]:
    """``[{title, metric, bound, times, observed, lower, upper}]``; none of a course with hardly a sample."""
    found = []
    for alert in alerts:
        course = points.get(alert.id, {})
        times = course.get("times") or []
        if sum(value is not None for value in course.get("observed") or []) < FEWEST:
            continue
        every = -(-len(times) // POINTS)
        named = {name: list(course[name])[::every] for name in ("times", "observed", "lower", "upper")}
        bound = alert.bound if alert.bound == alert.bound else None
        found.append({"title": words.subject(alert.labels), "metric": alert.metric, "bound": bound, **named})
    return found
