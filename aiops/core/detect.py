"""Score before learn: all detectors over one row of samples, the most surprised one speaking for a series."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from aiops.core.heads import Heads, nothing_said
from aiops.core.heads import Scored as Scored
from aiops.core.quiet import quiet_at
from aiops.model.frame import Frame
from aiops.model.rows import run_of
from aiops.model.series import SeriesIndex
from aiops.plugin import Detector


class Detection:
    """The detectors of one installation over one SeriesIndex."""

    away = False
    """Whether any of it is done elsewhere, and so is to be waited for."""
    parted = False
    """Whether any of it is in shards."""

    def __init__(self, detectors: Sequence[Detector], index: SeriesIndex) -> None:
        self.detectors = list(detectors)
        self.index = index
        self._heads = Heads(self.detectors)
        self._covers = self._heads.covers
        self._promoted = [np.zeros(0, np.int32) for _ in self.detectors]
        """Per detector: what it looks at beside its own, as it is near a problem."""
        for place, detector in enumerate(self.detectors):
            detector.open(index)
            detector.columns.ensure(index.capacity)
            self._cover(place, index.live())

    def here(self) -> Iterable[tuple[int, Detector]]:
        """The detectors whose state is in this process, each with its place among all."""
        return enumerate(self.detectors)

    def covers(self, place: int) -> NDArray[np.bool_]:
        """Per slot, whether detector `place` looks at it."""
        return self._covers[place]

    def welcome(self, fresh: NDArray[np.int32]) -> None:
        """New or reused slots: forget their former series."""
        for place, detector in enumerate(self.detectors):
            detector.columns.ensure(self.index.capacity)
            detector.columns.reset(fresh)
            self._cover(place, fresh)
            if len(self._promoted[place]):
                self._promoted[place] = np.setdiff1d(self._promoted[place], fresh)

    def warm(self, frame: Frame) -> None:
        """Learn from history; nothing is scored."""
        self._heads.warm(frame)

    def step(self, row: Frame, hold: NDArray[np.bool_]) -> Scored:
        """Score one row (T = 1), then learn from it but for the slots held (``hold[capacity]``)."""
        return self._heads.step(row, hold[run_of(row.slots)])

    def elsewhere(self, row: Frame, hold: NDArray[np.bool_]) -> Scored:
        """What of `step` is done elsewhere; for any thread."""
        return nothing_said(row)

    def completed(self, said: Scored, row: Frame, hold: NDArray[np.bool_]) -> Scored:
        """The rest of `step`, once `elsewhere` has `said` its part."""
        return self.step(row, hold)

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
        took = [detector.borrow(slot, siblings) for detector in self._heads.covering(slot)]
        return any(took)

    def ready(self) -> NDArray[np.bool_]:
        """Per slot, whether any detector is ready for it; ``[index.capacity]``."""
        return self._heads.ready_of(self.index.capacity)

    def explain(self, slot: int) -> str:
        return self._heads.explain(slot)

    def explained_by(self, place: int, slot: int) -> str:
        """Why detector `place` would call a sample of `slot` unusual, in words."""
        return self.detectors[place].explain(slot)

    def quiet_at(
        self, slot: int, row: Scored, place: int, inside: float, outside: float, bar: float
    ) -> float:
        """See `aiops.core.quiet`, of detector `place`."""
        return quiet_at(self.detectors[place], slot, row.time, inside, outside, bar, row)

    def remade(self, new: "Detection") -> "Detection":
        """After a reload `new`, or this one with the detectors of `new`."""
        return new

    def dumps(self) -> Iterable[tuple[int, NDArray[np.uint8]]]:
        """Number and whole state of each shard, if there are any."""
        return ()

    def close(self) -> None:
        """Nothing is asked of it any more."""

    def _cover(self, place: int, slots: NDArray[np.int32]) -> None:
        match = self.detectors[place].match
        self._heads.cover(place, slots, self.index.matches(slots, match) if match.matchers else True)
