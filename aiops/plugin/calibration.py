"""From what a head measures to scores that mean the same on every series: 4 is 1 in 10,000 samples of noise.

A head measures a distance (from what it expected; a model's own score) and need not know its distribution.
What 0.7 % and 10 % of a series' distances exceed is tracked; a score is the logarithm of the ratio to the
first, in decades of a usual series. On labelled operations data that ranks events across series better than
each series' own tail, which its anomalies have shaped (docs/evaluation.md). But where a series passes 4 is
told by its own tail: the farther apart the two, the heavier it is, and the farther out is its rarest 1 in
10,000.
"""

import numpy as np
from numpy.typing import NDArray

from aiops.plugin.columns import FLAG, FLOAT, SLOT, Column, Layout, plain

HIGH, BODY = 0, 1  # log: what RARE and USUAL of the distances exceed
RUN, SINCE = 2, 3  # exceedances of HIGH in this episode, and samples since the last of them
BUSY = 4  # mean of distances over HIGH, of late
EDGE = 5  # log: what distance would score BAR, in the long run
TAIL = 6
"""Fields of a tail; what follows in a row of `Calibrator` is the count of samples learnt."""
COUNT = TAIL

RARE, USUAL = 0.007, 0.1
START, BAR, BELOW = 2.155, 4.0, 3.5
"""What a distance scores that just exceeds HIGH (-log10 of RARE); what 1 in 10,000 samples of noise exceed;
up to where the ratio alone counts."""
WIDTH, TYPICAL, BEND, WIDEST = 0.346, 0.6, 0.12, 3.0
"""Natural logarithms of HIGH that make a decade, for a series whose HIGH / BODY is exp(TYPICAL); how much
that ratio bends it."""
NOISE, HEAVIER = 0.366, 1.95
"""Logarithm of HIGH that 1 in 10,000 of Gaussian noise exceed, and how that grows with HIGH / BODY (log):
a line through Gaussian, Poisson(3) and Student t3 noise."""
GAUSSIAN = 0.494
"""HIGH / BODY (log) of Gaussian noise."""
NEAREST, FARTHEST = 0.14, 2.0
"""Bounds on that logarithm."""
STEEP, SLOW = 0.05, 0.6
"""Logarithms a decade beyond BAR, while the score is behind the ratio, and while it is ahead of it."""
GAIN, EARLY, FASTEST = 0.015, 200.0, 0.5
"""Of the stochastic approximation (Robbins and Monro 1951): EARLY / count at first."""
FEW, MANY, APART = 2, 30, 20
"""Exceedances of an episode that teach; from which they are the new normal; samples between two episodes."""
YOUNG, ROUGH = 50, 20
"""Samples from which the quantiles are followed, and whose distances say nothing at first."""
CALM = 8.0
"""Samples over which BUSY looks back."""
NEWS, OLD_NEWS, FRESH = 5.0, 20.0, 12.0
"""Log: what one sample may add to BUSY, up to FRESH exceedances in a row, and after."""
STEADY = 2000.0
"""Samples over which EDGE is a mean."""
FLOOR = 1e-12


def column(units: int | None = None) -> Column:
    """A head's column of tails: a row a slot, or `units` rows whatever the slots are."""
    if units is None:
        return Column(np.float64, shape=(TAIL + 1,))
    return Column(np.float64, shape=(units, TAIL + 1), layout=Layout.TABLE)


class Calibrator:
    """Scores distances against rows of `column`; a fresh row is of zeros. Keeps nothing itself."""

    def __init__(self, warmup_samples: int = 200) -> None:
        from aiops.plugin import _tail_kernel  # numba: not needed to describe or check a configuration

        self._advance = _tail_kernel.advance
        self._edges = _tail_kernel.edges
        self._warmup = warmup_samples

    def step(
        self,
        rows: NDArray[np.float64],
        at: NDArray[np.int32],
        distances: NDArray[np.float64],
        learn: NDArray[np.bool_],
    ) -> NDArray[np.float64]:
        """Scores ``[T, S]`` of ``distances[T, S]`` (0 or more) under ``rows[at[S]]``, each learnt after it.

        0 for NaN and rows of too few samples; what ``learn[S]`` leaves out is not learnt.
        """
        scores = np.zeros(distances.shape)
        self._advance(
            rows,
            plain(at, SLOT),
            plain(distances, FLOAT),
            plain(learn, FLAG),
            float(self._warmup),
            scores,
        )
        return scores

    def edges(self, rows: NDArray[np.float64], at: NDArray[np.int32]) -> NDArray[np.float64]:
        """The distance ``[S]`` that would score BAR now."""
        told = np.empty(len(at))
        self._edges(rows, plain(at, SLOT), told)
        return told


def calibrated(distances: NDArray[np.float64], warmup_samples: int = 200) -> NDArray[np.float64]:
    """Scores ``[T]`` of one series' distances."""
    rows, at = np.zeros((1, TAIL + 1)), np.zeros(1, np.int32)
    return Calibrator(warmup_samples).step(rows, at, distances[:, None], np.ones(1, np.bool_))[:, 0]
