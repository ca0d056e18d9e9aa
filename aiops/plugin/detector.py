"""Detectors: online learners over columns of series."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from aiops.model.frame import Frame
from aiops.model.selector import Selector
from aiops.model.series import SeriesIndex
from aiops.model.signal import Scores
from aiops.plugin.columns import Columns
from aiops.plugin.params import Plugin, SelectorText


class Detector(Plugin):
    """Scores a frame under what it has learnt so far, then learns it. Pure: no clock, no I/O, no threads.

    All state lives in `columns`, one row a slot, so that the engine can grow, reset, snapshot and restore it.
    """

    match: SelectorText = Field(Selector(), description="Which series it looks at; all when left out.")
    near_problems: bool = Field(
        False,
        description="Also looks at the series of components with an open problem, as long as it is open.",
    )

    def open(self, index: SeriesIndex) -> None:
        """Called once by the engine before anything else; `index` tells the labels of a slot."""

    @property
    @abstractmethod
    def columns(self) -> Columns:
        """The whole state."""

    @property
    def apart(self) -> bool:
        """Whether each series is judged by itself, whatever else is watched: then shards may part them."""
        return False

    def lift(self, slots: NDArray[np.int32]) -> dict[str, NDArray[Any]]:
        """Copies of all that is known of `slots`, for `put` into another detector of the same settings."""
        return self.columns.rows(slots)

    def put(self, slots: NDArray[np.int32], rows: Mapping[str, NDArray[Any]]) -> None:
        """Know of `slots` what another detector has lifted, and nothing of before."""
        self.columns.put(slots, rows)

    @abstractmethod
    def score(self, frame: Frame) -> Scores:
        """``-log10 p`` of each sample under the state *before* the frame; 0 for NaN and unready slots.

        The frame has one time (T = 1). Changes no state.
        """

    @abstractmethod
    def learn(self, frame: Frame, mask: NDArray[np.bool_]) -> None:
        """Learn from the samples where ``mask[T, S]`` is true, row by row, for any T; NaN is skipped."""

    def update(self, frame: Frame, hold: NDArray[np.bool_]) -> Scores:
        """`score`, then `learn` all but the slots held (``hold[S]``: in a confirmed anomaly)."""
        scores = self.score(frame)
        self.learn(frame, np.broadcast_to(~hold, frame.values.shape))
        return scores

    @abstractmethod
    def ready(self) -> NDArray[np.bool_]:
        """Per slot, whether it has learnt enough for its scores to mean something; ``[columns.capacity]``."""

    def borrow(self, slot: int, siblings: NDArray[np.int32]) -> bool:
        """The series of `slot` is new, and much like those of `siblings`: take over how they vary.

        Returns whether it did so, and is ready by that.
        """
        return False

    @property
    def tells_drifts(self) -> bool:
        """Whether `deviation` says anything: heads that learn drifts by themselves are never asked."""
        return type(self).deviation is not Detector.deviation

    def deviation(self, slots: NDArray[np.int32]) -> NDArray[np.float64] | None:
        """Of the last sample learnt of each slot, what tells of a drift; ``[2, S]``.

        How far it was, signed, from what was usual at its time before what it is a part of began; and how
        large its noise was. Both in what is usual of the series; NaN while that is not known. None (the
        default) where the head learns a drift by itself.
        """
        return None

    def relearn(self, slot: int, moved: float, widened: float, since: float, now: float) -> None:
        """The series has drifted for good: take it over, and forget faster what was before `since`.

        `moved` is the mean of its first deviation since (epoch s), `widened` that of the second (1: neither).
        """

    def beside(self, slot: int) -> NDArray[np.int32]:
        """The slots whose samples of the same moment one of `slot` is judged by; none where `apart`."""
        return np.zeros(0, np.int32)

    def explain(self, slot: int) -> str:
        """Why a sample of this series would be called unusual, in words."""
        return ""
