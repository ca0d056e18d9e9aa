"""One knob: so many false pages a week, over all series, become the bar by what was seen at lower levels.

What pages is an episode: a series of which several of its last samples score high. Its firing level is the
bar below which it would have paged. Levels of all episodes are counted, exponentially forgotten. What is
rarer than the SURE highest is extrapolated from them, so that a few real faults do not move the bar; the
caller leaves out episodes that were confirmed as faults, and those of series that are still being learnt.
Counting the episodes of all series together is the correction for testing many at once: nothing is assumed
of independence between samples, series or windows.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

WEEK = 7 * 86400.0
LOWEST, HIGHEST, STEP = 0.5, 30.0, 0.05
"""Levels that are told apart; -log10 p."""
PLACES = int((HIGHEST - LOWEST) / STEP) + 1
MEMORY = 26 * WEEK
SURE = 5.0
"""The bar is the level of the n-th highest episode, n being as many as were asked for: an order statistic,
whose chance of being exceeded is known, whatever the distribution. Below SURE the counts' own course is
extrapolated."""
FIT = 4.0
"""Times SURE: the episodes from which on the course is taken as straight in log counts."""
LEAST = 200.0
"""Episodes before the prior is left."""


class Budget:
    """Counts firing levels; `bar` is where the asked number a week is expected to pass."""

    def __init__(self, pages_per_week: float) -> None:
        self.asked = pages_per_week
        self._counts = np.zeros(PLACES)
        self._now = math.nan
        self.watched = 0.0
        """Seconds that the counts stand for, forgotten as they are."""

    def take(
        self,
        levels: NDArray[np.float64],
        now: float,
        former: NDArray[np.float64] | None = None,
        watched: float = math.inf,
    ) -> None:
        """Firing levels of the episodes that ended since the last call, at `now` (epoch s).

        `former`: levels that were counted and have since been surpassed. `watched`: how many seconds of the
        time since the last call the series were looked at, if not all.
        """
        elapsed = 0.0 if math.isnan(self._now) else max(now - self._now, 0.0)
        left = math.exp(-elapsed / MEMORY)
        self._counts *= left
        self.watched = self.watched * left + min(elapsed, watched)
        self._now = now if math.isnan(self._now) else max(self._now, now)
        for those, by in ((levels, 1.0), (former, -1.0)):
            if those is not None and len(those):
                places = ((np.asarray(those) - LOWEST) / STEP).astype(int)
                places = places[places >= 0]
                np.add.at(self._counts, np.minimum(places, PLACES - 1), by)

    def weeks(self) -> float:
        """How many weeks the counts stand for."""
        return self.watched / WEEK

    def snapshot(self) -> dict[str, Any]:
        """JSON-able."""
        now = None if math.isnan(self._now) else self._now
        kept = np.flatnonzero(self._counts)
        counts = {str(place): float(self._counts[place]) for place in kept.tolist()}
        return {"now": now, "watched": self.watched, "step": STEP, "counts": counts}

    def restore(self, data: Mapping[str, Any]) -> None:
        """Take up what `snapshot` gave. Raises ValueError, changing nothing, when it is none."""
        try:
            now, watched, step = data["now"], float(data["watched"]), float(data["step"])
            counts = np.zeros(PLACES)
            for place, count in data["counts"].items():
                counts[int(place)] = float(count)
            at = math.nan if now is None else float(now)
        except (KeyError, TypeError, AttributeError, IndexError) as why:
            raise ValueError(f"no snapshot of a budget: {why!r}") from why
        if step != STEP or not math.isfinite(watched) or not np.isfinite(counts).all():
            raise ValueError("no snapshot of this budget")
        self._counts, self._now, self.watched = counts, at, watched

    def expected(self, bar: float) -> float:
        """False pages a week at a bar; NaN before anything was counted."""
        weeks = self.weeks()
        above = self._above()
        if weeks <= 0 or above[0] < LEAST:
            return math.nan
        at, slope = self._sure(above)
        place = max((bar - LOWEST) / STEP, 0.0)
        if place >= at:
            return float(above[at] * 10.0 ** (-slope * (place - at) * STEP) / weeks)
        low, share = int(place), place - int(place)
        return float(above[low] ** (1.0 - share) * above[low + 1] ** share / weeks)

    def bar(self, prior: float) -> float:
        """The bar for the asked number; `prior` while too little is known."""
        weeks = self.weeks()
        above, wanted = self._above(), self.asked * weeks
        if wanted <= 0 or above[0] < LEAST:
            return prior
        if above[0] <= wanted:
            return LOWEST
        at, slope = self._sure(above)
        if wanted >= above[at]:
            after = int(np.argmax(above <= wanted))
            before, past = math.log(above[after - 1]), math.log(max(above[after], 1e-9))
            share = (before - math.log(wanted)) / max(before - past, 1e-9)
            return LOWEST + STEP * (after - 1 + min(max(share, 0.0), 1.0))
        return min(HIGHEST, LOWEST + STEP * at + math.log10(above[at] / wanted) / slope)

    def _above(self) -> NDArray[np.float64]:
        """Per level, the episodes that would page at it, or at a higher one if those are more.

        What is one long episode at a low level may be several at a higher one.
        """
        return np.asarray(np.maximum.accumulate(np.cumsum(self._counts[::-1]))[::-1])

    def _sure(self, above: NDArray[np.float64]) -> tuple[int, float]:
        """The highest level with SURE episodes, and the decades a level that counts fall by up to there."""
        at = int(np.flatnonzero(above >= SURE)[-1])
        start = int(np.argmax(above <= FIT * SURE)) if above[0] > FIT * SURE else 0
        start = min(start, at - 1) if at else 0
        if at <= start:
            return at, 1.0
        fall = math.log10(above[start] / above[at]) / ((at - start) * STEP)
        return at, max(fall, 0.05)


def firing_levels(
    scores: NDArray[np.float64], fire: int, of: int, apart: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """``row, column, level`` of each episode in ``scores[T, S]``: its highest firing level, where it ends.

    The firing level of a sample is the `fire`-th highest of the last `of`; samples over LOWEST that are at
    most `apart` rows from one another are one episode.
    """
    windows = np.lib.stride_tricks.sliding_window_view(scores, of, axis=0)
    level = np.partition(windows, of - fire, axis=-1)[..., of - fire]
    rows, columns = np.nonzero((level >= LOWEST).T)[::-1]
    if not len(rows):
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    starts = np.r_[True, (np.diff(rows) > apart) | (np.diff(columns) != 0)]
    first = np.flatnonzero(starts)
    peaks = np.maximum.reduceat(level[rows, columns], first)
    last = np.r_[first[1:], len(rows)] - 1
    return rows[last] + of - 1, columns[last], peaks
