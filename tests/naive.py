"""The default detector once more, plainly: what `detectors/_adaptive_*.py` must compute.

All series of a frame at a time in numpy, a statement a formula, no blocks and no lanes; anchored in float64
and stepped in float32: decisions that learning hangs on would part in time if rounding differed more than it
must. The season's table is left to its own test.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors import _adaptive_fields as k

Row = NDArray[Any]
f = np.float32


class Naive:
    """`step` takes one time's values of all series and returns their scores, as `Adaptive.update` would."""

    def __init__(self, series: int, warmup: int = 30) -> None:
        self.warmup = warmup
        self.bucket = 0
        self.anchor, self.seen = np.zeros(series), np.zeros(series)
        zeros = (
            "count interval last flat level trend residual rho scale episode bursts burst_size burst_spread"
        )
        self.s = {
            name: np.zeros(series, f)
            for name in [*zeros.split(), "up", "down", "sums", "peak", "high", "shape", "edge"]
        }
        self.s["patience"] = np.full(series, k.CLIP)

    def step(self, time: float, values: NDArray[np.float64], learn: NDArray[np.bool_]) -> Row:
        with np.errstate(all="ignore"):
            return self._step(time, values, learn)

    def _step(self, time: float, values: NDArray[np.float64], wanted: NDArray[np.bool_]) -> Row:
        s = self.s
        fresh = s["count"] == 0
        gap = np.where(fresh, 0.0, time - self.seen)
        late = ~fresh & (gap <= 0) & (gap > -k.SET_BACK)
        present = (np.abs(values) < k.HUGE) & ~late
        learn = present & wanted
        if np.any(wanted & np.isfinite(values)):
            self._turn(int(time // 1800))
        self.anchor = np.where(learn & fresh, values, self.anchor)
        self.seen = np.where(learn, time, self.seen)
        x = np.where(present, values - self.anchor, np.nan).astype(f)
        magnitude = np.where(present, np.abs(values), 0).astype(f)
        gap = np.maximum(gap, 0).astype(f)

        step = np.where(
            (gap > 0) & (s["interval"] > 0), np.clip(gap / s["interval"], f(0.1), k.MAX_STEP), f(1)
        )
        predicted = s["level"] + s["trend"] * step
        expected = (
            predicted + np.maximum(f(1) - (f(1) - s["rho"]) * np.maximum(step, f(1)), f(0)) * s["residual"]
        )
        still = np.maximum(f(2) * s["flat"] - f(1), f(0))
        relative = k.RELATIVE_FLOOR + k.FLAT_FLOOR * still * still
        floor = np.maximum(magnitude, s["peak"]) * relative + k.ABSOLUTE_FLOOR
        noise = np.maximum(s["scale"], floor)
        gaps = np.clip(step, f(1), k.MAX_WIDENING) - f(1)
        unit = noise * (f(1) + k.WIDENING * s["rho"] * s["rho"] * gaps)
        surprise = x - expected
        z = surprise / unit
        body = self._body(np.abs(z) * noise, noise)
        score = np.minimum(body, self._burst(np.abs(surprise)))
        score = np.clip(np.maximum(score, self._slow(z)), f(0), k.MAX_SCORE)
        ready = present & (s["count"] >= self.warmup)

        new = self._learnt(x, z, surprise, body, gap, step, predicted, noise, unit, magnitude)
        for name, value in new.items():
            s[name] = np.where(learn, value, s[name]).astype(f)
        return np.where(ready, score, f(0))

    def _turn(self, bucket: int) -> None:
        """Once a half hour, anchors move to where the level is."""
        s, due = self.s, not self.bucket - 1 <= bucket <= self.bucket and self.bucket != 0
        self.bucket = self.bucket if self.bucket - 1 <= bucket <= self.bucket else bucket
        near = k.FAR * np.maximum(s["scale"], k.RELATIVE_FLOOR * np.abs(self.anchor).astype(f))
        moved = np.where(due & (np.abs(s["level"]) > near), s["level"], f(0))
        self.anchor = self.anchor + moved
        s["level"], s["last"] = s["level"] - moved, s["last"] - moved

    def _high(self, noise: Row) -> Row:
        return np.where(self.s["count"] < k.YOUNG, self.s["high"] * noise, self.s["high"])

    def _body(self, size: Row, noise: Row) -> Row:
        shape, edge = self.s["shape"], self.s["edge"]
        ratio = size / np.maximum(self._high(noise), k.LIVELY * noise)
        within = np.clip(f(1) + (k.START - f(1)) * (ratio * shape - f(1)) / (shape - f(1)), f(0), k.START)
        light = within + (k.BAND - k.START) * np.clip((ratio - f(1)) / (edge - f(1)), f(0), f(1))
        heavy = within + (k.KNEE_SCORE - k.START) * np.clip((ratio - f(1)) / (k.KNEE - f(1)), f(0), f(1))
        heavy = heavy + (k.BAND - k.KNEE_SCORE) * np.clip((ratio - k.KNEE) / (edge - k.KNEE), f(0), f(1))
        far = k.LN2 * _log2(ratio)
        past = far - k.LN2 * _log2(edge)
        decades = k.START + far / k.DECADE
        light = np.where(past > 0, np.maximum(decades, k.BAND + past / k.SLOW), light)
        heavy = np.where(past > 0, np.minimum(decades, k.BAND + past / k.STEEP), heavy)
        return np.where(edge > k.HEAVY, heavy, light)

    def _burst(self, deviation: Row) -> Row:
        s = self.s
        rarity = k.LOG10_2 * (_log2(np.minimum(s["count"], k.MEMORY)) - _log2(f(0.5) * s["bursts"]))
        excess = _log2(deviation) - s["burst_size"]
        ratio = np.where(excess > 0, excess / (k.BURST_SIGMA * s["burst_spread"]), f(0))
        usual = s["bursts"] > np.where(
            s["flat"] > f(0.5), k.USUAL, np.maximum(k.USUAL, k.OFTEN * np.minimum(s["count"], k.MEMORY))
        )
        return np.where(usual, rarity + f(0.5) * k.LOG10_E * ratio * ratio, k.MAX_SCORE)

    def _slow(self, z: Row) -> Row:
        one = np.clip(z, -k.CLIP, k.CLIP)
        sums = np.where(z > 0, self.s["up"] + one, self.s["down"] - one) - k.SLACK - k.CUSUM_START
        sums = k.LOG10_E * sums * (k.SUMS_USUAL / np.maximum(self.s["sums"], k.SUMS_USUAL))
        bounded = np.minimum(sums, k.CUSUM_CAP) + k.CUSUM_MORE * np.maximum(sums - k.CUSUM_CAP, f(0))
        return np.where(np.abs(z) > k.CUSUM_NEEDS, bounded, f(0))

    def _learnt(
        self, x: Row, z: Row, surprise: Row, body: Row, gap: Row, step: Row,
        predicted: Row, noise: Row, unit: Row, magnitude: Row,
    ) -> dict[str, Row]:  # fmt: skip
        s, count = self.s, self.s["count"]
        shifted, settled = s["patience"] > k.SHIFTED, count >= 5
        usual = unit / np.sqrt(k.NEARLY_ONE - s["rho"] * s["rho"])
        new = self._learnt_level(x, step, predicted, unit, settled, shifted)
        left = x - new["level"]
        wanders = np.clip((s["rho"] - k.WANDERS) / k.WANDERS_BY, f(0), f(1))
        wanders = np.where(s["flat"] < f(0.5), wanders, f(0))
        bounded = np.clip(left, -k.CLIP * usual, k.CLIP * usual)
        new["level"] = new["level"] + wanders * (left - bounded)
        new["residual"] = _flushed(bounded)

        pull = np.clip(z, -k.CLIP, k.CLIP) * np.clip(s["residual"] / usual, -k.CLIP, k.CLIP)
        rho = np.clip(s["rho"] + _young(count, k.RHO_GAIN) * pull, f(0), k.RHO_MAX)
        steady = settled & (step < 1.5) & (s["patience"] < k.SHIFTED)
        same = np.abs(x - s["last"]) <= k.RELATIVE_FLOOR * magnitude
        new["rho"] = np.where(steady & ~same, rho, s["rho"])
        size = np.abs(z) * noise
        bound = (
            np.where(shifted, s["patience"], np.fmax(self._high(noise) / s["shape"] / noise, k.CLIP)) * noise
        )
        size = np.where((size < bound) | ~settled, size, bound)
        scale = s["scale"] + _young(count, k.SCALE_GAIN) * (k.GAUSSIAN * size - s["scale"])
        scale = np.where(count == 1, k.GAUSSIAN * size, scale)
        new["scale"] = np.where(count > 0, _flushed(scale), s["scale"])
        new |= self._learnt_tail(np.abs(z), noise) | self._learnt_bursts(
            np.abs(z), np.abs(surprise), body, step
        )
        return new | self._learnt_rest(x, z, gap, magnitude)

    def _learnt_level(
        self, x: Row, step: Row, predicted: Row, unit: Row, settled: Row, shifted: Row
    ) -> dict[str, Row]:
        s = self.s
        reach = k.CLIP * unit / np.sqrt(k.NEARLY_ONE - s["rho"] * s["rho"])
        error = x - predicted
        bounded = np.where(settled, np.clip(error, -reach, reach), error)
        level = predicted + np.clip(_young(s["count"], k.LEVEL_GAIN) * step, f(0), f(1)) * bounded
        level = np.where(shifted, predicted + f(0.5) * error, level)
        steady = np.where(step < 1.5, bounded, f(0))
        trend = (s["trend"] + k.LEVEL_GAIN * k.TREND_GAIN * steady) * k.TREND_DAMP
        return {
            "level": _flushed(np.where(s["count"] == 0, x, level)),
            "trend": np.where(settled & ~shifted, _flushed(trend), f(0)),
        }

    def _learnt_tail(self, size: Row, noise: Row) -> dict[str, Row]:
        s, count = self.s, self.s["count"]
        begins, young = count < 10, count < k.YOUNG
        last = young & (count > k.YOUNG - f(1))
        size = np.where(young, size, size * noise)
        gain = np.clip(k.TAIL_EARLY / (count + f(1)), k.TAIL_GAIN, k.TAIL_FASTEST)
        grown = f(1) + gain * (np.where(size > s["high"], f(1), f(0)) - k.P_HIGH)
        body = f(1) - k.BODY_GAIN * gain * (np.where(size * s["shape"] > s["high"], f(1), f(0)) - k.P_BODY)
        fresh = (s["patience"] < k.FRESH) | (s["patience"] > k.SHIFTED)
        high = np.where(begins, k.PRIOR_HIGH, np.where(fresh, s["high"] * grown, s["high"]))
        bent = np.clip(s["shape"] * grown * body, k.LEAST_SHAPE, k.MOST_SHAPE)
        shape = np.where(fresh, bent, s["shape"])
        target = np.clip(k.BEND * s["shape"] * s["shape"], k.NEAREST, k.FARTHEST)
        edge = s["edge"] + _young(count + k.DOUBT, k.EDGE_GAIN) * (target - s["edge"])
        return {
            "high": np.maximum(np.where(last, high * noise, high), k.ABSOLUTE_FLOOR),
            "shape": np.where(begins, k.PRIOR_SHAPE, shape),
            "edge": np.where(begins, k.PRIOR_EDGE, edge),
        }

    def _learnt_bursts(self, size: Row, deviation: Row, body: Row, step: Row) -> dict[str, Row]:
        s = self.s
        any_yet = s["bursts"] > 0.5
        alike = any_yet & (size > 6) & (_log2(deviation) > s["burst_size"] - s["burst_spread"])
        high = alike | (body > k.BURST_SCORE)
        lasting = (high | (body > k.START)) & (s["patience"] < k.SHIFTED)
        counts = (s["episode"] > 0) & ~lasting & (step < 1.5)
        gain = np.where(any_yet, k.BURST_GAIN, f(1))
        excess = _log2(s["episode"]) - s["burst_size"]
        wider = np.where(
            any_yet, s["burst_spread"] + gain * (np.abs(excess) - s["burst_spread"]), k.LEAST_SPREAD
        )
        peak = np.where(high, np.maximum(deviation, s["episode"]), s["episode"])
        return {
            "episode": np.where(lasting, peak, f(0)),
            "bursts": s["bursts"] * (f(1) - f(1) / k.MEMORY) + np.where(counts, f(1), f(0)),
            "burst_size": np.where(counts, s["burst_size"] + gain * excess, s["burst_size"]),
            "burst_spread": np.where(counts, np.maximum(wider, k.LEAST_SPREAD), s["burst_spread"]),
        }

    def _learnt_rest(self, x: Row, z: Row, gap: Row, magnitude: Row) -> dict[str, Row]:
        s, count = self.s, self.s["count"]
        one, counts = np.clip(z, -k.CLIP, k.CLIP), (count >= 10) & (s["patience"] < k.SHIFTED)
        up = np.where(counts, np.clip(s["up"] + one - k.SLACK, f(0), k.CUSUM_MAX), f(0))
        down = np.where(counts, np.clip(s["down"] - one - k.SLACK, f(0), k.CUSUM_MAX), f(0))
        sums = s["sums"] + _young(count + k.DOUBT, k.SUMS_GAIN) * (up + down - s["sums"])
        outlier = (np.abs(z) > k.CLIP) & (count >= 10)
        calmer = np.where(s["patience"] > k.SHIFTED, f(0.5), k.PATIENCE_DECAY)
        same = np.abs(x - s["last"]) <= k.RELATIVE_FLOOR * magnitude
        interval = s["interval"]
        pulled = interval + k.INTERVAL_GAIN * (np.clip(gap, f(0.5) * interval, f(2) * interval) - interval)
        usual = np.where(interval > 0, pulled, gap)
        return {
            "up": up,
            "down": down,
            "sums": _flushed(sums),
            "patience": np.clip(
                s["patience"] * np.where(outlier, k.PATIENCE_GROWTH, calmer), k.CLIP, f(1e12)
            ),
            "flat": s["flat"] + _young(count, k.FLAT_GAIN) * (np.where(same, f(1), f(0)) - s["flat"]),
            "peak": _flushed(np.maximum(magnitude, s["peak"] * k.PEAK_DECAY)),
            "last": x,
            "interval": np.where(gap > 0, usual, interval),
            "count": np.where(count < 1e6, count + f(1), count),
        }


def _young(count: Row, gain: np.float32) -> Row:
    return np.asarray(np.maximum(f(1) / (count + f(1)), gain))


def _flushed(x: Row) -> Row:
    return np.where(np.abs(x) > k.TINY, x, f(0))


def _log2(x: Row) -> Row:
    """The compiled code's approximation, which its own test holds against the real one."""
    bits = np.asarray(x, f).view(np.int32)
    m = ((bits & 0x7FFFFF) | 0x3F800000).view(f) - f(1)
    p = f(0.46930169) + m * (f(-0.30338967) + m * (f(0.14643361) + m * f(-0.03459521)))
    return ((bits >> 23) - 127).astype(f) + m * (f(1.44268325) + m * (f(-0.72044237) + m * p))
