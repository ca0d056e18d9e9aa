"""Histograms that come whole in one point -> quantiles of what was observed since the last one.

Exponential buckets: https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram.
Inside an explicit bucket values are taken to lie evenly, as PromQL's ``histogram_quantile`` does; inside an
exponential one their logarithms.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

GAP = 300_000
"""ms: nothing is compared over a longer gap, as with counters."""
_MOST_BUCKETS = 10_000
_SCALES = range(-10, 21)


@dataclass(slots=True)
class Buckets:
    """``counts[N]`` of observations in ``(bounds[k], bounds[k + 1]]``; ``bounds[N + 1]`` ascend.

    An exponential histogram has a `scale`; its buckets are numbers ``first, first + 1, ...``, those of
    negative values `below`, and of zeros `zeros`.
    """

    counts: NDArray[np.float64]
    bounds: NDArray[np.float64]
    start: int
    """ms since the epoch at which it began to count; 0 = not said."""
    scale: int | None = None
    first: int = 0
    below: "Buckets | None" = None
    zeros: float = 0.0
    delta: bool = False

    @property
    def total(self) -> float:
        return float(self.counts.sum()) + self.zeros + (self.below.total if self.below else 0.0)


_NO_BOUNDS = np.zeros(0)


def explicit(point: Any) -> Buckets:
    """Of a ``HistogramDataPoint``. Raises ValueError."""
    counts, bounds = np.array(point.bucket_counts, np.float64), np.array(point.explicit_bounds, np.float64)
    if len(counts) > _MOST_BUCKETS:
        raise ValueError(f"more than {_MOST_BUCKETS} buckets")
    if len(counts) and len(counts) != len(bounds) + 1:
        raise ValueError(f"{len(counts)} buckets for {len(bounds)} bounds")
    if not (np.diff(bounds) > 0).all() or not np.isfinite(bounds).all():
        raise ValueError("bounds that do not ascend")
    return Buckets(counts, bounds, point.start_time_unix_nano // 1_000_000)


def exponential(point: Any) -> Buckets:
    """Of an ``ExponentialHistogramDataPoint``. Raises ValueError."""
    if point.scale not in _SCALES:
        raise ValueError(f"scale {point.scale}")
    start = point.start_time_unix_nano // 1_000_000
    sides = []
    for side in (point.positive, point.negative):
        if len(side.bucket_counts) > _MOST_BUCKETS:
            raise ValueError(f"more than {_MOST_BUCKETS} buckets")
        counts = np.array(side.bucket_counts, np.float64)
        sides.append(Buckets(counts, _NO_BOUNDS, start, point.scale, side.offset))
    sides[0].below, sides[0].zeros = sides[1], float(point.zero_count)
    return sides[0]


@dataclass(slots=True)
class Held:
    """The last state of each cumulative histogram, of `most` ones (0 = no limit)."""

    most: int = 0
    _last: dict[int, tuple[int, Buckets]] = field(default_factory=dict)
    _newest: int = 0
    _swept: int = 0

    def quantiles(
        self, key: int, time: int, now: Buckets, shares: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Of what was observed since the last call for `key`; none where that is nothing or unknown."""
        grown: Buckets | None = now
        if not now.delta:
            before = self._last.get(key)
            if before is not None and before[0] - GAP < time <= before[0]:
                return np.zeros(0)
            if before is None and self.most and len(self._last) >= self.most:
                return np.zeros(0)
            self._last[key] = time, now
            self._newest = max(self._newest, time)
            grown = _since(before[1], now, before[0]) if before and 0 < time - before[0] <= GAP else None
        if grown is None or not grown.total > 0:
            return np.zeros(0)
        return _exponential(grown, shares) if grown.scale is not None else _explicit(grown, shares)

    def forget(self) -> None:
        """Drop what is too old to be compared with."""
        if self._newest - self._swept > GAP:
            self._swept = self._newest
            self._last = {key: one for key, one in self._last.items() if one[0] > self._newest - GAP}


def _since(before: Buckets, now: Buckets, time: int) -> Buckets:
    """What `now` has more; all of it when it began to count anew since `time`."""
    if now.start > time:
        return now
    if now.scale is None:
        if not np.array_equal(before.bounds, now.bounds) or len(before.counts) != len(now.counts):
            return now
        return _less(now, now.counts - before.counts)
    if before.scale is None or before.scale < now.scale or before.below is None or now.below is None:
        return now
    up, down = _aligned(before, now), _aligned(before.below, now.below)
    zeros = now.zeros - before.zeros
    if up is None or down is None or zeros < 0:
        return now
    grown = _less(now, up)
    if grown is now or (down < 0).any():
        return now
    grown.below, grown.zeros = _less(now.below, down), zeros
    return grown


def _less(now: Buckets, counts: NDArray[np.float64]) -> Buckets:
    if (counts < 0).any():
        return now
    return Buckets(counts, now.bounds, now.start, now.scale, now.first)


def _aligned(before: Buckets, now: Buckets) -> NDArray[np.float64] | None:
    """The growth of each of now's buckets; None when a bucket is gone, so it began anew.

    A histogram that grows wide lowers its scale by s: 2^s buckets become one.
    """
    used = np.flatnonzero(before.counts)
    if before.scale is None or now.scale is None:
        return None
    places = ((before.first + used) >> (before.scale - now.scale)) - now.first
    if len(used) and (places.min() < 0 or places.max() >= len(now.counts)):
        return None
    return now.counts - np.bincount(places, before.counts[used], len(now.counts))


def _explicit(grown: Buckets, shares: NDArray[np.float64]) -> NDArray[np.float64]:
    if len(grown.counts) < 2:
        return np.zeros(0)
    sums = np.cumsum(grown.counts)
    ranks = shares * sums[-1]
    at = np.minimum(np.searchsorted(sums, ranks, side="left"), len(sums) - 1)
    uppers = np.append(grown.bounds, grown.bounds[-1])
    lowers = np.concatenate([[min(0.0, grown.bounds[0])], grown.bounds])
    below = np.concatenate([[0.0], sums])[at]
    inside = grown.counts[at]
    part = np.divide(ranks - below, inside, out=np.ones(len(at)), where=inside > 0)
    found = lowers[at] + (uppers[at] - lowers[at]) * part
    return np.asarray(np.where(at == len(sums) - 1, grown.bounds[-1], found), np.float64)


def _exponential(grown: Buckets, shares: NDArray[np.float64]) -> NDArray[np.float64]:
    if grown.scale is None or grown.below is None:
        return np.zeros(0)
    step = 2.0**-grown.scale
    counts = np.concatenate([grown.below.counts[::-1], [grown.zeros], grown.counts])
    sums = np.cumsum(counts)
    ranks = shares * sums[-1]
    at = np.minimum(np.searchsorted(sums, ranks, side="left"), len(sums) - 1)
    part = np.divide(ranks - (sums - counts)[at], counts[at], out=np.ones(len(at)), where=counts[at] > 0)
    side = at - len(grown.below.counts)
    exponents = np.where(
        side > 0,
        (grown.first + side - 1 + part) * step,
        (grown.below.first - side - part) * step,
    )
    with np.errstate(over="ignore"):
        sizes = np.exp2(exponents)
    return np.asarray(np.where(side == 0, 0.0, np.where(side > 0, sizes, -sizes)), np.float64)
