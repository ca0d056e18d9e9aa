"""Alerts: pending, firing, resolved. Owns every transition of an alert."""

from collections import deque
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from math import inf
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from aiops.core import words
from aiops.core.settings import AlertingSettings
from aiops.model.lifecycle import AlertState, check
from aiops.model.series import Labels, SeriesIndex
from aiops.model.signal import Alert, AlertKind, Report, Severity, Signal

Key = tuple[Labels, AlertKind, str]

MOST_OVER = 10_000
FOREIGN_LASTS = 86400.0
"""Seconds for which an alert of another system outlives a restart, if nothing more is heard of it."""


@dataclass(frozen=True, slots=True)
class AlertChange:
    """One transition that has happened."""

    alert: Alert
    current: AlertState
    to: AlertState
    reason: str
    at: float


class Alerting:
    """All live alerts of one installation."""

    def __init__(
        self,
        index: SeriesIndex,
        settings: AlertingSettings,
        team: str = "default",
        teams: Mapping[str, str] | None = None,
    ) -> None:
        self._index = index
        self.settings = settings
        self._team, self._teams = team, dict(teams or {})
        """The installation's, and of each source that has one of its own."""
        self.live: dict[Key, Alert] = {}
        self._last_over: dict[Key, float] = {}
        self._last_seen: dict[Key, float] = {}
        self._fired: dict[Key, deque[float]] = {}
        self._settled: set[Key] = set()
        self._good: dict[Key, int] = {}
        """Samples in a row that were not over, of firing alerts."""
        self._until: dict[Key, float] = {}
        """When an alert of another system is taken for over, if nothing more is heard of it."""
        self._over_at: dict[tuple[str, str], float] = {}
        """Per source and name there, when an alert of another system was last over."""
        self._held = np.zeros(0, bool)
        self._holding: list[int] = []

    def restore(self, firing: Iterable[Alert]) -> None:
        """Take up the alerts that were firing when the engine stopped."""
        for alert in firing:
            self.live[alert.key] = alert
            self._last_over[alert.key] = self._last_seen[alert.key] = alert.updated
            if alert.kind is AlertKind.FOREIGN:
                self._until[alert.key] = alert.updated + FOREIGN_LASTS

    def adopt(self, old: "Alerting") -> None:
        """Go on with the live alerts of `old`, under our own settings."""
        self.live, self._last_over, self._last_seen = old.live, old._last_over, old._last_seen
        self._fired, self._settled, self._until = old._fired, old._settled, old._until
        self._over_at, self._good = old._over_at, old._good

    def settle(self, alerts: Iterable[Alert]) -> None:
        """Their problem is resolved: neither flapping nor a series that is gone is waited for any longer."""
        self._settled.update(alert.key for alert in alerts)

    def hold(
        self, relearn_after: float, now: float, sooner: Mapping[Key, float] = MappingProxyType({})
    ) -> NDArray[np.bool_]:
        """Slots in a confirmed anomaly, which detectors must not learn from; ``[index.capacity]``.

        Until the next call: new ones for each row would be a tenth of what its bookkeeping costs.
        `sooner`: seconds of the alerts for which they are others than `relearn_after`.
        """
        if len(self._held) < self._index.capacity:
            self._held = np.zeros(self._index.capacity, bool)
        held = self._held[: self._index.capacity]
        held[self._holding] = False
        self._holding = []
        for key, alert in self.live.items():
            if alert.state is AlertState.FIRING and now - alert.fired < sooner.get(key, relearn_after):
                slot = self._index.find(alert.labels)
                if slot is not None:
                    held[slot] = True
                    self._holding.append(slot)
        return held

    def step(
        self, signals: Iterable[Signal], row: dict[int, float], source: str, now: float
    ) -> list[AlertChange]:
        """Take one row: what is over, and the value of each slot that had a sample."""
        changes: list[AlertChange] = []
        reported = set()
        for signal in signals:
            reported.add(signal.key)
            changes += self._over(signal, source, now)
        for key, alert in list(self.live.items()):
            if key not in reported and alert.source == source:
                changes += self._not_over(key, alert, row, now)
        return changes

    def hear(self, reports: Iterable[Report], source: str, now: float) -> list[AlertChange]:
        """Take what another system says of its alerts, which it has debounced itself.

        One that fires since before it was last over is old news, told late or replayed.
        """
        changes: list[AlertChange] = []
        mine = {a.rule: a for a in self.live.values() if a.source == source and a.kind is AlertKind.FOREIGN}
        for report in reports:
            alert = mine.get(report.ident)
            if report.firing and not report.at <= self._over_at.get((source, report.ident), -inf):
                labels = alert.labels if alert else report.labels
                said = (report.text, report.url)
                signal = Signal(
                    labels,
                    AlertKind.FOREIGN,
                    report.ident,
                    True,
                    report.severity,
                    report.observed,
                    examples=said,
                )
                changes += self._over(signal, source, now)
                self._until[signal.key] = now + report.lasts
                mine[report.ident] = self.live[signal.key]
                if alert is None and report.at < now:
                    mine[report.ident].started = report.at
            elif not report.firing:
                self._remember_over(source, report, now)
                if alert is not None:
                    del mine[report.ident]
                    changes += self._drop(alert.key, alert, "over, as its own system says", now)
        return changes

    def _remember_over(self, source: str, report: Report, now: float) -> None:
        self._over_at.pop((source, report.ident), None)
        self._over_at[source, report.ident] = min(report.at, now) if report.at == report.at else -inf
        while len(self._over_at) > MOST_OVER:
            del self._over_at[next(iter(self._over_at))]

    def expire(self, now: float) -> list[AlertChange]:
        """Alerts of other systems of which nothing more was heard for as long as they said, or for a day."""
        late = [key for key, until in self._until.items() if until <= now and key in self.live]
        text = "nothing more was heard of it"
        return [change for key in late for change in self._drop(key, self.live[key], text, now)]

    def quiet(self, sources: Container[str], now: float) -> list[AlertChange]:
        """These sources have nothing more to say up to `now`: alerts whose series stopped resolve."""
        changes: list[AlertChange] = []
        for key, alert in list(self.live.items()):
            if alert.source in sources and now - self._last_seen[key] >= self.settings.stale_after:
                changes += self._drop(key, alert, "the series stopped", now)
        return changes

    def _over(self, signal: Signal, source: str, now: float) -> list[AlertChange]:
        alert = self.live.get(signal.key)
        changes: list[AlertChange] = []
        was_well = self._good.pop(signal.key, 0) >= self.settings.fire and signal.key in self._settled
        if alert is not None and was_well and alert.state is AlertState.FIRING:
            # well again after its repair, and over once more: a new fault, not what is left of the old one
            return self._drop(signal.key, alert, "it was well after its problem was resolved", now)
        if alert is None:
            team = dict(signal.labels).get("team") or self._teams.get(source) or self._team
            alert = Alert(signal.kind, signal.labels, now, signal.rule, source=source, team=team)
            self.live[signal.key] = alert
        self._last_over[signal.key] = self._last_seen[signal.key] = now
        _take(alert, signal, now)
        if alert.state is AlertState.PENDING and signal.fires:
            fired = self._fired.setdefault(signal.key, deque(maxlen=64))
            fired.append(now)
            alert.flaps = sum(1 for at in fired if at > now - self.settings.flapping.window)
            alert.fired = now
            reason = ". ".join(filter(None, (words.of_alert(alert), signal.because)))
            changes.append(self._move(alert, AlertState.FIRING, reason, now))
        return changes

    def _not_over(self, key: Key, alert: Alert, row: dict[int, float], now: float) -> list[AlertChange]:
        slot = self._index.find(alert.labels)
        value = row.get(slot) if slot is not None else None
        if value is None:
            limit = self.settings.resolve_after if key in self._settled else self.settings.stale_after
            if now - self._last_seen[key] < limit:
                return []
            return self._drop(key, alert, "the series stopped", now)
        self._last_seen[key] = now
        self._good[key] = self._good.get(key, 0) + 1
        if alert.state is AlertState.PENDING:
            # a pending alert that comes to nothing leaves no trace
            if now - self._last_over[key] >= self.settings.resolve_after:
                self._drop(key, alert, "it did not last", now)
            return []
        # damping keeps problems from coming and going; once that of the alert is resolved, it would only hide
        # the next fault, as of a service that dies again after each repair
        needed = self.settings.resolve_after if key in self._settled else self._quiet_needed(alert)
        if now - self._last_over[key] < needed:
            return []
        return self._drop(key, alert, f"quiet for {words.duration(needed)}", now)

    def _quiet_needed(self, alert: Alert) -> float:
        """Each firing beyond the flap count doubles the quiet that a resolve needs."""
        flapping = self.settings.flapping
        extra = max(0, alert.flaps - flapping.count + 1)
        return float(
            max(self.settings.resolve_after, min(flapping.max_hold, self.settings.resolve_after * 2**extra))
        )

    def _drop(self, key: Key, alert: Alert, reason: str, now: float) -> list[AlertChange]:
        was_firing = alert.state is AlertState.FIRING
        del self.live[key]
        self._settled.discard(key)
        self._good.pop(key, None)
        self._last_over.pop(key, None)
        self._last_seen.pop(key, None)
        self._until.pop(key, None)
        self._forget_old_firings(now)
        alert.resolved = now
        change = self._move(alert, AlertState.RESOLVED, reason, now)
        return [change] if was_firing else []

    def _forget_old_firings(self, now: float) -> None:
        oldest = now - self.settings.flapping.window
        for key in [k for k, fired in self._fired.items() if fired[-1] < oldest and k not in self.live]:
            del self._fired[key]

    def _move(self, alert: Alert, to: AlertState, reason: str, now: float) -> AlertChange:
        check(alert.state, to)
        change = AlertChange(alert, alert.state, to, reason, now)
        alert.state, alert.updated, alert.reason = to, now, reason
        return change


def _take(alert: Alert, signal: Signal, now: float) -> None:
    alert.observed, alert.updated = signal.observed, now
    alert.score, alert.peak = signal.score, max(alert.peak, signal.score)
    alert.expected, alert.lower, alert.upper = signal.expected, signal.lower, signal.upper
    alert.bound = signal.bound
    alert.breach_earliest = signal.breach.earliest
    alert.breach_expected = signal.breach.expected
    alert.breach_latest = signal.breach.latest
    alert.breach_chance, alert.breach_within = signal.breach.chance, signal.breach.within
    alert.examples = list(signal.examples) or alert.examples
    alert.severity = max(alert.severity, signal.severity, key=lambda s: Severity(s).level)
