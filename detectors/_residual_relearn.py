"""What a series does once it has drifted: its profile moves, its scales stretch, and it forgets faster."""

import numpy as np
from numpy.typing import NDArray

from aiops.plugin import Columns
from detectors import _residual_fields as k
from detectors._residual_judge import bucket, unit

DOUBTED = 2
"""Samples that a quarter of the day counts for whose profile was learnt while the series drifted."""
NOISE = [k.SCALES + 1, k.SPREAD]
MIXED = [k.SCALES, k.SCALES + 2, k.REACH, k.PLAIN, k.WEEKLY]
"""Sizes in which there is more than noise: what a profile and a mean leave of the course itself."""


def relearn(
    columns: Columns,
    slot: int,
    moved: float,
    widened: float,
    seconds: NDArray[np.float64],
    weekdays: NDArray[np.int64],
) -> None:
    """`moved` in scales, `widened` a factor.

    `seconds` and `weekdays`: the quarters since, which have taken part of it over while they were learnt.
    """
    s, day, day_n, week_n = (columns[name][slot] for name in ("core", "day", "day_n", "week_n"))
    shift = moved * unit(s, 0, float(s[k.LAGS]))
    each = max(1.0, k.QUARTERS / s[k.INTERVAL]) if s[k.INTERVAL] > 0 else 1.0
    touched = sorted({bucket(second, k.DAY)[0] for second in seconds.tolist()})
    left = np.full(k.DAY, shift)
    left[touched] *= (1.0 - 1.0 / k.DAY_MEMORY) ** each
    day += left
    day_n[touched] = np.minimum(day_n[touched], DOUBTED)
    s[k.LEVEL] += shift * (1.0 - 1.0 / k.LEVEL_MEMORY) ** (each * len(seconds))
    s[k.MEAN] += shift * (1.0 - 1.0 / k.MEAN_MEMORY) ** (each * len(seconds))
    hours = weekdays * k.HOURS + (seconds * k.HOURS / 86400.0).astype(np.int64)
    week_n[hours] = 0
    mixed = s[MIXED]
    added = mixed**2 + (widened**2 - 1.0) * s[k.SCALES + 1] ** 2  # the noise has changed, the rest has not
    bounds = (mixed * min(widened, 1.0)) ** 2, (mixed * max(widened, 1.0)) ** 2
    s[MIXED] = np.sqrt(np.clip(added, *bounds))
    s[NOISE] *= widened
    s[k.COUNT] = min(s[k.COUNT], k.ANEW)
    s[k.QUARTER] = s[k.HOUR] = 0.0
