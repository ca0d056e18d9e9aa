"""`novelty` once more, plainly, one series at a time: what `detectors/_novelty_kernel.py` must compute."""

import math

import numpy as np
from numpy.typing import NDArray

from detectors import _novelty_fields as k

Window = NDArray[np.float32]


class NaiveNovelty:
    """`step` takes one sample and returns its score, as `Novelty.update` would for that series."""

    def __init__(self, warmup: int) -> None:
        self.warmup, self.scale = warmup, warmup / k.SETTLE
        self.n = 0
        self.seen = 0.0
        self.bucket: list[float] = []
        self.spikes: list[float] = []
        self.means: list[float] = []
        self.levels: list[Window] = []
        self.shapes: list[Window] = []
        self.day: dict[int, tuple[float, int]] = {}
        self.reach = self.about = self.level = 0.0
        self.peaks: list[list[tuple[float, float]]] = [[], [], []]
        self.current: list[int | None] = [None] * 3

    def step(self, time: float, value: float, learn: bool = True) -> float:
        if not abs(value) < k.HUGE or (self.n and -k.SET_BACK < time - self.seen <= 0):
            return 0.0
        if self.n == 0:
            if not learn:
                return 0.0
            self.about = self.level = value
        bucket = [*self.bucket, value]
        ends = len(bucket) >= max(1, math.floor(self.scale / k.BUCKETS))
        mean = sum(bucket) / len(bucket)
        about = self.about + k.FOLLOW * (mean - self.about)
        spike = max(bucket) if abs(max(bucket) - about) >= abs(min(bucket) - about) else min(bucket)
        spikes, means = [*self.spikes, spike], [*self.means, mean]
        level = np.array(spikes[-k.LEVELS :], np.float32)
        shape = np.array(np.array(means[-k.SHAPES :]) - np.mean(means[-k.SHAPES :]), np.float32)
        usual = self._usual(time)
        distances = [
            _second_nearest(level, self.levels) if ends and len(spikes) >= k.LEVELS else 0.0,
            _second_nearest(shape, self.shapes) if ends and len(means) >= k.SHAPES else 0.0,
            abs(value - usual),
        ]
        score = self._score(distances) if self.n >= self.warmup else 0.0
        if learn:
            self._learn_peaks(distances)
            self.bucket = bucket
            if ends:
                self.bucket, self.about, self.spikes, self.means = [], about, spikes, means
                self.levels += [level] if len(spikes) >= k.LEVELS else []
                self.shapes += [shape] if len(means) >= k.SHAPES else []
            self._learn_season(time, value, usual)
            self.n, self.seen = self.n + 1, time
        return score

    def _start(self, channel: int) -> float:
        return max(5, math.floor(k.FIRST * self.scale)) if channel < 2 else 5

    def _score(self, distances: list[float]) -> float:
        said = []
        for channel, size in enumerate(distances):
            period = 0.0
            if size > 0 and self.peaks[channel]:
                number = sum(
                    math.exp(-(self.n - born) / k.MEMORY) * min(1.0, (peak / size) ** (1 / k.TAIL))
                    for peak, born in self.peaks[channel]
                )
                lasted = (1 - math.exp(-(self.n - self._start(channel) + 1) / k.MEMORY)) * k.MEMORY
                period = max(0.0, math.log10(lasted / max(number, 1e-9)))
            said.append(period - k.DISCOUNTS[channel])
        said.sort()
        grown = math.log10(min(max(self.n, 1), k.UNTIL) / k.AFTER)
        return max(0.0, k.SHARE * said[-1] + (1 - k.SHARE) * max(said[-2], 0.0) - k.GROWTH * grown)

    def _learn_peaks(self, distances: list[float]) -> None:
        for channel, size in enumerate(distances):
            if size <= 0 or self.n < self._start(channel):
                continue
            peaks, at = self.peaks[channel], self.current[channel]
            if at is not None and self.n - peaks[at][1] <= math.floor(k.EPISODE * self.scale):
                if size > peaks[at][0]:
                    peaks[at] = size, self.n
            elif len(peaks) < k.PEAKS:
                peaks.append((size, self.n))
                self.current[channel] = len(peaks) - 1
            else:
                aged = [peak * math.exp(-(self.n - born) / k.MEMORY * k.TAIL) for peak, born in peaks]
                weakest = int(np.argmin(aged))
                self.current[channel] = weakest if size > aged[weakest] else None
                if size > aged[weakest]:
                    peaks[weakest] = size, self.n

    def _usual(self, time: float) -> float:
        place = time % 86400 * k.DAY / 86400
        at, part = int(place), place - int(place) - 0.5
        other = (at + (1 if part > 0 else -1)) % k.DAY

        def known(bucket: int) -> float:
            mean, seen = self.day.get(bucket, (0.0, 0))
            return (mean * seen + 0.5 * self.level) / (seen + 0.5)

        return (1 - abs(part)) * known(at) + abs(part) * known(other)

    def _learn_season(self, time: float, value: float, usual: float) -> None:
        n, distance = self.n + 1, value - usual
        self.reach += (abs(distance) - self.reach) / min(n, 500)
        limit = k.SEASON_CLIP * self.reach if n > 101 else 1e300
        clipped = usual + float(np.clip(distance, -limit, limit))
        self.level += (clipped - self.level) / min(n, 1000)
        bucket = int(time % 86400 * k.DAY / 86400)
        mean, seen = self.day.get(bucket, (0.0, 0))
        seen = min(seen + 1, k.DAY_MEMORY)
        self.day[bucket] = mean + (clipped - mean) / seen, seen


def _second_nearest(window: Window, known: list[Window]) -> float:
    if len(known) < k.NEIGHBOUR:
        return 0.0
    return float(np.sort(np.abs(np.stack(known[-k.KEPT :]) - window).sum(axis=1))[k.NEIGHBOUR - 1])
