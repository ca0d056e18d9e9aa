"""Which problem an alert belongs to: shared labels, else affinity in time and topology. Always explained."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aiops.core import words
from aiops.core.affinity import Affinity, Mark
from aiops.core.components import entity_of
from aiops.core.settings import GroupingSettings
from aiops.core.topology import Topology, declared
from aiops.model.lifecycle import AlertState, ProblemState
from aiops.model.problem import Problem
from aiops.model.series import NAME, Labels, text_of
from aiops.model.signal import Alert, AlertKind


@dataclass(frozen=True, slots=True)
class Placement:
    """`alert` belongs to `problem`, or to a new one when that is None; `because` says why in words.

    `same`: problems that `alert` shows to be one with `problem`.
    """

    alert: Alert
    problem: Problem | None
    because: str
    same: tuple[Problem, ...] = ()


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
    AlertKind.BURN: 3,
    AlertKind.LIMIT: 3,
    AlertKind.FORECAST: 3,
    AlertKind.FOREIGN: 2,
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


class Correlator:
    """`place` first; where no label is shared, what the affinity of alerts says (`aiops.core.affinity`)."""

    def __init__(self, settings: GroupingSettings) -> None:
        self.settings = settings
        self.affinity = Affinity(Topology(declared(settings.calls)))
        self._alerts: dict[int, list[Alert]] = {}

    def adopt(self, old: "Correlator") -> None:
        """Go on with what `old` knew, under our own declared links."""
        topology = self.affinity.topology
        topology.adopt(old.affinity.topology)
        self.affinity, self.affinity.topology = old.affinity, topology
        self._alerts = old._alerts

    def snapshot(self) -> dict[str, Any]:
        """What was learnt, JSON-able: observed links, and who keeps failing together."""
        return {"links": self.affinity.topology.snapshot(), "kin": self.affinity.kin.snapshot()}

    def restore(self, data: Mapping[str, Any], now: float) -> None:
        """Take up what `snapshot` gave. Raises ValueError or KeyError when it is none."""
        self.affinity.topology.restore(data["links"], now)
        self.affinity.kin.restore(data["kin"])

    def place(self, alert: Alert, problems: Sequence[Problem], now: float) -> Placement:
        """The problem that `alert` joins, and why; the reason is kept with the alert."""
        found = self._place(alert, problems, now)
        alert.joined = found.because
        return found

    def _place(self, alert: Alert, problems: Sequence[Problem], now: float) -> Placement:
        found = place(alert, problems, now, self.settings)
        mark = _mark(alert, now, self.settings.by)
        if mark is None:
            return found
        placing = self.affinity.add(mark)
        group = self.affinity.find(placing.group)
        groups = [self._alerts.pop(other, []) for other in sorted({*placing.merged, group})]
        beside = [one for those in groups for one in those if one.key != alert.key]
        self._alerts = {g: those for g, those in self._alerts.items() if g in self.affinity.groups}
        self._alerts[group] = [*beside, alert]
        live = {p.key: p for p in problems if p.state is not ProblemState.RESOLVED and p.team == alert.team}
        if found.problem is None:
            joined = [live[key] for key in _keys(beside) if key in live]
            if not joined:
                return found
            found = Placement(alert, max(joined, key=_freshness), placing.because)
        if not placing.merged:
            return found
        # a group that holds alerts of several problems says nothing of any two of them
        alone = [
            live[key] for those in groups if len(keys := _keys(those) & live.keys()) == 1 for key in keys
        ]
        if found.problem not in alone:
            return found
        return replace(found, same=tuple(p for p in alone if p is not found.problem))


def _keys(alerts: Iterable[Alert]) -> set[str]:
    return {one.problem_key for one in alerts if one.problem_key}


def _mark(alert: Alert, now: float, by: Sequence[str]) -> Mark | None:
    labels = dict(alert.labels)
    entity = entity_of(alert.labels, by)
    if not entity:
        return None
    text = f"{alert.kind} {labels.get(NAME, alert.rule)}"
    return Mark(now, entity, text, labels.get("namespace", ""))
