"""How `residual` learns, and its step: one row of state a series, all times of a frame in one visit."""

from collections.abc import Callable
from typing import TypeAlias, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

from aiops.plugin import _tail_kernel
from aiops.plugin import calibration as tail
from aiops.plugin._tail_kernel import compiled, follow, gain_of, learn_tail, version_of
from detectors import _residual_fields as k
from detectors import _residual_judge
from detectors._residual_judge import Counts, Row, View, bucket, look, unit

Table: TypeAlias = NDArray[np.float64]


@compiled
def _trust_little(s: Row) -> None:
    """A covariance that lets the weights move freely."""
    place = k.COVARIANCE
    for a in range(k.WIDTH):
        s[place] = k.DOUBT
        for b in range(1, k.WIDTH - a):
            s[place + b] = 0.0
        place += k.WIDTH - a


@compiled
def _learn_scales(s: Row, v: View, value: float) -> None:
    """Mean absolute residuals, each sample bounded (Huber 1981); after a shift the bound widens."""
    n = s[k.COUNT] + 1.0
    patience = 1.0
    if s[k.RUN] > tail.MANY:  # a power takes as long as all else here
        patience = k.WARY ** min(s[k.RUN] - tail.MANY, 300.0)
    for channel in range(3):
        size, bound = v.residuals[channel], k.CLIP * unit(s, channel, value) * patience
        if n > k.SETTLED and size > bound:
            size = bound
        s[k.SCALES + channel] += (size - s[k.SCALES + channel]) / min(n, 10000.0)


@compiled
def _learn_lags(s: Row, v: View, value: float) -> None:
    """Recursive least squares with forgetting (Plackett 1950), on errors clipped as Huber's."""
    n, scale, mean = s[k.COUNT], max(s[k.ABOUT], 1e-9), s[k.MEAN]
    if n > k.ORDER:
        limit = 5.0 * s[k.SPREAD] if n > tail.YOUNG and s[k.SPREAD] > 0 else 1e300
        _least_squares(s, min(max(v.error, -limit), limit) / scale, scale, mean)
        size = min(abs(v.error), limit)
        gain = 0.005 if n > tail.YOUNG else 1.0 / (n - k.ORDER)
        s[k.SPREAD] += gain * (size - s[k.SPREAD])
    for lag in range(k.ORDER - 1, 0, -1):
        s[k.LAGS + lag] = s[k.LAGS + lag - 1]
    s[k.LAGS] = value


@compiled
def _least_squares(s: Row, error: float, scale: float, mean: float) -> None:
    """One step of the weights and of their covariance, of which only the upper triangle is kept.

    A covariance that rounding has made indefinite begins anew.
    """
    size, start, lags, gain = k.WIDTH, k.COVARIANCE, k.INPUTS, k.GAINS
    s[lags] = 1.0
    for lag in range(k.ORDER):
        s[lags + 1 + lag] = (s[k.LAGS + lag] - mean) / scale
    for a in range(size):
        s[gain + a] = 0.0
    norm, place = 0.0, start
    for a in range(size):
        s[gain + a] += s[place] * s[lags + a]
        for b in range(a + 1, size):
            held = s[place + b - a]
            s[gain + a] += held * s[lags + b]
            s[gain + b] += held * s[lags + a]
        place += size - a
        norm += s[gain + a] * s[lags + a]
    if not 0.0 <= norm < k.HUGE:
        _trust_little(s)
        return
    norm += k.FORGET
    per_norm, trace, place = 1.0 / norm, 0.0, start
    for a in range(size):
        share = s[gain + a] * per_norm
        s[k.WEIGHTS + a] += share * error
        trace += s[place]
        for b in range(a, size):
            s[place] = (s[place] - share * s[gain + b]) * (1.0 / k.FORGET)
            place += 1
    if trace > k.TRACE:
        for place in range(start, start + k.TRIANGLE):
            s[place] *= 0.1 * k.TRACE / trace


@compiled
def _learn_season(
    s: Row,
    day: Row,
    day_n: Counts,
    week: Row,
    week_n: Counts,
    v: View,
    value: float,
    second: float,
    weekday: int,
) -> None:
    """The profile of the day, and each weekday's departure from it; samples clipped at SEASON_CLIP."""
    n, distance = s[k.COUNT] + 1.0, value - v.usual
    limit = k.SEASON_CLIP * s[k.REACH] if n > 100.0 else 1e300
    bounded = min(max(distance, -limit), limit)
    departs = distance - v.departs
    s[k.PLAIN] += (min(abs(distance), limit) - s[k.PLAIN]) / min(n, 5000.0)
    s[k.WEEKLY] += (min(abs(departs), limit) - s[k.WEEKLY]) / min(n, 5000.0)
    at = weekday * k.HOURS + bucket(second, k.HOURS)[0]
    week_n[at] = min(week_n[at] + 1, k.WEEK_MEMORY)
    week[at] += (bounded - week[at]) / week_n[at]
    s[k.REACH] += (v.residuals[0] - s[k.REACH]) / min(n, 500.0)
    limit = k.SEASON_CLIP * s[k.REACH] if n > 100.0 else 1e300
    clipped = v.usual + min(max(distance, -limit), limit)
    s[k.LEVEL] += (clipped - s[k.LEVEL]) / min(n, k.LEVEL_MEMORY)
    at = bucket(second, k.DAY)[0]
    day_n[at] = min(day_n[at] + 1, k.DAY_MEMORY)
    day[at] += (clipped - day[at]) / day_n[at]


@compiled
def _stand_aside(
    s: Row,
    day: Row,
    day_n: Counts,
    week: Row,
    week_n: Counts,
    v: View,
    value: float,
    time: float,
    second: float,
    weekday: int,
) -> None:
    """How far the sample is from what was usual before the quarter and the hour that it is a part of.

    The profile takes a shift over within a quarter, and is surprised again by the next. Of the weekday, which
    takes weeks to learn, it has the benefit.
    """
    quarter, hour = time // k.QUARTERS, weekday * k.HOURS + bucket(second, k.HOURS)[0]
    if quarter != s[k.QUARTER]:
        at = bucket(second, k.DAY)[0]
        known = (day[at] * day_n[at] + 0.5 * s[k.LEVEL]) / (day_n[at] + 0.5)
        s[k.QUARTER], s[k.BEFORE] = quarter, known if day_n[at] > 0 else k.HUGE
    if hour + 1.0 != s[k.HOUR]:
        s[k.HOUR], s[k.DEPARTED] = hour + 1.0, week[hour] * week_n[hour] / (week_n[hour] + k.WEEK_DOUBT)
    plain = value - s[k.BEFORE]
    departs = plain - s[k.DEPARTED]
    s[k.ASIDE] = (departs if abs(departs) < abs(plain) else plain) / unit(s, 0, value)
    s[k.LOUD] = abs(v.error) / unit(s, 1, value)


@compiled
def _learn_tails(s: Row, v: View) -> None:
    n = s[k.COUNT] + 1.0
    learn_tail(s[k.COMBINED : k.COMBINED + tail.TAIL], v.log, n, k.GAUSSIAN)
    if n <= tail.YOUNG:
        s[k.OFF] = v.off if n <= tail.ROUGH else max(s[k.OFF], v.off)
    else:
        follow(s, k.OFF, k.OFF_RUN, k.OFF_SINCE, v.off, k.RARE_OFF, gain_of(n))


@compiled
def _begin(s: Row, value: float) -> None:
    """The first sample of a series."""
    s[k.MEAN] = s[k.LEVEL] = s[k.SMOOTH] = value
    s[k.WEIGHTS + 1] = 1.0
    _trust_little(s)
    for lag in range(k.ORDER):
        s[k.LAGS + lag] = value


@compiled
def _learn_means(s: Row, value: float, gap: float) -> None:
    """Last: the others read the means, the interval and the count as they were."""
    n = s[k.COUNT] + 1.0
    s[k.SMOOTH] += k.SMOOTHING * (value - s[k.SMOOTH])
    s[k.MEAN] += (value - s[k.MEAN]) / min(n, k.MEAN_MEMORY)
    s[k.ABOUT] = max(s[k.ABOUT] + (abs(value - s[k.MEAN]) - s[k.ABOUT]) / min(n, k.MEAN_MEMORY), 1e-9)
    bounded = min(gap, 2.0 * s[k.INTERVAL]) if s[k.INTERVAL] > 0 else gap
    s[k.INTERVAL] += 0.25 * (bounded - s[k.INTERVAL]) if s[k.INTERVAL] > 0 else gap
    s[k.COUNT] = n


@compiled
def _late(s: Row, time: float) -> bool:
    gap = time - s[k.SEEN]
    return bool(s[k.COUNT] > 0 and gap <= 0.0 and gap > -k.SET_BACK)


@compiled
def _learn(
    s: Row,
    day: Row,
    day_n: Counts,
    week: Row,
    week_n: Counts,
    v: View,
    value: float,
    time: float,
    second: float,
    weekday: int,
) -> None:
    """Learn one sample. After a gap the lags are the sample itself: they say nothing any more."""
    gap = max(time - s[k.SEEN], 0.0) if s[k.COUNT] > 0 else 0.0
    _stand_aside(s, day, day_n, week, week_n, v, value, time, second, weekday)
    _learn_scales(s, v, value)
    if s[k.INTERVAL] > 0 and gap > k.GAP * s[k.INTERVAL]:
        for lag in range(k.ORDER):
            s[k.LAGS + lag] = value
    else:
        _learn_lags(s, v, value)
    _learn_season(s, day, day_n, week, week_n, v, value, second, weekday)
    _learn_tails(s, v)
    _learn_means(s, value, gap)
    s[k.SEEN] = time


def _build(_version: int) -> Callable[..., int]:
    """numba's cache looks at this file alone: `_version` in its key lets it see the others change."""

    def advance(
        core: Table,
        day: Table,
        day_n: NDArray[np.uint8],
        week: Table,
        week_n: NDArray[np.uint8],
        times: Row,
        seconds: Row,
        weekdays: NDArray[np.int64],
        slots: NDArray[np.int32],
        values: Table,
        learn: NDArray[np.bool_],
        warmup: float,
        score: NDArray[np.float32],
        band: NDArray[np.float64],
    ) -> int:
        """Score a frame ``values[T, S]`` and learn it where ``learn[T, S]``.

        ``score[T, S]`` and ``band[3, T, S]`` (expected, lower, upper) are written unless they have no rows.
        """
        for i in range(len(slots)):
            row = slots[i]
            s, d, d_n, w, w_n = core[row], day[row], day_n[row], week[row], week_n[row]
            for t in range(len(times)):
                value, second, weekday = values[t, i], seconds[t], weekdays[t]
                if len(score) > 0:
                    score[t, i] = 0.0
                    band[0, t, i] = band[1, t, i] = band[2, t, i] = np.nan
                fresh = s[k.COUNT] < 0.5
                if not abs(value) < k.HUGE or _late(s, times[t]) or (fresh and not learn[t, i]):
                    continue
                if fresh:
                    _begin(s, value)
                v = look(s, d, d_n, w, w_n, value, second, weekday)
                if len(score) > 0 and s[k.COUNT] >= warmup:
                    score[t, i] = v.score
                    band[0, t, i] = v.forecast
                    band[1, t, i], band[2, t, i] = v.forecast - v.reach, v.forecast + v.reach
                if learn[t, i]:
                    _learn(s, d, d_n, w, w_n, v, value, times[t], second, weekday)
        return _version

    return cast(Callable[..., int], njit(advance, error_model="numpy", nogil=True, cache=True))


advance = _build(version_of(k, _residual_judge, tail, _tail_kernel))
