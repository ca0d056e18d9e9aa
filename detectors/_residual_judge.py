"""How `residual` judges a sample: three residuals in units of their own scales, and what they add up to."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

from detectors import _residual_fields as k

Row: TypeAlias = NDArray[np.float64]
Counts: TypeAlias = NDArray[np.uint8]

START = -math.log10(k.RARE)
"""What a residual scores that just exceeds HIGH."""
WIDTH0, TYPICAL, BEND, WIDEST = 0.346, 0.6, 0.12, 3.0
"""Natural logarithms of HIGH that make a decade, for a series whose HIGH / BODY is exp(TYPICAL); how much
that ratio bends it. On labelled operations data the ratio to HIGH ranks events across series better than
each series' own tail does, which its anomalies have shaped (docs/evaluation.md)."""


class View(NamedTuple):
    """What a sample looks like before it is learnt; residuals in the metric's unit."""

    season: float
    usual: float
    """The same without the weekday."""
    forecast: float
    error: float
    residuals: tuple[float, float, float]
    log: float
    """Of the combined residual."""
    off: float
    """Log of the season's residual in scales."""
    score: float
    reach: float


F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    return cast(F, njit(function, error_model="numpy", nogil=True))


@compiled
def bucket(second: float, buckets: int) -> tuple[int, int, float]:
    """The bucket of a time of day, its nearer neighbour, and that one's share (linear between middles)."""
    place = second * buckets / 86400.0
    at = min(int(place), buckets - 1)
    part = place - at - 0.5
    other = (at + 1) % buckets if part > 0 else (at - 1 + buckets) % buckets
    return at, other, abs(part)


@compiled
def _profile(s: Row, day: Row, day_n: Counts, second: float) -> float:
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
def _surprise(s: Row, log: float, off: float) -> tuple[float, float]:
    """``score``, and the combined residual (log) that would score 4.

    Beyond HIGH each decade is WIDTH0 wide; a series that has just been busy must exceed that, too.
    """
    busy = math.log(s[k.BUSY]) if s[k.BUSY] > 1.0 else 0.0
    shape = min(max(s[k.HIGH] - s[k.BODY], 0.0), WIDEST)
    width = WIDTH0 * (1.0 + BEND * (shape / TYPICAL - 1.0))
    over = log - s[k.HIGH] - busy
    score = START + over / width if over > 0 else START * math.exp(over)
    level = min(k.LEVEL_CAP, 2.0 + 2.0 * (off - s[k.OFF]))
    return max(score, level, 0.0), s[k.HIGH] + busy + (4.0 - START) * width


@compiled
def look(
    s: Row, day: Row, day_n: Counts, week: Row, week_n: Counts, value: float, second: float, weekday: int
) -> View:
    """Three residuals in units of their own scales, and their geometric mean."""
    usual = _profile(s, day, day_n, second)
    season = usual
    if s[k.WEEKLY] < s[k.PLAIN]:
        season += departure(week, week_n, second, weekday)
    forecast = _foresee(s) if s[k.COUNT] > k.ORDER else value
    residuals = (abs(value - season), abs(value - forecast), abs(value - s[k.SMOOTH]))
    units = (unit(s, 0, value), unit(s, 1, value), unit(s, 2, value))
    first = residuals[0] / units[0]
    product = (first + k.BASE) * (residuals[1] / units[1] + k.BASE) * (residuals[2] / units[2] + k.BASE)
    log, off = math.log(product) / 3.0, math.log(first + 1e-3)
    score, edge = _surprise(s, log, off)
    reach = math.exp(edge) * math.exp(math.log(units[0] * units[1] * units[2]) / 3.0)
    return View(season, usual, forecast, value - forecast, residuals, log, off, score, reach)
