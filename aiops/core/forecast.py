"""When will a series cross its limit? Damped ramps fitted at several time scales, all series at once."""

import numpy as np
from numpy.typing import NDArray

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
        """Take one sample of each slot; NaN is skipped."""
        have = ~np.isnan(values)
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
        """The usual distance of two samples; a gap is none."""
        step, gap = self.columns["step"], now - self.columns["last"][slots]
        known = step[slots]
        usual = np.isnan(known) | (gap < 4 * known)
        step[slots] = np.where(
            usual & (gap > 0), np.where(np.isnan(known), gap, 0.8 * known + 0.2 * gap), known
        )
        self.columns["last"][slots] = now

    def crossing(
        self, now: float, slots: NDArray[np.int32], values: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """(earliest, expected, latest) epoch seconds ``[S]``; inf where no crossing within the horizon."""
        shape = (3, len(slots))
        best = np.full(shape, np.inf)
        if not len(slots):
            return best[0], best[1], best[2]
        self.columns.ensure(int(slots.max()) + 1)
        distance = (self.bound - values) * self.sign
        for scale in range(SCALES):
            found = self._at_scale(scale, now, slots, distance)
            sooner = found[1] < best[1]
            best[:, sooner] = found[:, sooner]
        return best[0], best[1], best[2]

    def _at_scale(
        self, scale: int, now: float, slots: NDArray[np.int32], distance: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        times = self.columns["times"][slots, scale] - now
        window = POINTS * 4**scale * self.columns["step"][slots, None]
        times = np.where(-times <= SLACK * window, times, np.nan)
        slope, error, age, points = _fit(times, self.columns["values"][slots, scale] * self.sign)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            sure = (points >= LEAST) & (slope > SURE * error) & (distance > 0)
            expected = age * np.expm1(distance / (slope * age))
            earliest = distance / (slope + 2 * error)
            latest = age * np.expm1(distance / (np.maximum(slope - 2 * error, 1e-300) * age))
        seen = sure & (expected <= np.minimum(self.horizon, REACH * age))
        out: NDArray[np.float64] = np.where(seen, np.stack([earliest, expected, latest]), np.inf) + now
        return out


def _fit(
    x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Ordinary least squares a row: slope, its standard error, the span of x, and the number of points."""
    have = ~np.isnan(x)
    points = have.sum(1)
    n = np.maximum(points, 1)
    x, y = np.where(have, x, 0.0), np.where(have, y, 0.0)
    mean_x, mean_y = x.sum(1) / n, y.sum(1) / n
    dx, dy = np.where(have, x - mean_x[:, None], 0.0), np.where(have, y - mean_y[:, None], 0.0)
    sxx = (dx * dx).sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = (dx * dy).sum(1) / sxx
        rest = dy - slope[:, None] * dx
        error = np.sqrt((rest * rest).sum(1) / np.maximum(points - 2, 1) / sxx)
    span = np.where(have, x, -np.inf).max(1) - np.where(have, x, np.inf).min(1)
    return np.nan_to_num(slope), np.nan_to_num(error, nan=np.inf), span, points
