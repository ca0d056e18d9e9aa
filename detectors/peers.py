"""One replica unlike its siblings: each sample against the median of its group at the same moment.

What moves all of them (load, a deploy, the time of day) is no news here; what a replica always does
differently is learnt. Distances are in units of the group's median absolute deviation, less the series' own
usual distance; `aiops.plugin.calibration` makes scores of them.
"""

from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PrivateAttr

from aiops.model.frame import Frame
from aiops.model.series import SeriesIndex
from aiops.model.signal import Scores
from aiops.plugin import Column, Columns, Detector, Fatal, calibration
from aiops.plugin.calibration import Calibrator

Row = NDArray[np.float64]
HABIT, CLIP = 0.01, 3.0
"""Gain of the usual distance, and how far beyond it one sample may pull."""
GAUSSIAN, FLOOR = 1.4826, 1e-3
"""Sigma by median absolute deviation; of the median: a spread below it is none."""


class Peers(Detector):
    """Some 90 B a series. Groups share all labels of `group_by`; smaller ones than `least` are not judged."""

    group_by: list[str] = Field(
        ["__name__", "service"], min_length=1, description="Labels that siblings share."
    )
    least: int = Field(4, ge=3, description="Siblings that must have a sample.")
    warmup_samples: int = Field(60, ge=30, description="Samples of a series before it is scored.")

    _columns: Columns = PrivateAttr()
    _calibrator: Calibrator = PrivateAttr()
    _index: SeriesIndex | None = PrivateAttr(None)

    def model_post_init(self, _context: Any) -> None:
        self._columns = Columns(
            group=Column(np.int64),
            usual=Column(np.float64),
            spread=Column(np.float64),
            tail=calibration.column(),
        )
        self._calibrator = Calibrator(self.warmup_samples)

    def open(self, index: SeriesIndex) -> None:
        self._index = index

    @property
    def columns(self) -> Columns:
        return self._columns

    def score(self, frame: Frame) -> Scores:
        self._make_room(frame)
        c, slots, values = self._columns, frame.slots, frame.values[0]
        middle, spread, many = _cross_section(values, self._groups(slots))
        usual = c["usual"][slots]
        judged = np.isfinite(values) & (many >= self.least) & self.ready()[slots]
        spread = _steadied(spread, c["spread"][slots])
        away = np.where(judged, np.abs((values - middle) / spread - usual), np.nan)
        score = self._calibrator.step(c["tail"], slots, away[None], np.zeros(len(slots), np.bool_))[0]
        expected = middle + usual * spread
        reach = spread * self._calibrator.edges(c["tail"], slots)
        band = [
            np.where(judged, part, np.nan)[None] for part in (expected, expected - reach, expected + reach)
        ]
        return Scores(np.where(judged, score, 0.0).astype(np.float32)[None], *band)

    def learn(self, frame: Frame, mask: NDArray[np.bool_]) -> None:
        self._make_room(frame)
        for values, wanted in zip(frame.values, mask, strict=True):
            self._learn_row(frame.slots, np.where(wanted, values, np.nan))

    def ready(self) -> NDArray[np.bool_]:
        ready: NDArray[np.bool_] = self._columns["tail"][:, calibration.COUNT] >= self.warmup_samples
        return ready

    def beside(self, slot: int) -> NDArray[np.int32]:
        group = self._columns["group"]
        return np.flatnonzero((group == group[slot]) & (group != 0)).astype(np.int32)

    def explain(self, slot: int) -> str:
        if slot >= self._columns.capacity or not self.ready()[slot]:
            return f"still learning: needs {self.warmup_samples} samples with {self.least} siblings"
        usual = self._columns["usual"][slot]
        edge = self._calibrator.edges(self._columns["tail"], np.array([slot], np.int32))[0]
        shared = ", ".join(self.group_by)
        return (
            f"compared with its siblings (same {shared}): usually {usual:+.2g} of their spreads from the "
            f"middle, within {edge:.2g} of that"
        )

    def _learn_row(self, slots: NDArray[np.int32], values: Row) -> None:
        c, groups = self._columns, self._groups(slots)
        middle, spread, many = _cross_section(values, groups)
        taught = np.flatnonzero(np.isfinite(values) & (many >= self.least))
        at = slots[taught]
        c["group"][at] = groups[taught]
        lasting = c["spread"][at]
        distance = (values[taught] - middle[taught]) / _steadied(spread[taught], lasting)
        c["spread"][at] = np.where(lasting > 0, lasting + HABIT * (spread[taught] - lasting), spread[taught])
        usual = c["usual"][at]
        self._calibrator.step(c["tail"], at, np.abs(distance - usual)[None], np.ones(len(at), np.bool_))
        c["tail"][at, calibration.BUSY] = 0.0  # one that stays unlike goes on to be told
        bounded = np.clip(distance - usual, -CLIP, CLIP)
        c["usual"][at] = usual + np.maximum(HABIT, 1.0 / c["tail"][at, calibration.COUNT]) * bounded

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


def _steadied(spread: Row, lasting: Row) -> Row:
    """Of few siblings the spread of one moment is rough: half of it is what it has long been."""
    return np.where(lasting > 0, 0.5 * (spread + lasting), spread)


def _medians(values: Row, which: NDArray[np.int64], many: NDArray[np.int64]) -> Row:
    """The median of each group; NaN of an empty one."""
    ordered = values[np.lexsort((values, which))]
    start = np.cumsum(many) - many
    out = np.full(len(many), np.nan)
    some = many > 0
    low, high = start + (many - 1) // 2, start + many // 2
    out[some] = 0.5 * (ordered[low[some]] + ordered[high[some]])
    return out
