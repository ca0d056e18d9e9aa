"""Score before learn: all detectors over one row of samples, the most surprised one speaking for a series."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aiops.model.frame import Frame
from aiops.model.rows import run_of
from aiops.model.series import SeriesIndex
from aiops.model.signal import Scores
from aiops.plugin import Detector


@dataclass(frozen=True, slots=True)
class Scored:
    """One row with its scores, all ``[S]``; ``by`` is the index of the detector that speaks, -1 for none."""

    time: float
    slots: NDArray[np.int32]
    values: NDArray[np.float64]
    score: NDArray[np.float64]
    expected: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    by: NDArray[np.int8]


class Detection:
    """The detectors of one installation over one SeriesIndex."""

    def __init__(self, detectors: Sequence[Detector], index: SeriesIndex) -> None:
        self.detectors = list(detectors)
        self.index = index
        self._covers = [np.zeros(0, bool) for _ in self.detectors]
        self._promoted = [np.zeros(0, np.int32) for _ in self.detectors]
        """Per detector: what it looks at beside its own, as it is near a problem."""
        for place, detector in enumerate(self.detectors):
            detector.open(index)
            detector.columns.ensure(index.capacity)
            self._cover(place, index.live())

    def welcome(self, fresh: NDArray[np.int32]) -> None:
        """New or reused slots: forget their former series."""
        for place, detector in enumerate(self.detectors):
            detector.columns.ensure(self.index.capacity)
            detector.columns.reset(fresh)
            self._cover(place, fresh)

    def warm(self, frame: Frame) -> None:
        """Learn from history; nothing is scored."""
        for place, detector in enumerate(self.detectors):
            part = self._part(place, frame)
            if len(part.slots):
                detector.learn(part, ~np.isnan(part.values))

    def step(self, row: Frame, hold: NDArray[np.bool_]) -> Scored:
        """Score one row (T = 1), then learn from it but for the slots held (``hold[capacity]``)."""
        at = run_of(row.slots)
        if len(self.detectors) == 1 and self._covers[0][at].all():
            return _of_one(row, self.detectors[0].update(row, hold[at]))
        width = len(row.slots)
        best = Scored(
            float(row.times[0]),
            row.slots,
            row.values[0],
            np.zeros(width),
            np.full(width, np.nan),
            np.full(width, np.nan),
            np.full(width, np.nan),
            np.full(width, -1, np.int8),
        )
        for place, detector in enumerate(self.detectors):
            covered = self._covers[place][at]
            if not covered.any():
                continue
            part = row if covered.all() else Frame(row.times, row.slots[covered], row.values[:, covered])
            _keep_best(best, covered, place, detector.update(part, hold[part.slots]))
        return best

    def promote(self, slots: NDArray[np.int32], past: Callable[[int], Frame]) -> None:
        """Detectors with `near_problems` look at `slots` too, and at no others beyond their own any more.

        What is new to a detector it learns from the `past` of the slot.
        """
        for place, detector in enumerate(self.detectors):
            if not detector.near_problems:
                continue
            covers, before = self._covers[place], self._promoted[place]
            gone, new = np.setdiff1d(before, slots), slots[~covers[slots]]
            covers[gone] = False
            detector.columns.reset(new)
            covers[new] = True
            self._promoted[place] = np.union1d(np.setdiff1d(before, gone), new).astype(np.int32)
            for slot in new.tolist():
                frame = past(slot)
                if len(frame.times):
                    detector.learn(frame, ~np.isnan(frame.values))

    def borrow(self, slot: int, siblings: NDArray[np.int32]) -> bool:
        """Whether any detector took over for `slot`, which is new, what it knows of `siblings`."""
        covering = (d for place, d in enumerate(self.detectors) if self._covers[place][slot])
        took = [detector.borrow(slot, siblings) for detector in covering]
        return any(took)

    def ready(self) -> NDArray[np.bool_]:
        """Per slot, whether any detector is ready for it; ``[index.capacity]``."""
        ready = np.zeros(self.index.capacity, bool)
        for place, detector in enumerate(self.detectors):
            # series that a source has just asked for have no row yet
            known, covers = detector.ready(), self._covers[place]
            both = min(len(ready), len(known), len(covers))
            ready[:both] |= known[:both] & covers[:both]
        return ready

    def explain(self, slot: int) -> str:
        words = (d.explain(slot) for p, d in enumerate(self.detectors) if self._covers[p][slot])
        return " ".join(filter(None, words))

    def _part(self, place: int, frame: Frame) -> Frame:
        where = self._covers[place][frame.slots]
        return frame if where.all() else Frame(frame.times, frame.slots[where], frame.values[:, where])

    def _cover(self, place: int, slots: NDArray[np.int32]) -> None:
        covers, match = self._covers[place], self.detectors[place].match
        if len(covers) < self.index.capacity:
            covers = np.concatenate([covers, np.zeros(self.index.capacity - len(covers), bool)])
            self._covers[place] = covers
        covers[slots] = self.index.matches(slots, match) if match.matchers else True


def _of_one(row: Frame, scores: Scores) -> Scored:
    """As `_keep_best` of a detector that is alone, without copies."""
    score, expected = np.asarray(scores.score, float)[0], np.asarray(scores.expected, float)[0]
    lower, upper = np.asarray(scores.lower, float)[0], np.asarray(scores.upper, float)[0]
    by = np.zeros(len(row.slots), np.int8)
    return Scored(float(row.times[0]), row.slots, row.values[0], score, expected, lower, upper, by)


def _keep_best(best: Scored, where: NDArray[np.bool_], place: int, scores: object) -> None:
    rows = {
        name: np.asarray(getattr(scores, name), float)[0] for name in ("score", "expected", "lower", "upper")
    }
    at = np.flatnonzero(where)
    wins = (rows["score"] > best.score[at]) | (best.by[at] < 0)
    for name, row in rows.items():
        getattr(best, name)[at[wins]] = row[wins]
    best.by[at[wins]] = place
