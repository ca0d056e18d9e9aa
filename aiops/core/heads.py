"""Detectors side by side over rows of series, whoever says which rows those are."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aiops.model.frame import Frame
from aiops.model.rows import run_of
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


class Heads:
    """The detectors and, of each, which rows it looks at: ``covers[detector][row]``."""

    def __init__(self, detectors: Sequence[Detector]) -> None:
        self.detectors = list(detectors)
        self.covers = [np.zeros(0, bool) for _ in self.detectors]

    def cover(self, place: int, slots: NDArray[np.int32], whether: NDArray[np.bool_] | bool) -> None:
        """Whether detector `place` looks at `slots`, which its state has room for."""
        covers, capacity = self.covers[place], self.detectors[place].columns.capacity
        if len(covers) < capacity:
            covers = np.concatenate([covers, np.zeros(capacity - len(covers), bool)])
            self.covers[place] = covers
        covers[slots] = whether

    def warm(self, frame: Frame) -> None:
        """Learn from history; nothing is scored."""
        for place, detector in enumerate(self.detectors):
            part = self._part(place, frame)
            if len(part.slots):
                detector.learn(part, ~np.isnan(part.values))

    def step(self, row: Frame, hold: NDArray[np.bool_]) -> Scored:
        """Score one row (T = 1), then learn from it but for the slots held (``hold[S]``)."""
        at = run_of(row.slots)
        if len(self.detectors) == 1 and self.covers[0][at].all():
            return of_one(row, self.detectors[0].update(row, hold))
        best = nothing_said(row)
        for place, detector in enumerate(self.detectors):
            covered = self.covers[place][at]
            if not covered.any():
                continue
            if covered.all():
                _keep_best(best, covered, place, detector.update(row, hold))
                continue
            part = Frame(row.times, row.slots[covered], row.values[:, covered])
            _keep_best(best, covered, place, detector.update(part, hold[covered]))
        return best

    def ready_of(self, capacity: int) -> NDArray[np.bool_]:
        """Per slot, whether any detector that looks at it is ready for it; ``[capacity]``."""
        ready = np.zeros(capacity, bool)
        for place, detector in enumerate(self.detectors):
            # series that a source has just asked for have no row yet
            known, covers = detector.ready(), self.covers[place]
            both = min(len(ready), len(known), len(covers))
            ready[:both] |= known[:both] & covers[:both]
        return ready

    def covering(self, slot: int) -> list[Detector]:
        """The detectors that look at `slot`."""
        return [one for place, one in enumerate(self.detectors) if self.covers[place][slot]]

    def explain(self, slot: int) -> str:
        """Why a sample of `slot` would be called unusual, in the words of all that look at it."""
        return " ".join(filter(None, (detector.explain(slot) for detector in self.covering(slot))))

    def _part(self, place: int, frame: Frame) -> Frame:
        where = self.covers[place][frame.slots]
        return frame if where.all() else Frame(frame.times, frame.slots[where], frame.values[:, where])


def of_one(row: Frame, scores: Scores) -> Scored:
    """What a detector says that is alone, without copies."""
    score, expected = np.asarray(scores.score, float)[0], np.asarray(scores.expected, float)[0]
    lower, upper = np.asarray(scores.lower, float)[0], np.asarray(scores.upper, float)[0]
    by = np.zeros(len(row.slots), np.int8)
    return Scored(float(row.times[0]), row.slots, row.values[0], score, expected, lower, upper, by)


def unsaid(row: Frame) -> Scored:
    """With room for what will be said of every sample."""
    score, expected, lower, upper = (np.empty(len(row.slots)) for _ in range(4))
    by, time = np.empty(len(row.slots), np.int8), float(row.times[0])
    return Scored(time, row.slots, row.values[0], score, expected, lower, upper, by)


def nothing_said(row: Frame) -> Scored:
    """The row as nobody looks at it."""
    width = len(row.slots)
    expected, lower, upper = (np.full(width, np.nan) for _ in range(3))
    by, time = np.full(width, -1, np.int8), float(row.times[0])
    return Scored(time, row.slots, row.values[0], np.zeros(width), expected, lower, upper, by)


def _keep_best(best: Scored, where: NDArray[np.bool_], place: int, scores: object) -> None:
    rows = {
        name: np.asarray(getattr(scores, name), float)[0] for name in ("score", "expected", "lower", "upper")
    }
    at = np.flatnonzero(where)
    wins = (rows["score"] > best.score[at]) | (best.by[at] < 0)
    for name, row in rows.items():
        getattr(best, name)[at[wins]] = row[wins]
    best.by[at[wins]] = place
