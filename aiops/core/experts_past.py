"""What the experts remember of each series: a week of five-minute steps, and the trends and days in it."""

import numpy as np
from numpy.typing import NDArray

from aiops.plugin import Column, Columns

Floats = NDArray[np.float64]
Rows = NDArray[np.int32]

STEP = 300.0
"""Seconds between forecasts."""
DAY = 288
"""Steps a day."""
DAYS = 7
POINTS = DAY * DAYS + 1
"""Steps until nothing is remembered. A coarser memory blurs when a daily job runs,
and with it the forecast (15 min: three times the false alarms)."""


class Past:
    """A ring ``[POINTS]`` of means a row, by time; NaN where nothing was measured."""

    def __init__(self) -> None:
        self.columns = {
            "week": Column(np.float32, np.nan, (POINTS,)),
            "step": Column(np.int64, -1),
            "total": Column(np.float64),
            "number": Column(np.int32),
        }

    def take(self, state: Columns, now: float, rows: Rows, values: Floats) -> tuple[Rows, int, Floats]:
        """Gather samples. (rows whose step is done, the step, the mean of what came since the last)."""
        step = int(now // STEP)
        total, number = state["total"][rows] + values, state["number"][rows] + 1
        done = state["step"][rows] < step
        state["total"][rows] = np.where(done, 0.0, total)
        state["number"][rows] = np.where(done, 0, number)
        return rows[done], step, total[done] / number[done]

    def push(self, state: Columns, rows: Rows, step: int, mean: Floats) -> None:
        """Remember the mean of a step; the steps that were missed become unknown."""
        week, last = state["week"], state["step"][rows]
        for missed in range(max(int(last.min()) + 1, step - POINTS), step):
            week[rows[last < missed], missed % POINTS] = np.nan
        week[rows, step % POINTS] = mean
        state["step"][rows] = step

    def _points(self, state: Columns, rows: Rows, at: NDArray[np.int64]) -> Floats:
        out: Floats = state["week"][rows[:, None], (at % POINTS)[None, :]].astype(float)
        return out

    def trend(self, state: Columns, rows: Rows, step: int, points: int) -> Floats:
        """Least-squares slope of the last `points`, a step; 0 where fewer than a half are known."""
        at = step + np.arange(1 - points, 1)
        return _slope(self._points(state, rows, at), points // 2)

    def day(
        self, state: Columns, rows: Rows, step: int, ahead: NDArray[np.int64], points: int
    ) -> tuple[Floats, Floats]:
        """The slope ``[S]`` at this time of day and the rise ``[S, H]`` from it on: medians over past days.

        NaN without a day that reaches so far.
        """
        ago = DAY * np.arange(1, DAYS)
        slopes = np.stack(
            [_slope(self._points(state, rows, step - k + np.arange(1 - points, 1)), points - 1) for k in ago]
        )
        slopes[slopes == 0] = np.nan
        start = self._points(state, rows, step - ago)
        today = self._points(state, rows, step - np.append(0, ago))
        daily = _median((today[:, :-1] - today[:, 1:]).T)
        rises = []
        for steps in ahead:
            whole, rest = divmod(int(steps), DAY)
            rise = _median((self._points(state, rows, step - ago + rest) - start).T) if rest else 0.0
            rises.append(rise + (whole * daily if whole else 0.0))
        return _median(slopes), np.stack(rises, axis=1)


def _slope(y: Floats, least: int) -> Floats:
    """Slope ``[S]`` of ``y [S, N]`` over 0..N-1; 0 where fewer than `least` points are known."""
    have = ~np.isnan(y)
    count = np.maximum(have.sum(1), 1)
    x = np.where(have, np.arange(y.shape[1], dtype=float), 0.0)
    y = np.where(have, y, 0.0)
    dx = np.where(have, x - (x.sum(1) / count)[:, None], 0.0)
    sxx = (dx * dx).sum(1)
    enough = (have.sum(1) >= max(least, 2)) & (sxx > 0)
    return np.where(enough, (dx * y).sum(1) / np.where(enough, sxx, 1.0), 0.0)


def _median(values: Floats) -> Floats:
    """Of the known, along the first axis; NaN where none is."""
    count = (~np.isnan(values)).sum(0)
    ordered = np.sort(values, axis=0)
    low, high = np.maximum(count - 1, 0) // 2, count // 2
    high = np.minimum(high, np.maximum(count - 1, 0))
    pick = np.take_along_axis(ordered, np.stack([low, high]), axis=0)
    out: Floats = pick.mean(0)
    return out
