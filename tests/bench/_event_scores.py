"""Events and point-adjusted points of pooled series over one threshold, with a limit on the delay."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

DELAY = 7
"""Samples after an event's first in which a score must pass."""
EPISODE = 10
"""Samples after the first of a false episode from which a further one counts again."""


class Pool(NamedTuple):
    """Series end to end."""

    scores: NDArray[np.float64]
    labels: NDArray[np.bool_]
    series: NDArray[np.int32]

    @classmethod
    def of(cls, scores: list[NDArray[np.float64]], labels: list[NDArray[np.bool_]]) -> "Pool":
        numbers = [np.full(len(part), i, np.int32) for i, part in enumerate(scores)]
        return cls(np.concatenate(scores), np.concatenate(labels), np.concatenate(numbers))


class Counts(NamedTuple):
    points_found: int
    points_false: int
    points_missed: int
    events_found: int
    episodes: int
    events_missed: int

    def pa7(self) -> float:
        return 2 * self.points_found / max(2 * self.points_found + self.points_false + self.points_missed, 1)

    def ev7(self) -> float:
        return 2 * self.events_found / max(2 * self.events_found + self.episodes + self.events_missed, 1)


def counted(pool: Pool, threshold: float) -> Counts:
    """What a threshold finds; NaN never passes."""
    return Counts(*_count(pool.scores, pool.labels, pool.series, threshold))


def best(pool: Pool, f1: Callable[[Counts], float], steps: int = 150) -> float:
    """The threshold with the highest F1, of those that a share of 1e-6 to 0.06 of the points pass."""
    points = len(pool.scores)
    ranks = np.unique(np.clip(points * np.logspace(-6, -1.2, steps), 1, points - 1).astype(int)) - 1
    levels = np.unique(-np.partition(-pool.scores, ranks)[ranks])
    levels = levels[levels > pool.scores.min()]
    return float(max(levels, key=lambda level: f1(counted(pool, float(level)))))


@njit(cache=True)
def _count(scores, labels, series, threshold):  # type: ignore[no-untyped-def]
    found = false = missed = events = episodes = lost = 0
    i, last, one = 0, -1_000_000, -1
    while i < len(scores):
        if series[i] != one:
            one, last = series[i], -1_000_000
        if labels[i]:
            end, hit = i, False
            while end < len(scores) and labels[end] and series[end] == one:
                hit = hit or (end - i <= DELAY and scores[end] >= threshold)
                end += 1
            if hit:
                found, events = found + end - i, events + 1
            else:
                missed, lost = missed + end - i, lost + 1
            i = end
            continue
        if scores[i] >= threshold:
            false += 1
            if i - last > EPISODE:
                episodes, last = episodes + 1, i
        i += 1
    return found, false, missed, events, episodes, lost
