"""`residual` once more, plainly, one series at a time: what `detectors/_residual_*.py` must compute.

numpy's matrices for least squares, dictionaries for the tables of day and week, natural units throughout.
"""

import math

import numpy as np
from numpy.typing import NDArray

from aiops.plugin import calibration as tail
from detectors import _residual_fields as k


class NaiveResidual:
    """`step` takes one sample and returns its score, as `Residual.update` would for that series (in UTC)."""

    def __init__(self, warmup: int = 200) -> None:
        self.warmup = warmup
        self.n = 0
        self.seen = self.interval = 0.0
        self.day: dict[int, tuple[float, int]] = {}
        self.week: dict[tuple[int, int], tuple[float, int]] = {}

    def step(self, time: float, value: float, learn: bool = True) -> float:
        if not abs(value) < k.HUGE or (self.n and -k.SET_BACK < time - self.seen <= 0):
            return 0.0
        if self.n == 0:
            if not learn:
                return 0.0
            self._begin(value)
        score = self._judge(time, value) if self.n >= self.warmup else 0.0
        if learn:
            self._learn(time, value)
        return score

    def _begin(self, value: float) -> None:
        self.mean = self.level = self.smooth = value
        self.about = self.reach = self.spread = self.plain = self.weekly = 0.0
        self.scales = [0.0, 0.0, 0.0]
        self.lags = np.full(k.ORDER, value)
        self.weights = np.eye(k.WIDTH)[1]
        self.covariance = k.DOUBT * np.eye(k.WIDTH)
        self.high = self.body = self.off = self.busy = self.edge = 0.0
        self.run = self.since = self.off_run = self.off_since = 0.0

    def _between(self, time: float, buckets: int) -> tuple[int, int, float]:
        place = time % 86400 * buckets / 86400
        at, part = int(place), place - int(place) - 0.5
        return at, (at + (1 if part > 0 else -1)) % buckets, abs(part)

    def _usual(self, time: float) -> float:
        at, other, part = self._between(time, k.DAY)

        def known(bucket: int) -> float:
            mean, seen = self.day.get(bucket, (0.0, 0))
            return (mean * seen + 0.5 * self.level) / (seen + 0.5)

        return (1 - part) * known(at) + part * known(other)

    def _departure(self, time: float) -> float:
        at, other, part = self._between(time, k.HOURS)
        weekday = (int(time // 86400) + 3) % 7

        def known(bucket: int) -> float:
            mean, seen = self.week.get((weekday, bucket), (0.0, 0))
            return mean * seen / (seen + k.WEEK_DOUBT)

        return (1 - part) * known(at) + part * known(other)

    def _inputs(self) -> NDArray[np.float64]:
        return np.append(1.0, (self.lags - self.mean) / max(self.about, 1e-9))

    def _forecast(self, value: float) -> float:
        if self.n <= k.ORDER:
            return value
        return self.mean + float(self.weights @ self._inputs()) * max(self.about, 1e-9)

    def _residuals(self, time: float, value: float) -> list[float]:
        season = self._usual(time) + (self._departure(time) if self.weekly < self.plain else 0.0)
        return [abs(value - season), abs(value - self._forecast(value)), abs(value - self.smooth)]

    def _units(self, value: float) -> list[float]:
        return [s + k.FLOOR * self.about + k.RELATIVE * abs(value) + 1e-12 for s in self.scales]

    def _logs(self, time: float, value: float) -> tuple[float, float]:
        ratios = [r / u for r, u in zip(self._residuals(time, value), self._units(value), strict=True)]
        return sum(math.log(r + k.BASE) for r in ratios) / 3, math.log(ratios[0] + 1e-3)

    def _judge(self, time: float, value: float) -> float:
        log, off = self._logs(time, value)
        over = log - self.high - max(0.0, math.log(self.busy) if self.busy > 0 else 0.0)
        shape = min(max(self.high - self.body, 0.0), tail.WIDEST)
        width = tail.WIDTH * (1 + tail.BEND * (shape / tail.TYPICAL - 1))
        score = self._decades(over, width) if over > 0 else tail.START * math.exp(over)
        lasting = off > self.off and self.off_since < tail.APART
        worth = 2 + 2 * (off - self.off) * (1 + self.off_run / k.LASTING * lasting)
        return max(score, min(k.LEVEL_CAP, worth), 0.0)

    def _decades(self, over: float, width: float) -> float:
        edge = min(max(self.edge - self.high, tail.NEAREST), tail.FARTHEST)
        ratio, half = tail.START + over / width, (3.5 - tail.START) * width
        if edge > (4 - tail.START) * width:
            between = float(np.interp(over, [half, edge], [3.5, 4.0]))
            return min(ratio, between if over < edge else 4 + (over - edge) / tail.STEEP)
        below = tail.START + (4 - tail.START) * over / edge
        return below if over < edge else max(ratio, 4 + (over - edge) / tail.SLOW)

    def _learn(self, time: float, value: float) -> None:
        n, gap = self.n + 1, max(time - self.seen, 0.0) if self.n else 0.0
        residuals, units = self._residuals(time, value), self._units(value)
        log, off = self._logs(time, value)
        usual, departure, error = self._usual(time), self._departure(time), value - self._forecast(value)
        for channel in range(3):
            bound = k.CLIP * units[channel] * k.WARY ** min(max(self.run - tail.MANY, 0), 300)
            size = min(residuals[channel], bound) if n > k.SETTLED else residuals[channel]
            self.scales[channel] += (size - self.scales[channel]) / min(n, 10000)
        if self.interval > 0 and gap > k.GAP * self.interval:
            self.lags[:] = value
        else:
            self._learn_lags(value, error)
        self._learn_season(time, value, usual, departure, residuals[0])
        self._learn_tail(log, off)
        self.smooth += k.SMOOTHING * (value - self.smooth)
        self.mean += (value - self.mean) / min(n, 2000)
        self.about = max(self.about + (abs(value - self.mean) - self.about) / min(n, 2000), 1e-9)
        bounded = min(gap, 2 * self.interval) if self.interval > 0 else gap
        self.interval += 0.25 * (bounded - self.interval) if self.interval > 0 else gap
        self.n, self.seen = n, time

    def _learn_lags(self, value: float, error: float) -> None:
        n = self.n
        if n > k.ORDER:
            limit = 5 * self.spread if n > tail.YOUNG and self.spread > 0 else 1e300
            bounded = float(np.clip(error, -limit, limit))
            inputs = self._inputs()
            gain = self.covariance @ inputs
            norm = k.FORGET + float(gain @ inputs)
            self.weights = self.weights + gain / norm * bounded / max(self.about, 1e-9)
            trace = float(np.trace(self.covariance - np.outer(gain, gain) / norm)) / k.FORGET
            before = float(np.trace(self.covariance))
            self.covariance = (self.covariance - np.outer(gain, gain) / norm) / k.FORGET
            assert trace <= before / k.FORGET
            if before > k.TRACE:
                self.covariance *= 0.1 * k.TRACE / before
            self.spread += (0.005 if n > tail.YOUNG else 1 / (n - k.ORDER)) * (
                min(abs(error), limit) - self.spread
            )
        self.lags = np.r_[value, self.lags[:-1]]

    def _learn_season(
        self, time: float, value: float, usual: float, departure: float, residual: float
    ) -> None:
        n, distance = self.n + 1, value - usual
        limit = k.SEASON_CLIP * self.reach if n > 100 else 1e300
        self.plain += (min(abs(distance), limit) - self.plain) / min(n, 5000)
        self.weekly += (min(abs(distance - departure), limit) - self.weekly) / min(n, 5000)
        at = ((int(time // 86400) + 3) % 7, self._between(time, k.HOURS)[0])
        mean, seen = self.week.get(at, (0.0, 0))
        seen = min(seen + 1, k.WEEK_MEMORY)
        self.week[at] = mean + (float(np.clip(distance, -limit, limit)) - mean) / seen, seen
        self.reach += (residual - self.reach) / min(n, 500)
        limit = k.SEASON_CLIP * self.reach if n > 100 else 1e300
        clipped = usual + float(np.clip(distance, -limit, limit))
        self.level += (clipped - self.level) / min(n, 1000)
        bucket = self._between(time, k.DAY)[0]
        mean, seen = self.day.get(bucket, (0.0, 0))
        seen = min(seen + 1, k.DAY_MEMORY)
        self.day[bucket] = mean + (clipped - mean) / seen, seen

    def _learn_tail(self, log: float, off: float) -> None:
        n = self.n + 1
        if n <= tail.YOUNG:
            self.high = log if n <= tail.ROUGH else max(self.high, log)
            self.off = off if n <= tail.ROUGH else max(self.off, off)
            self.body = self.high - 0.5
            return
        most = tail.NEWS if self.run <= tail.FRESH else tail.OLD_NEWS
        self.busy += (math.exp(min(log - self.high, most)) - self.busy) / tail.CALM
        gain = max(tail.GAIN, min(tail.FASTEST, tail.EARLY / n))
        self.high, self.run, self.since = _followed(self.high, self.run, self.since, log, tail.RARE, gain)
        self.off, self.off_run, self.off_since = _followed(
            self.off, self.off_run, self.off_since, off, k.RARE_OFF, gain
        )
        self.body += 0.25 * gain * ((log > self.body) - tail.USUAL)
        rare = tail.NOISE + tail.HEAVIER * (self.high - self.body - k.GAUSSIAN)
        edge = self.high + min(max(rare, tail.NEAREST), tail.FARTHEST)
        self.edge += (edge - self.edge) / min(n - tail.YOUNG, tail.STEADY)


def _followed(
    high: float, run: float, since: float, log: float, share: float, gain: float
) -> tuple[float, float, float]:
    since += 1
    if log <= high:
        return high - gain * share, run, since
    run = run + 1 if since <= tail.APART else 1.0
    return high + (gain * (1 - share) if run <= tail.FEW or run > tail.MANY else 0.0), run, 0.0
