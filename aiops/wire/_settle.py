"""From raw samples to what is watched: order, staleness, resets, rates, histograms. See docs/ingest.md."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiops.wire import _tracks
from aiops.wire._bytes import bits_of, cached, compiled, u8, version
from aiops.wire._tracks import BUCKET, GAUGE, IGNORED

LATE, DUPLICATE, DENSE, STALE, RESETS, NOT_FINITE, SET_BACK, INCOMPLETE, OUTPUTS, COMPLETE, MIXED = range(11)
COUNTS = 11
"""MIXED: outputs whose cell is not that of the first."""

STALE_BITS = u8(0x7FF0000000000002)
"""Prometheus' own NaN for "this series has ended"."""
BACK = 300_000
"""ms: a sample older than the last by less is late; by more, the sender's clock was set back."""
GAP = 300_000
"""ms: no rate over a longer gap, as in Prometheus."""

GROUP = np.dtype(
    [
        ("time", np.int64),  # ms of the scrape that is being gathered
        ("first", np.int64),  # where its buckets begin
        ("size", np.int32),
        ("room", np.int32),
        ("arrived", np.int32),
        ("pad", np.int32),
    ]
)
"""One classic histogram: its buckets may come in several messages, and in any order."""


@compiled
def _increase(track: Any, time: np.int64, value: float, counts: NDArray[np.int64]) -> float:
    """By how much a counter has grown since its last sample; NaN when that cannot be told."""
    before, since = track["value"], time - track["time"]
    if np.isnan(before) or track["time"] == 0 or since > GAP:
        return float(np.nan)
    if value < before:
        counts[RESETS] += 1
        return value
    return float(value - before)


@compiled
def _gather(
    group: Any,
    place: int,
    time: np.int64,
    grown: float,
    fresh: NDArray[np.float64],
    counts: NDArray[np.int64],
) -> bool:
    """Add one bucket's growth to the scrape at `time`; true when that was the last that was missing."""
    if time < group["time"] - BACK or time > group["time"]:
        counts[INCOMPLETE] += group["arrived"] > 0 and group["arrived"] < group["size"]
        group["time"], group["arrived"] = time, 0
    if time != group["time"] or np.isnan(grown):
        return False
    fresh[group["first"] + place] = grown
    group["arrived"] += 1
    return bool(group["arrived"] == group["size"])


@compiled
def _skipped(track: Any, time: np.int64, value: float, begin: int, counts: NDArray[np.int64]) -> bool:
    """Whether a sample is none: late, doubled, too close to the last, the end of the series, or no number.

    `begin`: ms at which the sample's cell begins.
    """
    last = track["time"]
    if time <= last:
        if last - time < BACK:
            counts[DUPLICATE if time == last else LATE] += 1
            return True
        counts[SET_BACK] += 1
        track["value"], track["time"] = np.nan, 0
    if np.isnan(value):
        stale = bits_of(value) == STALE_BITS
        counts[STALE if stale else NOT_FINITE] += 1
        track["time"], track["value"] = time, np.nan
        return True
    if last >= begin and last != 0 and track["time"] != 0:
        counts[DENSE] += 1
        return True
    return False


def _build(build: int) -> Callable[..., int]:
    def settle(
        tracks: NDArray[Any],
        refs: NDArray[np.int32],
        times: NDArray[np.int64],
        values: NDArray[np.float64],
        resolution: int,
        groups: NDArray[Any],
        fresh: NDArray[np.float64],
        slots: NDArray[np.int32],
        cells: NDArray[np.int64],
        rates: NDArray[np.float64],
        complete: NDArray[np.int32],
        counts: NDArray[np.int64],
    ) -> int:
        """Samples in order of arrival -> slot, cell (time // resolution) and what is watched.

        Counters come out per second. `complete`: the histograms whose scrape became whole.
        """
        made, whole = 0, 0
        newest, cell = np.int64(-1), 0
        for i in range(len(refs)):
            if refs[i] < 0:
                continue
            track = tracks[refs[i]]
            kind, time, value = track["kind"], times[i], values[i]
            if time != newest:  # a sender's samples mostly have one time; a division takes 20 cycles
                newest, cell = time, time // resolution
            if kind == IGNORED or _skipped(track, time, value, cell * resolution, counts):
                continue
            if kind != GAUGE:
                grown, since = _increase(track, time, value, counts), time - track["time"]
                track["value"] = value
                place = track["slot"]
                if kind == BUCKET and _gather(groups[track["group"]], place, time, grown, fresh, counts):
                    complete[whole] = track["group"]
                    whole += 1
                value = grown * 1000.0 / since
            track["time"] = time
            if kind == BUCKET or np.isnan(value):
                continue
            if abs(value) == np.inf:
                counts[NOT_FINITE] += 1
                continue
            slots[made], cells[made], rates[made] = track["slot"], cell, value
            counts[MIXED] += cell != cells[0]
            made += 1
        counts[OUTPUTS], counts[COMPLETE] = made, whole
        return build

    return cached(settle)


settle = _build(version(_tracks))


@compiled
def _ordered(group: Any, bounds: NDArray[np.float64], order: NDArray[np.int64]) -> None:
    """The places of a group's buckets by their bounds: an insertion, as they mostly come in order."""
    first = group["first"]
    for k in range(group["size"]):
        at = k
        while at > 0 and bounds[first + order[at - 1]] > bounds[first + k]:
            order[at] = order[at - 1]
            at -= 1
        order[at] = k


@compiled
def _quantile(
    group: Any,
    share: float,
    bounds: NDArray[np.float64],
    fresh: NDArray[np.float64],
    order: NDArray[np.int64],
) -> float:
    """PromQL's ``histogram_quantile`` of the growth since the last scrape; NaN when nothing was observed."""
    first, size = group["first"], group["size"]
    total = fresh[first + order[size - 1]]
    if size < 2 or not total > 0.0 or bounds[first + order[size - 1]] != np.inf:
        return float(np.nan)
    rank, k = share * total, 0
    while k < size - 1 and fresh[first + order[k]] < rank:
        k += 1
    upper = bounds[first + order[k]]
    if k == size - 1:
        return float(bounds[first + order[size - 2]])
    if k == 0 and upper <= 0.0:
        return float(upper)
    lower = bounds[first + order[k - 1]] if k > 0 else 0.0
    below = fresh[first + order[k - 1]] if k > 0 else 0.0
    inside = fresh[first + order[k]] - below
    return float(lower + (upper - lower) * (rank - below) / inside) if inside > 0.0 else float(upper)


@cached
def quantiles(
    groups: NDArray[Any],
    complete: NDArray[np.int32],
    bounds: NDArray[np.float64],
    fresh: NDArray[np.float64],
    shares: NDArray[np.float64],
    order: NDArray[np.int64],
    found: NDArray[np.float64],
) -> None:
    """``found[k, q]``: quantile ``shares[q]`` of histogram ``complete[k]``. `order`: room for its buckets."""
    for k in range(len(complete)):
        group = groups[complete[k]]
        _ordered(group, bounds, order)
        for q in range(len(shares)):
            found[k, q] = _quantile(group, shares[q], bounds, fresh, order)
