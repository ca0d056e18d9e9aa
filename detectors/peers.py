"""One replica unlike its siblings: each sample against the median of its group at the same moment.

What moves all of them (load, a deploy, the time of day) is no news here; what a replica always does
differently is learnt. Distances are in units of the group's median absolute deviation, less the series' own
usual distance; the score is their ratio to the series' tracked 99 % quantile, in decades.
"""

from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PrivateAttr

from aiops.model.frame import Frame
from aiops.model.series import SeriesIndex
from aiops.model.signal import Scores
from aiops.plugin import Column, Columns, Detector, Fatal

Row = NDArray[np.float64]
SHARE, START, WIDTH = 0.01, 2.0, 0.346
"""What exceeds the quantile; what it scores; natural logarithms of it to a decade."""
GAIN, EARLY, FASTEST = 0.015, 100.0, 0.5
"""Of the quantile's steps (Robbins and Monro 1951): EARLY / count at first."""
HABIT, CLIP = 0.01, 3.0
"""Gain of the usual distance, and how far beyond it one sample may pull."""
GAUSSIAN, FLOOR = 1.4826, 1e-3
"""Sigma by median absolute deviation; of the median: a spread below it is none."""
BAND = 4.0


class Peers(Detector):
    """Some 40 B a series. Groups share all labels of `group_by`; smaller ones than `least` are not judged."""

    group_by: list[str] = Field(
        ["__name__", "service"], min_length=1, description="Labels that siblings share."
    )
    least: int = Field(4, ge=3, description="Siblings that must have a sample.")
    warmup_samples: int = Field(60, ge=30, description="Samples of a series before it is scored.")

    _columns: Columns = PrivateAttr()
    _index: SeriesIndex | None = PrivateAttr(None)

    def model_post_init(self, _context: Any) -> None:
        self._columns = Columns(
            group=Column(np.int64),
            count=Column(np.float64),
            usual=Column(np.float64),
            high=Column(np.float64),
        )

    def open(self, index: SeriesIndex) -> None:
        self._index = index

    @property
    def columns(self) -> Columns:
        return self._columns

    def score(self, frame: Frame) -> Scores:
        self._make_room(frame)
        c, slots, values = self._columns, frame.slots, frame.values[0]
        middle, spread, many = _cross_section(values, self._groups(slots))
        usual, high = c["usual"][slots], c["high"][slots]
        judged = np.isfinite(values) & (many >= self.least) & (c["count"][slots] >= self.warmup_samples)
        with np.errstate(divide="ignore", invalid="ignore"):
            over = np.log(np.abs((values - middle) / spread - usual)) - high
        score = np.where(over > 0, START + over / WIDTH, START * np.exp(np.minimum(over, 0.0)))
        expected = middle + usual * spread
        reach = spread * np.exp(high + (BAND - START) * WIDTH)
        band = [
            np.where(judged, part, np.nan)[None] for part in (expected, expected - reach, expected + reach)
        ]
        return Scores(np.where(judged, score, 0.0).astype(np.float32)[None], *band)

    def learn(self, frame: Frame, mask: NDArray[np.bool_]) -> None:
        self._make_room(frame)
        for values, wanted in zip(frame.values, mask, strict=True):
            self._learn_row(frame.slots, np.where(wanted, values, np.nan))

    def ready(self) -> NDArray[np.bool_]:
        ready: NDArray[np.bool_] = self._columns["count"] >= self.warmup_samples
        return ready

    def explain(self, slot: int) -> str:
        if slot >= self._columns.capacity or self._columns["count"][slot] < self.warmup_samples:
            return f"still learning: needs {self.warmup_samples} samples with {self.least} siblings"
        usual, high = self._columns["usual"][slot], np.exp(self._columns["high"][slot])
        shared = ", ".join(self.group_by)
        return (
            f"compared with its siblings (same {shared}): usually {usual:+.2g} of their spreads from the "
            f"middle, within {high:.2g} of that"
        )

    def _learn_row(self, slots: NDArray[np.int32], values: Row) -> None:
        c, groups = self._columns, self._groups(slots)
        middle, spread, many = _cross_section(values, groups)
        taught = np.flatnonzero(np.isfinite(values) & (many >= self.least))
        at = slots[taught]
        c["group"][at] = groups[taught]
        distance = (values[taught] - middle[taught]) / spread[taught]
        count, usual, high = c["count"][at] + 1.0, c["usual"][at], c["high"][at]
        log = np.log(np.maximum(np.abs(distance - usual), 1e-9))
        gain = np.maximum(GAIN, np.minimum(FASTEST, EARLY / count))
        step = np.where(log > high, 1.0 - SHARE, -SHARE)
        bounded = np.clip(distance - usual, -CLIP, CLIP)
        c["high"][at] = high + gain * step
        c["usual"][at] = usual + np.maximum(HABIT, 1.0 / count) * bounded
        c["count"][at] = count

    def _make_room(self, frame: Frame) -> None:
        if len(frame.slots):
            if int(frame.slots.min()) < 0:
                raise ValueError("slots must not be negative")
            self._columns.ensure(int(frame.slots.max()) + 1)

    def _groups(self, slots: NDArray[np.int32]) -> NDArray[np.int64]:
        """A number for each slot's group; kept once learnt from, looked up for a slot that is new."""
        groups = self._columns["group"][slots]
        for i in np.flatnonzero(groups == 0).tolist():
            groups[i] = self._group(int(slots[i]))
        return groups

    def _group(self, slot: int) -> int:
        if self._index is None:
            raise Fatal("peers needs `open` first, to see labels")
        labels = dict(self._index.labels(slot))
        return 1 + crc32("\0".join(labels.get(name, "") for name in self.group_by).encode())


def _cross_section(values: Row, groups: NDArray[np.int64]) -> tuple[Row, Row, NDArray[np.int64]]:
    """``middle, spread, many`` of each one's group, ``[S]``: median, its deviation, and samples there are."""
    finite = np.isfinite(values)
    _, which = np.unique(groups, return_inverse=True)
    total = int(which.max(initial=-1)) + 1
    many = np.bincount(which[finite], minlength=total)
    middle = _medians(values[finite], which[finite], many)
    away = np.abs(values[finite] - middle[which[finite]])
    spread = GAUSSIAN * _medians(away, which[finite], many) + FLOOR * np.abs(middle) + 1e-12
    return middle[which], spread[which], many[which]


def _medians(values: Row, which: NDArray[np.int64], many: NDArray[np.int64]) -> Row:
    """The median of each group; NaN of an empty one."""
    ordered = values[np.lexsort((values, which))]
    start = np.cumsum(many) - many
    out = np.full(len(many), np.nan)
    some = many > 0
    low, high = start + (many - 1) // 2, start + many // 2
    out[some] = 0.5 * (ordered[low[some]] + ordered[high[some]])
    return out
