"""What a new series takes from its siblings (same metric, same workload): how it varies, not where it stands.

Level, trend and anchor are its own. Its own spread of so few samples only tells whether it is alike at all.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiops.plugin import LANES, Columns
from detectors import _adaptive_fields as k

SHAPE = (k.SHAPE, k.EDGE, k.RHO, k.FLAT, k.SUMS)
"""Of these the siblings' median is taken."""
BURSTY = (k.BURSTS, k.BURST_SIZE, k.BURST_SPREAD)
"""These together, from the sibling that has known most bursts."""
ALIKE = 4.0
"""A spread that is more times as large as the siblings', or as their usual bursts, is no acquaintance's; nor
is one that is so many times smaller."""
WORTH = 40.0
"""Samples that the siblings' spread counts for, beside its own."""
OLD = 100.0
"""Samples that it passes for having learnt: from then on each gain is what it is for good."""


def borrow(columns: Columns, slot: int, siblings: NDArray[np.int32]) -> bool:
    """Whether `slot` was alike, and was given what its ready `siblings` know."""
    blocks = columns["blocks"]

    def of(field: int) -> NDArray[Any]:
        return np.asarray(blocks[siblings // LANES, field // LANES, siblings % LANES], float)

    mine = blocks[slot // LANES, :, slot % LANES]
    own, count = float(mine[k.SCALE // LANES]), float(mine[k.COUNT // LANES])
    theirs = float(np.median(of(k.SCALE)))
    least = float(k.FLAT_FLOOR) * float(mine[k.PEAK // LANES]) + float(k.ABSOLUTE_FLOOR)
    known = int(np.argmax(of(k.BURSTS)))
    burst = 2.0 ** of(k.BURST_SIZE)[known] if of(k.BURSTS)[known] > k.USUAL else 0.0
    if not max(theirs, least) / ALIKE <= max(own, least) <= ALIKE * max(theirs, least, burst):
        return False
    own = min(own, ALIKE * max(theirs, least))  # with one of the usual bursts in it, it may be more
    spread = (own * count + theirs * WORTH) / (count + WORTH)
    mine[k.SCALE // LANES] = spread
    young = np.where(of(k.COUNT) < k.YOUNG, np.maximum(of(k.SCALE), least), 1.0)
    mine[k.HIGH // LANES] = np.median(of(k.HIGH) * young) * max(spread, least) / max(theirs, least)
    for field in SHAPE:
        mine[field // LANES] = np.median(of(field))
    for field in BURSTY:
        mine[field // LANES] = of(field)[known]
    mine[k.COUNT // LANES] = max(count, OLD)
    return True
