"""How surprising a count of lines is: many counted things at once, each with its own mean and spread."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

MEMORY = 720
"""Steps over which mean and spread are learnt."""
LEAST = 60
"""Steps before anything is judged."""
FEWEST = 6.0
"""Lines below which no sum is a burst."""


class Surges:
    """One row a counted thing; `step` takes the counts of all, in lines.

    The sum over `window` steps is judged under a negative binomial with the learnt mean and variance (a
    Poisson where they agree) by Chernoff's bound of its upper tail, which errs on the side of silence. A sum
    that is judged a burst is not learnt from, until it has lasted for `MEMORY` / 2 steps: then it is the new
    normal.
    """

    def __init__(self, window: int) -> None:
        self._window = window
        self._recent = np.zeros((window, 0))
        self._mean, self._square = np.zeros(0), np.zeros(0)
        self._steps, self._held = np.zeros(0, np.int32), np.zeros(0, np.int32)

    def __len__(self) -> int:
        return len(self._mean)

    def grow(self, rows: int) -> None:
        more = rows - len(self)
        if more > 0:
            self._recent = np.concatenate([self._recent, np.zeros((self._window, more))], axis=1)
            self._mean, self._square, self._steps, self._held = (
                np.concatenate([a, np.zeros(more, a.dtype)])
                for a in (self._mean, self._square, self._steps, self._held)
            )

    def step(
        self, counts: NDArray[np.float64], bar: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """(score, sum over the window, sum expected), each ``[rows]``; score: -log10 p, 0 while learning."""
        self._recent = np.concatenate([self._recent[1:], counts[None, :]])
        total = self._recent.sum(axis=0)
        known = np.minimum(self._steps, MEMORY).astype(float)
        # what has never been seen in n steps may well come once in n steps
        mean = (self._mean * known + self._window) / (known + 1)
        variance = np.maximum(mean, self._square - self._mean**2)
        score = np.where((known >= LEAST) & (total >= FEWEST), tail(total, mean, variance), 0.0)
        burst = score >= bar
        self._held = np.where(burst, self._held + 1, 0)
        learn = ~burst | (self._held > MEMORY // 2)
        rate = np.where(learn, 1.0 / (known + 1), 0.0)
        self._mean += rate * (total - self._mean)
        self._square += rate * (total**2 - self._square)
        self._steps += learn
        return score, total, mean

    def keep(self, rows: NDArray[np.int64]) -> None:
        """Only these rows, in this order."""
        self._recent = self._recent[:, rows]
        self._mean, self._square = self._mean[rows], self._square[rows]
        self._steps, self._held = self._steps[rows], self._held[rows]

    def snapshot(self) -> dict[str, Any]:
        names = ("recent", "mean", "square", "steps", "held")
        return {name: getattr(self, f"_{name}").tolist() for name in names}

    def restore(self, data: Mapping[str, Any]) -> None:
        self._recent = np.array(data["recent"], float).reshape(self._window, -1)
        self._mean, self._square = np.array(data["mean"], float), np.array(data["square"], float)
        self._steps, self._held = np.array(data["steps"], np.int32), np.array(data["held"], np.int32)


def tail(
    total: NDArray[np.float64], mean: NDArray[np.float64], variance: NDArray[np.float64]
) -> NDArray[np.float64]:
    """-log10 of Chernoff's bound on P(N >= total); 0 where the total is not above the mean."""
    over = np.maximum(total, mean)
    size = mean**2 / np.maximum(variance - mean, 1e-6 * mean)
    nats = over * np.log(over / mean) - (over + size) * np.log((over + size) / (mean + size))
    score: NDArray[np.float64] = np.maximum(nats, 0.0) / np.log(10.0)
    return score
