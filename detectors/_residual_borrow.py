"""What a new series takes from its siblings (same metric, same workload): how it varies, not where it stands.

Day, week and autoregression are those of the sibling that was seen longest, moved to the new one's level.
"""

import numpy as np
from numpy.typing import NDArray

from aiops.plugin import Columns
from aiops.plugin import calibration as tail
from detectors import _residual_fields as k
from detectors._residual_judge import departure, profile, unit

ALIKE = 4.0
"""A mean residual that is more times as large as the siblings', or as small, is no acquaintance's."""
WORTH = 40.0
"""Samples that the siblings' scales count for, beside its own."""
SHARED = (k.HIGH, k.COMBINED + tail.BODY, k.COMBINED + tail.EDGE, k.OFF)
"""Of these the siblings' median is taken: all are in scales of the series."""
LEARNT = (k.ABOUT, k.REACH, k.SPREAD, k.PLAIN, k.WEEKLY)


def borrow(
    columns: Columns, slot: int, siblings: NDArray[np.int32], second: float, weekday: int, warmup: int
) -> bool:
    """Whether `slot` was alike, and was given what its ready `siblings` know.

    `second` and `weekday` are those of its last sample, which tells where it stands.
    """
    core = columns["core"]
    mine, elder = core[slot], int(siblings[np.argmax(core[siblings, k.COUNT])])
    theirs, count = core[elder], float(core[slot, k.COUNT])
    value = float(mine[k.LAGS])
    own, usual = unit(mine, 2, value), float(np.median([unit(core[s], 2, value) for s in siblings.tolist()]))
    if count < k.ORDER or not usual / ALIKE <= own <= ALIKE * usual:
        return False
    expected = profile(theirs, columns["day"][elder], columns["day_n"][elder], second)
    if theirs[k.WEEKLY] < theirs[k.PLAIN]:
        expected += departure(columns["week"][elder], columns["week_n"][elder], second, weekday)
    shift = float(mine[k.LEVEL]) - expected
    for table in ("day", "day_n", "week", "week_n"):
        columns[table][slot] = columns[table][elder]
    columns["day"][slot] += shift
    mine[k.LEVEL], mine[k.MEAN] = theirs[k.LEVEL] + shift, theirs[k.MEAN] + shift
    for channel in range(k.SCALES, k.SCALES + 3):
        told = float(np.median(core[siblings, channel]))
        mine[channel] = (min(mine[channel], ALIKE * told) * count + told * WORTH) / (count + WORTH)
    mine[k.WEIGHTS : k.INPUTS] = theirs[k.WEIGHTS : k.INPUTS]
    mine[list(LEARNT)] = theirs[list(LEARNT)]
    mine[k.COMBINED : k.INTERVAL] = 0.0
    mine[list(SHARED)] = np.median(core[siblings][:, list(SHARED)], axis=0)
    mine[k.COUNT] = max(count, float(warmup))
    return True
