"""From any head's distances to comparable scores: the ratio to what the series itself rarely exceeds.

A head that measures (a distance from what it expected, a model's own score) need not know its distribution.
The 99 % quantile of what it measures is tracked, and the score is -log10 p on a Pareto tail beyond it. Its
index is the same for all series: on labelled operations data that ranks events better than each series' own
tail, which its anomalies have shaped (docs/evaluation.md).
"""

import numpy as np
from numpy.typing import NDArray

from aiops.plugin import Column, Columns

SHARE = 0.01
"""What exceeds the tracked quantile."""
WIDTH = 0.346
"""Natural logarithms of the quantile to a decade of rarity."""
GAIN, EARLY, FASTEST = 0.015, 200.0, 0.5
"""Of the stochastic approximation (Robbins and Monro 1951): EARLY / count at first."""
FEW, MANY, APART = 2, 30, 20
"""Exceedances of an episode that teach; from which they are the new normal; samples between two episodes."""
YOUNG, ROUGH = 50, 20
"""Samples from which the quantile is followed, and whose distances say nothing at first."""
CALM = 8.0
"""Samples over which it looks back for how busy the series has just been."""
FLOOR = 1e-12
FIELDS = 5
"""Of a row: samples learnt, log of the quantile, how busy it was, the exceedances of the episode, and how
many samples ago the last was."""


class Calibrator:
    """One head's distances on many series; learns each after it was scored."""

    def __init__(self, warmup_samples: int = 200) -> None:
        from aiops.core import _calibration_kernel  # numba: not needed to describe or check a configuration

        self._advance = _calibration_kernel.advance
        self._warmup = warmup_samples
        self.columns = Columns(calibration=Column(np.float64, shape=(FIELDS,)))

    def step(
        self, slots: NDArray[np.int32], distances: NDArray[np.float64], learn: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """Scores ``[T, S]`` of ``distances[T, S]``, row by row; 0 for NaN and unready series.

        What ``learn[S]`` leaves out is not learnt.
        """
        if len(slots):
            self.columns.ensure(int(slots.max()) + 1)
        scores = np.zeros(distances.shape)
        rows = self.columns["calibration"]
        self._advance(rows, np.ascontiguousarray(slots), distances, learn, float(self._warmup), scores)
        return scores


def calibrated(distances: NDArray[np.float64], warmup_samples: int = 200) -> NDArray[np.float64]:
    """Scores ``[T]`` of one series' distances."""
    one = Calibrator(warmup_samples)
    return one.step(np.zeros(1, np.int32), distances[:, None], np.ones(1, np.bool_))[:, 0]
