"""How `novelty` judges a sample.

A window is compared once a bucket ends; a channel's distance becomes the log10 of its return period in
samples, from the peaks of past episodes: a Pareto tail below each, exponentially forgotten.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

from detectors import _novelty_fields as k

F = TypeVar("F", bound=Callable[..., Any])
Row: TypeAlias = NDArray[np.float64]
Ring: TypeAlias = NDArray[np.float32]
Peaks: TypeAlias = NDArray[np.float64]
FORGET = 1.0 / k.MEMORY


class View(NamedTuple):
    """A sample before it is learnt."""

    ends: bool
    """Whether it is the last of its bucket; then what the bucket comes to:"""
    spike: float
    mean: float
    usual: float
    """The profile's value."""
    distances: tuple[float, float, float]
    score: float


def compiled(function: F) -> F:
    return cast(F, njit(function, error_model="numpy", nogil=True))


fast = njit(error_model="numpy", nogil=True, fastmath={"reassoc", "nsz", "contract"})
"""For sums whose order may differ: then they are taken many at a time."""


@compiled
def bucket(second: float) -> tuple[int, int, float]:
    """The bucket of a time of day, its nearer neighbour, and that one's share (linear between middles)."""
    place = second * k.DAY / 86400.0
    at = min(int(place), k.DAY - 1)
    part = place - at - 0.5
    other = (at + 1) % k.DAY if part > 0 else (at - 1 + k.DAY) % k.DAY
    return at, other, abs(part)


@compiled
def _profile(s: Row, day: Row, day_n: NDArray[np.uint8], second: float) -> float:
    at, other, part = bucket(second)
    level, seen, beside = s[k.LEVEL], float(day_n[at]), float(day_n[other])
    here = (day[at] * seen + 0.5 * level) / (seen + 0.5)
    near = (day[other] * beside + 0.5 * level) / (beside + 0.5)
    told: float = (1.0 - part) * here + part * near
    return told


@fast
def _apart(window: Ring, ring: Ring, start: int) -> np.float32:
    """Sum of absolute differences (L1) to one window of the dictionary."""
    total = np.float32(0)
    for j in range(len(window)):
        total += abs(window[j] - ring[start + j])
    return total


@compiled
def _nearest(window: Ring, ring: Ring, known: int) -> float:
    """The distance to the NEIGHBOUR-th (second) nearest of the `known` windows; 0 when there are fewer."""
    if known < k.NEIGHBOUR:
        return 0.0
    first = second = np.float32(np.inf)
    for row in range(min(known, k.KEPT)):
        apart = _apart(window, ring, row * len(window))
        if apart < first:
            first, second = apart, first
        elif apart < second:
            second = apart
    return float(second)


@compiled
def _window(s: Row, field: int, last: float, middle: float, out: Ring) -> None:
    """The last buckets with the one that just ended, oldest first, less `middle`."""
    length, skip = len(out), k.SHAPES - len(out)
    for j in range(length - 1):
        out[j] = np.float32(s[field + skip + j + 1] - middle)
    out[length - 1] = np.float32(last - middle)


@compiled
def _shape_middle(s: Row, last: float) -> float:
    total = last
    for j in range(1, k.SHAPES):
        total += s[k.MEANS + j]
    return total / k.SHAPES


@compiled
def _period(s: Row, peaks: Peaks, channel: int, size: float, now: float, start: float) -> float:
    """log10 of the return period of a distance, in samples."""
    filled, log = int(s[k.FILLED + channel]), math.log(size)
    if filled == 0:
        return 0.0
    number = 0.0
    for j in range(filled):
        above = (peaks[channel, k.SIZE, j] - log) / k.TAIL
        weight = -FORGET * (now - peaks[channel, k.BORN, j]) + (above if above < 0.0 else 0.0)
        if weight > -25.0:
            number += math.exp(weight)
    lasted = (1.0 - math.exp(-FORGET * (now - start + 1.0))) * k.MEMORY
    return max(0.0, math.log10(lasted / max(number, 1e-9)))


@compiled
def first(channel: int, scale: float) -> float:
    """The sample from which a channel's distances count."""
    return max(5.0, math.floor(k.FIRST * scale)) if channel < 2 else 5.0


@compiled
def _fused(s: Row, peaks: Peaks, distances: tuple[float, float, float], scale: float) -> float:
    """The two most surprised channels, less what so many samples bring by chance."""
    now, best, second = s[k.COUNT], -9.0, -9.0
    for channel in range(k.CHANNELS):
        size = distances[channel]
        said = _period(s, peaks, channel, size, now, first(channel, scale)) if size > 0 else 0.0
        said -= k.DISCOUNTS[channel]
        if said > best:
            best, second = said, best
        elif said > second:
            second = said
    score = k.SHARE * best + (1.0 - k.SHARE) * max(second, 0.0)
    return max(score - k.GROWTH * math.log10(min(max(now, 1.0), k.UNTIL) / k.AFTER), 0.0)


@compiled
def look(
    s: Row,
    day: Row,
    day_n: NDArray[np.uint8],
    levels: Ring,
    shapes: Ring,
    peaks: Peaks,
    windows: tuple[Ring, Ring],
    value: float,
    second: float,
    scale: float,
) -> View:
    """Distances of a sample, and the score of the two most surprised channels."""
    now, held = s[k.COUNT], s[k.HELD]
    low, top = (min(s[k.LOW], value), max(s[k.TOP], value)) if held > 0 else (value, value)
    mean, ends = (s[k.SUM] + value) / (held + 1.0), held + 1.0 >= max(1.0, math.floor(scale / k.BUCKETS))
    about = s[k.ABOUT] + k.FOLLOW * (mean - s[k.ABOUT])
    spike = top if abs(top - about) >= abs(low - about) else low
    level = shape = 0.0
    known = s[k.WINDOWS] + 1.0
    if ends and known >= k.LEVELS:
        _window(s, k.SPIKES, spike, 0.0, windows[0])
        level = _nearest(windows[0], levels, int(known - k.LEVELS))
    if ends and known >= k.SHAPES:
        _window(s, k.MEANS, mean, _shape_middle(s, mean), windows[1])
        shape = _nearest(windows[1], shapes, int(known - k.SHAPES))
    usual = _profile(s, day, day_n, second)
    distances = (level, shape, abs(value - usual))
    score = _fused(s, peaks, distances, scale) if now >= math.floor(k.SETTLE * scale) else 0.0
    return View(ends, spike, mean, usual, distances, score)
