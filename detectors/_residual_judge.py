"""How `residual` judges a sample: three residuals in units of their own scales, and what they add up to."""

import math
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from aiops.plugin import calibration as tail
from aiops.plugin._tail_kernel import compiled, surprise
from detectors import _residual_fields as k

Row: TypeAlias = NDArray[np.float64]
Counts: TypeAlias = NDArray[np.uint8]


class View(NamedTuple):
    """What a sample looks like before it is learnt; residuals in the metric's unit."""

    season: float
    usual: float
    """The same without the weekday."""
    departs: float
    """What the weekday adds, whether it is used or not."""
    forecast: float
    error: float
    residuals: tuple[float, float, float]
    log: float
    """Of the combined residual."""
    off: float
    """Log of the season's residual in scales."""
    score: float
    reach: float


@compiled
def bucket(second: float, buckets: int) -> tuple[int, int, float]:
    """The bucket of a time of day, its nearer neighbour, and that one's share (linear between middles)."""
    place = second * buckets / 86400.0
    at = min(int(place), buckets - 1)
    part = place - at - 0.5
    other = (at + 1) % buckets if part > 0 else (at - 1 + buckets) % buckets
    return at, other, abs(part)


@compiled
def profile(s: Row, day: Row, day_n: Counts, second: float) -> float:
    """The usual value at this time of day; the level where too little is known."""
    at, other, part = bucket(second, k.DAY)
    level, seen, beside = s[k.LEVEL], float(day_n[at]), float(day_n[other])
    here = (day[at] * seen + 0.5 * level) / (seen + 0.5)
    near = (day[other] * beside + 0.5 * level) / (beside + 0.5)
    told: float = (1.0 - part) * here + part * near
    return told


@compiled
def departure(week: Row, week_n: Counts, second: float, weekday: int) -> float:
    """How this weekday departs from the profile, shrunk to nothing where little is known."""
    at, other, part = bucket(second, k.HOURS)
    at, other = weekday * k.HOURS + at, weekday * k.HOURS + other
    here = week[at] * week_n[at] / (week_n[at] + k.WEEK_DOUBT)
    near = week[other] * week_n[other] / (week_n[other] + k.WEEK_DOUBT)
    told: float = (1.0 - part) * here + part * near
    return told


@compiled
def _foresee(s: Row) -> float:
    """The autoregression's forecast."""
    scale, mean = max(s[k.ABOUT], 1e-9), s[k.MEAN]
    told: float = mean + s[k.WEIGHTS] * scale
    for lag in range(k.ORDER):
        told += s[k.WEIGHTS + 1 + lag] * (s[k.LAGS + lag] - mean)
    return told


@compiled
def unit(s: Row, channel: int, value: float) -> float:
    """The scale of one kind of residual, never below what matters."""
    told: float = s[k.SCALES + channel] + k.FLOOR * s[k.ABOUT] + k.RELATIVE * abs(value) + 1e-12
    return told


@compiled
def _lasting(s: Row, over: float) -> float:
    """What the season's residual scores alone; the more the longer it has lasted already."""
    lasted = s[k.OFF_RUN] / k.LASTING if over > 0 and s[k.OFF_SINCE] < tail.APART else 0.0
    return min(k.LEVEL_CAP, 2.0 + 2.0 * over * (1.0 + lasted))


@compiled
def look(
    s: Row, day: Row, day_n: Counts, week: Row, week_n: Counts, value: float, second: float, weekday: int
) -> View:
    """Three residuals in units of their own scales, and their geometric mean."""
    usual = profile(s, day, day_n, second)
    departs = departure(week, week_n, second, weekday)
    season = usual + departs if s[k.WEEKLY] < s[k.PLAIN] else usual
    forecast = _foresee(s) if s[k.COUNT] > k.ORDER else value
    residuals = (abs(value - season), abs(value - forecast), abs(value - s[k.SMOOTH]))
    units = (unit(s, 0, value), unit(s, 1, value), unit(s, 2, value))
    first = residuals[0] / units[0]
    product = (first + k.BASE) * (residuals[1] / units[1] + k.BASE) * (residuals[2] / units[2] + k.BASE)
    log, off = math.log(product) / 3.0, math.log(first + 1e-3)
    score, edge = surprise(s[k.COMBINED : k.COMBINED + tail.TAIL], log)
    score = max(score, _lasting(s, off - s[k.OFF]), 0.0)
    reach = math.exp(edge + math.log(units[0] * units[1] * units[2]) / 3.0)
    return View(season, usual, departs, forecast, value - forecast, residuals, log, off, score, reach)
