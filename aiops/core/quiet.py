"""What would have kept a detector quiet."""

import numpy as np

from aiops.core.heads import Scored
from aiops.model.frame import Frame
from aiops.plugin import Detector

HALVINGS = 14
SOON = 0.5
"""Seconds after the sample for which another one is judged: at the same time it would be a repeat."""


def quiet_at(
    detector: Detector,
    slot: int,
    at: float,
    inside: float,
    outside: float,
    bar: float,
    row: Scored | None = None,
) -> float:
    """The value nearest to `outside`, which was observed at `at`, that would not have been over the bar.

    To 1 in 16,000 of the way from `inside`, what was expected; NaN when there is none on it. `row` is where
    it was observed: what it is judged beside stays as it was.
    """
    slots, values = np.array([slot], np.int32), np.zeros(1)
    if row is not None and len(beside := detector.beside(slot)):
        others = np.isin(row.slots, beside) & (row.slots != slot)
        slots, values = np.append(slots, row.slots[others]), np.append(values, row.values[others])

    def score(value: float) -> float:
        values[0] = value
        return float(
            np.asarray(detector.score(Frame(np.array([at + SOON]), slots, values[None])).score)[0, 0]
        )

    if not np.isfinite(inside) or score(inside) >= bar or score(outside) < bar:
        return float("nan")
    for _ in range(HALVINGS):
        middle = (inside + outside) / 2
        inside, outside = (inside, middle) if score(middle) >= bar else (middle, outside)
    return inside
