"""What would have kept a detector quiet."""

import numpy as np

from aiops.model.frame import Frame
from aiops.plugin import Detector

HALVINGS = 14
SOON = 0.5
"""Seconds after the sample for which another one is judged: at the same time it would be a repeat."""


def quiet_at(detector: Detector, slot: int, at: float, inside: float, outside: float, bar: float) -> float:
    """The value nearest to `outside`, which was observed at `at`, that would not have been over the bar.

    To 1 in 16,000 of the way from `inside`, what was expected; NaN when there is none on it.
    """

    def score(value: float) -> float:
        row = Frame(np.array([at + SOON]), np.array([slot], np.int32), np.array([[value]]))
        return float(np.asarray(detector.score(row).score)[0, 0])

    if not np.isfinite(inside) or score(inside) >= bar or score(outside) < bar:
        return float("nan")
    for _ in range(HALVINGS):
        middle = (inside + outside) / 2
        inside, outside = (inside, middle) if score(middle) >= bar else (middle, outside)
    return inside
