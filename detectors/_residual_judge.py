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
BAR, BELOW = 4.0, 3.5
"""What 1 in 10,000 samples of noise exceed, whatever its tail; up to where the ratio alone counts."""
NOISE, SHAPE, TAIL = 0.338, 0.446, 1.95
"""Logarithm of HIGH that 1 in 10,000 of Gaussian noise exceed, that of their HIGH / BODY, and how the first
grows with the second: a line through Gaussian, Poisson(3) and (0.4 decades short) Student t3 noise."""
NEAREST, FARTHEST = 0.14, 2.0
"""Bounds on that logarithm."""
STEEP, SLOW = 0.05, 0.6
"""Logarithms a decade beyond BAR, while the score is behind the ratio, and while it is ahead of it."""


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
def rarity(shape: float) -> float:
    """How far over HIGH (log) 1 in 10,000 samples are, by the logarithm of HIGH / BODY."""
    return min(max(NOISE + TAIL * (shape - SHAPE), NEAREST), FARTHEST)


@compiled
def _decades(over: float, edge: float, width: float) -> float:
    """What a sample scores that is `over` HIGH (log): BAR at the `edge`, else what the ratio says, or near.

    The ratio ranks events across series, the edge keeps noise of every tail to its share.
    """
    ratio, half = START + over / width, (BELOW - START) * width
    if edge <= (BAR - START) * width:  # a light tail: rarer than its ratio says
        if over < edge:
            return START + (BAR - START) * over / edge
        return max(ratio, BAR + (over - edge) / SLOW)
    if over < half:
        return ratio
    if over < edge:
        return BELOW + (BAR - BELOW) * (over - half) / (edge - half)
    return min(ratio, BAR + (over - edge) / STEEP)


@compiled
def _surprise(s: Row, log: float, off: float) -> tuple[float, float]:
    """``score``, and the combined residual (log) that would score BAR.

    A series that has just been busy must exceed that, too.
    """
    busy = math.log(s[k.BUSY]) if s[k.BUSY] > 1.0 else 0.0
    shape = min(max(s[k.HIGH] - s[k.BODY], 0.0), WIDEST)
    width = WIDTH0 * (1.0 + BEND * (shape / TYPICAL - 1.0))
    edge = min(max(s[k.EDGE] - s[k.HIGH], NEAREST), FARTHEST)
    over = log - s[k.HIGH] - busy
    score = _decades(over, edge, width) if over > 0 else START * math.exp(over)
    return max(score, _lasting(s, off - s[k.OFF]), 0.0), s[k.HIGH] + busy + edge


@compiled
def _lasting(s: Row, over: float) -> float:
    """What the season's residual scores alone; the more the longer it has lasted already."""
    lasted = s[k.OFF_RUN] / k.LASTING if over > 0 and s[k.OFF_SINCE] < k.APART else 0.0
    return min(k.LEVEL_CAP, 2.0 + 2.0 * over * (1.0 + lasted))


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
