"""Declared limits and SLIs over series: breached now, and, with a horizon, forecast."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aiops.core.experts import Experts
from aiops.core.odds import Crossing
from aiops.model.frame import Frame
from aiops.model.selector import Selector
from aiops.model.series import SeriesIndex
from aiops.model.signal import AlertKind, Breach, Severity, Signal
from aiops.plugin import Column, Columns

CONFIRM = 3
"""A crossing has to be predicted this many samples in a row; then as many misses are borne."""


@dataclass(frozen=True, slots=True)
class Rule:
    """``sign`` +1: breached above ``bound``; -1: below. ``hold`` and ``horizon`` in seconds."""

    kind: AlertKind
    name: str
    selector: Selector
    bound: float
    sign: int
    severity: Severity
    hold: float = 0.0
    horizon: float = 0.0
    countdown: bool = False
    """The value is the time that is left: nothing has to be learnt to know when it is at the bound."""


class RuleWatch:
    """One rule over all its series."""

    def __init__(self, rule: Rule, index: SeriesIndex) -> None:
        self.rule = rule
        self._index = index
        self.columns = Columns(
            member=Column(np.bool_), since=Column(np.float64, np.nan), ahead=Column(np.uint8)
        )
        learns = rule.horizon and not rule.countdown
        self.experts = Experts(rule.bound, rule.sign, rule.horizon) if learns else None
        self.welcome(index.live())

    def parts(self) -> dict[str, Columns]:
        """What is learnt, for checkpoints."""
        found = {"rule": self.columns}
        if self.experts:
            found |= {"experts": self.experts.columns, "experts-rows": self.experts.rows}
            found["ramps"] = self.experts.ramps.columns
        return found

    def welcome(self, fresh: NDArray[np.int32]) -> None:
        self.columns.ensure(self._index.capacity)
        self.columns.reset(fresh)
        if self.experts:
            self.experts.welcome(fresh)
        self.columns["member"][fresh] = self._index.matches(fresh, self.rule.selector)

    def warm(self, frame: Frame) -> None:
        """Learn the course of the series from history, for forecasts."""
        where = self.columns["member"][frame.slots]
        if self.experts and where.any():
            for row in frame.rows():
                self.experts.learn(float(row.times[0]), row.slots[where], row.values[0, where])

    def step(self, row: Frame) -> list[Signal]:
        """What is breached, or will be, in this row (T = 1)."""
        where = self.columns["member"][row.slots]
        if not where.any():
            return []
        now, slots, values = float(row.times[0]), row.slots[where], row.values[0, where]
        have = ~np.isnan(values)
        slots, values = slots[have], values[have]
        breached = (values - self.rule.bound) * self.rule.sign > 0
        since = self.columns["since"]
        started = np.where(np.isnan(since[slots]), now, since[slots])
        since[slots] = np.where(breached, started, np.nan)
        fires = breached & (now - started >= self.rule.hold)
        signals = [
            self._signal(self.rule.kind, slots[i], values[i], bool(fires[i]))
            for i in np.flatnonzero(breached)
        ]
        return signals + self._ahead(now, slots, values, breached)

    def _ahead(
        self, now: float, slots: NDArray[np.int32], values: NDArray[np.float64], breached: NDArray[np.bool_]
    ) -> list[Signal]:
        if not self.rule.horizon:
            return []
        earliest, expected, latest, chance = self._crossing(now, slots, values)
        ahead = self.columns["ahead"]
        before, coming = ahead[slots], np.isfinite(expected)
        missed = np.where(before > CONFIRM, before - 1, 0)
        # a crossing that was foreseen keeps its forecast alive, so that one fault is one story
        after = np.where(coming, np.minimum(before + 1, 2 * CONFIRM), np.where(breached, before, missed))
        ahead[slots] = after
        fires = after >= CONFIRM
        found = []
        for i in np.flatnonzero(coming | (breached & fires)):
            when = Breach(
                float(earliest[i]), float(expected[i]), float(latest[i]), float(chance[i]), self.rule.horizon
            )
            if breached[i]:
                when = Breach(now, now, now, 1.0, self.rule.horizon)
            found.append(self._signal(AlertKind.FORECAST, slots[i], values[i], bool(fires[i]), when))
        return found

    def _crossing(self, now: float, slots: NDArray[np.int32], values: NDArray[np.float64]) -> Crossing:
        if self.experts is None:
            left = (values - self.rule.bound) * -self.rule.sign
            at = np.where((left >= 0) & (left <= self.rule.horizon), now + left, np.inf)
            return Crossing(at, at, at, np.isfinite(at).astype(float))
        self.experts.learn(now, slots, values)
        return self.experts.crossing(now, slots, values)

    def _signal(
        self, kind: AlertKind, slot: np.int32, value: np.float64, fires: bool, breach: Breach | None = None
    ) -> Signal:
        return Signal(
            labels=self._index.labels(int(slot)),
            kind=kind,
            rule=self.rule.name,
            fires=fires,
            severity=self.rule.severity,
            observed=float(value),
            bound=self.rule.bound,
            breach=breach or Breach(),
        )


def watch_all(rules: Sequence[Rule], index: SeriesIndex) -> list[RuleWatch]:
    return [RuleWatch(rule, index) for rule in rules]
