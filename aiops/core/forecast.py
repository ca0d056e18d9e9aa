"""When will a series cross its limit? Damped ramps fitted at several time scales, all series at once."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aiops.core.odds import Crossing
from aiops.plugin import Column, Columns

POINTS = 16
"""Points a scale keeps."""
LEAST = 5
"""Points a fit needs."""
SCALES = 7
"""Scale k keeps every 4^k-th sample: at 2 s from half a minute to a day and a half."""
SURE = 3.0
"""The slope must exceed this many standard errors."""
SLACK = 1.5
"""Points older than this many windows are of another time: the series had stopped, or the engine."""
REACH = 10.0
"""A ramp of age A says nothing beyond REACH * A: the farthest that damping still lets it be seen."""
FARTHEST = 10 * 365 * 86400.0
"""Seconds beyond which the latest time is not known: dates end in the year 9999."""
UNUSUAL = 3.0
"""A ramp counts once it has risen this many times the series' usual motion at longer scales.

With it and `_rises`, false alarms an hour and series fell (2 s, 10 min horizon): noise of AR .9 five sigma
below its bound 22 -> 0.7, a saw-tooth ending short of it 12 -> 0.3, bursts 5 -> 0; first leaks lost nothing.
"""

_PART = 1024
"""Series looked at together: bounds the memory that a step takes to about 10 MB."""


class Ramps:
    """Least squares on the last points of each scale; a ramp of age A goes on as ``slope * A * ln(1 + h/A)``.

    The damping says that a trend lasts about as long again as it has lasted; an undamped slope (PromQL's
    predict_linear) cries wolf at every burst. State: ``[capacity, SCALES, POINTS]`` times and values.
    """

    def __init__(self, bound: float, sign: int, horizon: float) -> None:
        self.bound, self.sign, self.horizon = bound, sign, horizon
        self.columns = Columns(
            times=Column(np.float64, np.nan, (SCALES, POINTS)),
            values=Column(np.float64, np.nan, (SCALES, POINTS)),
            count=Column(np.int64),
            last=Column(np.float64, np.nan),
            step=Column(np.float64, np.nan),
        )

    def welcome(self, fresh: NDArray[np.int32]) -> None:
        self.columns.reset(fresh)

    def learn(self, now: float, slots: NDArray[np.int32], values: NDArray[np.float64]) -> None:
        """Take one sample of each slot; NaN and infinities are skipped."""
        have = np.isfinite(values)
        slots, values = slots[have], values[have]
        if not len(slots):
            return
        self.columns.ensure(int(slots.max()) + 1)
        self._keep_step(now, slots)
        count = self.columns["count"]
        for scale in range(SCALES):
            due = count[slots] % 4**scale == 0
            if not due.any():
                break
            where = slots[due]
            at = (count[where] // 4**scale) % POINTS
            self.columns["times"][where, scale, at] = now
            self.columns["values"][where, scale, at] = values[due]
        count[slots] += 1

    def _keep_step(self, now: float, slots: NDArray[np.int32]) -> None:
        """The usual distance of two samples: a gap hardly moves it, a new schedule does in 20 samples."""
        step, gap = self.columns["step"], now - self.columns["last"][slots]
        known = step[slots]
        moved = np.where(np.isnan(known), gap, 0.8 * known + 0.2 * np.minimum(gap, 1.5 * known))
        step[slots] = np.where(gap > 0, moved, known)
        self.columns["last"][slots] = now

    def crossing(self, now: float, slots: NDArray[np.int32], values: NDArray[np.float64]) -> Crossing:
        """(earliest, expected, latest, chance); inf and 0 where no crossing within the horizon."""
        best = np.full((4, len(slots)), np.inf)
        if len(slots):
            self.columns.ensure(int(slots.max()) + 1)
        for start in range(0, len(slots), _PART):
            part = slice(start, start + _PART)
            best[:, part] = self._soonest(now, slots[part], (self.bound - values[part]) * self.sign)
        chance = np.where(np.isfinite(best[1]), best[3], 0.0)
        return Crossing(now + best[0], now + best[1], now + best[2], chance)

    def _soonest(
        self, now: float, slots: NDArray[np.int32], distance: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """(earliest, expected, latest, chance) ``[4, S]``, s from now, by the scale that sees it soonest.

        That the rise goes on for as long again as it takes at its pace, having lasted for its age A, has the
        odds A / (A + t), on which the damping rests: what is risen, of what is to rise in all.
        """
        times, values = self._points(now, slots)
        line = _fit(times, values)
        slope, error, age, distance = line.slope, line.error, line.span, distance[:, None]
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            sure = (line.points >= LEAST) & (slope > SURE * error) & (distance >= 0)
            expected = age * np.expm1(distance / (slope * age))
            earliest = distance / (slope + 2 * error)
            latest = age * np.expm1(distance / (np.maximum(slope - 2 * error, 1e-300) * age))
            chance = slope * age / (slope * age + distance)
        latest[latest > FARTHEST] = np.inf
        seen = sure & (expected <= np.minimum(self.horizon, REACH * age))
        at = np.nonzero(seen)
        if len(at[0]):
            risen = slope[at] * age[at] > UNUSUAL * _usual(line, np.unique(at[0]))[at]
            seen[at] = risen & _rises(times[at], values[at])
        found = np.where(seen, np.stack([earliest, expected, latest, chance]), np.inf)
        scale = found[1].argmin(axis=1)[None, :, None]
        soonest: NDArray[np.float64] = np.take_along_axis(found, scale, axis=2)[:, :, 0]
        # a ramp that has just begun is flattened by what was before it: a shorter scale knows how steep it is
        steepest = np.where(sure, earliest, np.inf).min(axis=1)
        soonest[0] = np.where(np.isfinite(soonest[1]), np.minimum(soonest[0], steepest), soonest[0])
        return soonest

    def _points(
        self, now: float, slots: NDArray[np.int32]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """``[S, SCALES, POINTS]`` in no order: times from now (NaN: none or too old); values, up = worse."""
        times = self.columns["times"][slots] - now
        windows = SLACK * POINTS * 4.0 ** np.arange(SCALES) * self.columns["step"][slots, None]
        times = np.where(-times <= windows[:, :, None], times, np.nan)
        return times, self.columns["values"][slots] * self.sign


class _Line(NamedTuple):
    """One a series and scale; ``[S, SCALES]`` but for `rest`."""

    slope: NDArray[np.float64]
    error: NDArray[np.float64]
    """Standard error of the slope."""
    span: NDArray[np.float64]
    points: NDArray[np.int64]
    rest: NDArray[np.float64]
    """What the line leaves unexplained, a point; NaN where there is none."""


def _fit(x: NDArray[np.float64], y: NDArray[np.float64]) -> _Line:
    """Ordinary least squares along the last axis, over the points whose x is not NaN."""
    have = ~np.isnan(x)
    points = have.sum(-1)
    n = np.maximum(points, 1)
    x, y = np.where(have, x, 0.0), np.where(have, y, 0.0)
    mean_x, mean_y = x.sum(-1) / n, y.sum(-1) / n
    dx = np.where(have, x - mean_x[..., None], 0.0)
    dy = np.where(have, y - mean_y[..., None], 0.0)
    sxx = (dx * dx).sum(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.nan_to_num((dx * dy).sum(-1) / sxx)
        rest = dy - slope[..., None] * dx
        error = np.sqrt((rest * rest).sum(-1) / np.maximum(points - 2, 1) / sxx)
    span = np.where(have, x, -np.inf).max(-1) - np.where(have, x, np.inf).min(-1)
    rest = np.where(have, rest, np.nan)
    return _Line(slope, np.nan_to_num(error, nan=np.inf), span, points, rest)


def _usual(line: _Line, series: NDArray[np.int64]) -> NDArray[np.float64]:
    """How far `series` stray from a line at longer scales than each: median deviation, as a Gaussian's sigma.

    ``[S, SCALES]``; 0 for other series, and where no longer scale has enough points.
    """
    strays = np.zeros(line.points.shape)
    known = np.zeros(line.points.shape, bool)
    known[series] = line.points[series] >= LEAST
    if known.any():
        strays[known] = 1.4826 * np.nanmedian(abs(line.rest[known]), axis=-1)
    worst = np.maximum.accumulate(strays[:, ::-1], axis=1)[:, ::-1]
    longer = np.zeros(strays.shape)
    longer[:, :-1] = worst[:, 1:]
    return longer


def _rises(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether the newest `LEAST` points are told better by a rising line than by a jump between two levels.

    A burst on a flat series has a slope too, but nowhere to go. Every row has at least that many points.
    """
    newest = np.argsort(np.where(np.isnan(x), -np.inf, x), axis=1)[:, -LEAST:]
    x, y = np.take_along_axis(x, newest, 1), np.take_along_axis(y, newest, 1)
    dx, dy = x - x.mean(1, keepdims=True), y - y.mean(1, keepdims=True)
    together = (dx * dy).sum(1)
    before = np.arange(1, LEAST)
    by_jump = np.cumsum(dy, axis=1)[:, :-1] ** 2 * LEAST / (before * (LEAST - before))
    rises: NDArray[np.bool_] = (together > 0) & (together**2 / (dx * dx).sum(1) > by_jump.max(1))
    return rises
