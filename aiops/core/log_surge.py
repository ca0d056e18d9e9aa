"""How surprising a count of lines is: many counted things at once, each with its own mean and spread."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MEMORY = 720
"""Steps over which mean and spread are learnt."""
LEAST = 60
"""Steps before anything is judged."""
CLIP = 2.0
"""Standard deviations above the mean at which a sum is cut before it is learnt: a few bursts a day that were
too small to be seen would else hide the great ones (of x10 bursts 0.67 were found, cut 0.99)."""
ODD = 3.0
"""Score from which a sum is not learnt from at all, for a while."""
FEWEST = 6.0
"""Lines below which no sum is a burst."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One step, all ``[rows]``. `score` and `lack`: -log10 p of so many and of so few, 0 while learning;
    `total`: the sum over the window; `mean`: the sum expected."""

    score: NDArray[np.float64]
    lack: NDArray[np.float64]
    total: NDArray[np.float64]
    mean: NDArray[np.float64]


class Surges:
    """One row a counted thing; `step` takes the counts of all, in lines.

    The sum over `window` steps is judged under a negative binomial with the learnt mean and variance (a
    Poisson where they agree) by Chernoff's bound of its tails, which errs on the side of silence. An odd sum
    is not learnt from, until sums have been odd for `MEMORY` / 2 steps: then that is the new normal.
    """

    def __init__(self, window: int) -> None:
        self._window = window
        self._recent = np.zeros((window, 0))
        self._mean, self._variance = np.zeros(0), np.zeros(0)
        self._steps, self._held = np.zeros(0, np.int32), np.zeros(0, np.int32)

    def __len__(self) -> int:
        return len(self._mean)

    def grow(self, rows: int) -> None:
        more = rows - len(self)
        if more > 0:
            self._recent = np.concatenate([self._recent, np.zeros((self._window, more))], axis=1)
            self._mean, self._variance = (
                np.concatenate([a, np.zeros(more)]) for a in (self._mean, self._variance)
            )
            # a window that is still filling is not learnt
            self._steps = np.concatenate([self._steps, np.full(more, 1 - self._window, np.int32)])
            self._held = np.concatenate([self._held, np.zeros(more, np.int32)])

    def step(self, counts: NDArray[np.float64]) -> Judged:
        """Judge `counts` ``[rows]`` after those before, then learn them."""
        self._recent = np.concatenate([self._recent[1:], counts[None, :]])
        total = self._recent.sum(axis=0)
        known = np.clip(self._steps, 0, MEMORY).astype(float)
        # what has never been seen in n steps may well come once in n steps
        mean = (self._mean * known + self._window) / (known + 1)
        variance = np.maximum(mean, self._variance)
        surprise = tail(total, mean, variance)
        score = np.where((known >= LEAST) & (total >= FEWEST) & (total > mean), surprise, 0.0)
        lack = np.where((known >= LEAST) & (total < mean), surprise, 0.0)
        self._held = np.where(score >= ODD, self._held + 1, 0)
        new = self._held > MEMORY // 2
        learn = (score < ODD) | new
        rate = np.where(learn & (self._steps >= 0), 1.0 / (known + 1), 0.0)
        most = np.where(new | (known < LEAST), np.inf, mean + CLIP * np.sqrt(np.maximum(variance, 1.0)))
        off = np.minimum(total, most) - self._mean
        self._mean += rate * off
        self._variance = (1 - rate) * (self._variance + rate * off**2)
        self._steps += learn
        return Judged(score, lack, total, mean)

    def keep(self, rows: NDArray[np.int64]) -> None:
        """Only these rows, in this order."""
        self._recent = self._recent[:, rows]
        self._mean, self._variance = self._mean[rows], self._variance[rows]
        self._steps, self._held = self._steps[rows], self._held[rows]

    def snapshot(self) -> dict[str, Any]:
        names = ("recent", "mean", "variance", "steps", "held")
        return {name: getattr(self, f"_{name}").tolist() for name in names}

    def restore(self, data: Mapping[str, Any]) -> None:
        self._recent = np.array(data["recent"], float).reshape(self._window, -1)
        self._mean, self._variance = np.array(data["mean"], float), np.array(data["variance"], float)
        self._steps, self._held = np.array(data["steps"], np.int32), np.array(data["held"], np.int32)


def tail(
    total: NDArray[np.float64], mean: NDArray[np.float64], variance: NDArray[np.float64]
) -> NDArray[np.float64]:
    """-log10 of Chernoff's bound on P(N >= total); on P(N <= total) where the total is below the mean."""
    size = mean**2 / np.maximum(variance - mean, 1e-6 * mean)
    some = np.maximum(total, 1e-12)
    nats = some * np.log(some / mean) - (some + size) * np.log((some + size) / (mean + size))
    score: NDArray[np.float64] = np.maximum(nats, 0.0) / np.log(10.0)
    return score
