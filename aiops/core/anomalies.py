"""From scores to anomalies: the bar, what so few samples can support, and the debounce. Columnar."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiops.core.detect import Scored
from aiops.core.settings import AlertingSettings
from aiops.model.rows import run_of
from aiops.model.selector import Selector
from aiops.model.series import SeriesIndex
from aiops.model.signal import AlertKind, Severity, Signal
from aiops.plugin import Column, Columns

MAJOR_ABOVE = 4.0
"""An anomaly this many decades above its bar is major: alone it opens a problem."""

SUPPORT = 2.0
"""n samples cannot tell events rarer than about 1 in n; two decades more are granted to the model's shape."""

RATIOS = (
    (Selector.parse('{__name__=~".+_ratio"}'), 1.0),
    (Selector.parse('{__name__=~".+_percent"}'), 100.0),
)
"""What is called so cannot be more, until it was."""


class AnomalyWatch:
    """Per slot: the last samples as bits (over the bar or not), and how many samples were ever seen."""

    def __init__(self, index: SeriesIndex, settings: AlertingSettings) -> None:
        self._index = index
        self._settings = settings
        self.moved: dict[int, float] = {}
        """Slot -> decades by which its bar is higher, where people said so."""
        self.columns = Columns(bits=Column(np.uint64), seen=Column(np.uint32), negative=Column(np.bool_))
        self._tops = np.zeros(0, np.float32)
        """Per slot: what its values cannot exceed; told by the labels, so it is in no checkpoint."""
        self._ratios = False
        """Whether there is a slot with such a bound."""

    def welcome(self, fresh: NDArray[np.int32]) -> None:
        self.columns.ensure(self._index.capacity)
        self.columns.reset(fresh)
        self._bound(fresh)
        if self.moved:
            gone = set(fresh.tolist())
            self.moved = {slot: by for slot, by in self.moved.items() if slot not in gone}

    def warm(self, slots: NDArray[np.int32], counts: NDArray[np.integer[Any]]) -> None:
        """Samples learnt from history count as seen."""
        self.columns["seen"][slots] += counts.astype(np.uint32)

    def borrow(self, slot: int, siblings: NDArray[np.int32]) -> None:
        """What was seen of `siblings` supports the scores of `slot` too."""
        seen = self.columns["seen"]
        seen[slot] = max(int(seen[slot]), int(np.median(seen[siblings])))

    def step(self, scored: Scored, bar: float, names: list[str]) -> list[Signal]:
        """The series over the bar in this row; ``names[by]`` is the detector that says so."""
        bits, seen, at = self.columns["bits"], self.columns["seen"], run_of(scored.slots)
        have = ~np.isnan(scored.values)
        # in place: a score never claims more than the samples behind it support
        high = np.flatnonzero(scored.score > SUPPORT)
        support = SUPPORT + np.log10(seen[scored.slots[high]] + 1.0)
        scored.score[high] = np.minimum(scored.score[high], support)
        self._not_below_zero(scored)
        self._not_above_all(scored)
        over = have & (scored.score >= bar)
        if self.moved:
            self._heed(over, have, scored, bar)
        window = np.uint64((1 << self._settings.of) - 1)
        before = bits[at]
        shifted = ((before << np.uint64(1)) & window) | over
        bits[at] = np.where(have, shifted, before)
        seen[at] += have
        anomalous = np.flatnonzero(over)
        fires = np.bitwise_count(shifted[anomalous]) >= self._settings.fire
        return [
            self._signal(scored, i, bar, bool(now), names)
            for i, now in zip(anomalous.tolist(), fires.tolist(), strict=True)
        ]

    def bar_of(self, slot: int, bar: float) -> float:
        """The bar of one series, where that of all is `bar`."""
        return bar + self.moved.get(slot, 0.0)

    def by_one_bar(self, scored: Scored) -> Scored:
        """With scores less what the series' own bar is higher: as if all had one bar."""
        rows = np.flatnonzero(np.isin(scored.slots, list(self.moved))) if self.moved else ()
        if not len(rows):
            return scored
        score = scored.score.copy()
        score[rows] -= [self.moved[slot] for slot in scored.slots[rows].tolist()]
        return replace(scored, score=score)

    def _heed(self, over: NDArray[np.bool_], have: NDArray[np.bool_], scored: Scored, bar: float) -> None:
        """In place: what is over a bar that was moved."""
        slots = np.fromiter(self.moved, np.int32, len(self.moved))
        near = np.flatnonzero(have & (scored.score >= bar + min(0.0, *self.moved.values())))
        for i in near[np.isin(scored.slots[near], slots)].tolist():
            over[i] = scored.score[i] >= self.bar_of(int(scored.slots[i]), bar)

    def _not_below_zero(self, scored: Scored) -> None:
        """In place: no band reaches below 0 for a series of which nothing was ever negative."""
        self.columns["negative"][scored.slots[scored.values < 0]] = True
        low = np.flatnonzero((scored.lower < 0) & (scored.expected >= 0))
        low = low[~self.columns["negative"][scored.slots[low]]]
        scored.lower[low] = 0.0
        scored.upper[low] = np.maximum(scored.upper[low], 0.0)

    def _bound(self, slots: NDArray[np.int32]) -> None:
        if len(self._tops) < self._index.capacity:
            room = np.full(self._index.capacity - len(self._tops), np.inf, np.float32)
            self._tops = np.concatenate([self._tops, room])
        self._tops[slots] = np.inf
        for named, top in RATIOS if len(slots) else ():
            bounded = slots[self._index.matches(slots, named)]
            self._tops[bounded] = top
            self._ratios |= len(bounded) > 0

    def _not_above_all(self, scored: Scored) -> None:
        """In place: no band of a ratio reaches above all of it, unless a value did."""
        if len(self._tops) < self._index.capacity:  # taken up from a checkpoint
            self._bound(self._index.live())
        if not self._ratios:
            return
        tops = self._tops[run_of(scored.slots)]
        self._tops[scored.slots[scored.values > tops]] = np.inf
        high = np.flatnonzero((scored.upper > tops) & (scored.expected <= tops) & ~(scored.values > tops))
        scored.upper[high] = tops[high]
        scored.lower[high] = np.minimum(scored.lower[high], tops[high])

    def _signal(self, scored: Scored, i: int, bar: float, fires: bool, names: list[str]) -> Signal:
        score, own = float(scored.score[i]), self.bar_of(int(scored.slots[i]), bar)
        return Signal(
            labels=self._index.labels(int(scored.slots[i])),
            kind=AlertKind.ANOMALY,
            rule=names[scored.by[i]],
            fires=fires,
            severity=Severity.MAJOR if score >= own + MAJOR_ABOVE else Severity.MINOR,
            observed=float(scored.values[i]),
            score=score,
            expected=float(scored.expected[i]),
            lower=float(scored.lower[i]),
            upper=float(scored.upper[i]),
        )
