"""How `novelty` learns, and its step: one row of state a series, all times of a frame in one visit."""

import math
from collections.abc import Callable
from hashlib import blake2b
from inspect import getsource
from types import ModuleType
from typing import cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

from detectors import _novelty_fields as k
from detectors import _novelty_judge
from detectors._novelty_judge import FORGET, Peaks, Ring, Row, View, bucket, compiled, first, look


@compiled
def _keep_peak(s: Row, peaks: Peaks, channel: int, size: float, now: float, apart: float) -> None:
    """Declustering: one peak an episode; a new one takes the place of the one that is smallest by its age."""
    log, current, filled = math.log(size), int(s[k.CURRENT + channel]) - 1, int(s[k.FILLED + channel])
    if current >= 0 and now - peaks[channel, k.BORN, current] <= apart:
        if log <= peaks[channel, k.SIZE, current]:
            return
        at = current
    elif filled < k.PEAKS:
        at = filled
        s[k.FILLED + channel] = filled + 1.0
    else:
        at = int(s[k.WEAKEST + channel])
        if log <= peaks[channel, k.KEY, at] - FORGET * k.TAIL * now:
            s[k.CURRENT + channel] = 0.0
            return
    s[k.CURRENT + channel] = at + 1.0
    peaks[channel, k.SIZE, at], peaks[channel, k.BORN, at] = log, now
    peaks[channel, k.KEY, at] = log + FORGET * k.TAIL * now
    weakest = 0
    for j in range(1, int(s[k.FILLED + channel])):
        if peaks[channel, k.KEY, j] < peaks[channel, k.KEY, weakest]:
            weakest = j
    s[k.WEAKEST + channel] = float(weakest)


@compiled
def _learn_windows(
    s: Row, levels: Ring, shapes: Ring, windows: tuple[Ring, Ring], v: View, value: float
) -> None:
    held = s[k.HELD]
    s[k.LOW] = min(s[k.LOW], value) if held > 0 else value
    s[k.TOP] = max(s[k.TOP], value) if held > 0 else value
    s[k.SUM], s[k.HELD] = s[k.SUM] + value, held + 1.0
    if not v.ends:
        return
    s[k.SUM] = s[k.HELD] = 0.0
    s[k.ABOUT] += k.FOLLOW * (v.mean - s[k.ABOUT])
    s[k.WINDOWS] += 1.0
    for j in range(k.SHAPES - 1):
        s[k.SPIKES + j], s[k.MEANS + j] = s[k.SPIKES + j + 1], s[k.MEANS + j + 1]
    s[k.SPIKES + k.SHAPES - 1], s[k.MEANS + k.SHAPES - 1] = v.spike, v.mean
    number = int(s[k.WINDOWS])
    if number >= k.LEVELS:
        levels[(number - k.LEVELS) % k.KEPT * k.LEVELS :][: k.LEVELS] = windows[0]
    if number >= k.SHAPES:
        shapes[(number - k.SHAPES) % k.KEPT * k.SHAPES :][: k.SHAPES] = windows[1]


@compiled
def _learn_season(s: Row, day: Row, day_n: NDArray[np.uint8], v: View, value: float, second: float) -> None:
    n, distance = s[k.COUNT] + 1.0, value - v.usual
    s[k.REACH] += (abs(distance) - s[k.REACH]) / min(n, 500.0)
    limit = k.SEASON_CLIP * s[k.REACH] if n > 101.0 else 1e300
    clipped = v.usual + min(max(distance, -limit), limit)
    s[k.LEVEL] += (clipped - s[k.LEVEL]) / min(n, 1000.0)
    at = bucket(second)[0]
    day_n[at] = min(day_n[at] + 1, k.DAY_MEMORY)
    day[at] += (clipped - day[at]) / day_n[at]


@compiled
def _usual_extreme(s: Row, peaks: Peaks) -> float:
    """The farthest that the series was from its profile, of what is remembered."""
    farthest = -700.0
    for j in range(int(s[k.FILLED + 2])):
        farthest = max(farthest, peaks[2, k.SIZE, j])
    return math.exp(farthest)


def _build(_version: int) -> Callable[..., int]:
    """numba's cache looks at this file alone: `_version` in its key lets it see the others change."""

    def advance(
        core: Row,
        day: Row,
        day_n: NDArray[np.uint8],
        levels: Ring,
        shapes: Ring,
        peaks: Peaks,
        windows: tuple[Ring, Ring],
        times: Row,
        seconds: Row,
        slots: NDArray[np.int32],
        values: Row,
        learn: NDArray[np.bool_],
        warmup: float,
        score: NDArray[np.float32],
        band: Row,
    ) -> int:
        """As `residual`'s: score a frame ``values[T, S]`` and learn it where ``learn[T, S]``."""
        scale = warmup / k.SETTLE
        for i in range(len(slots)):
            s, p = core[slots[i]], peaks[slots[i]]
            d, d_n, lv, sh = day[slots[i]], day_n[slots[i]], levels[slots[i]], shapes[slots[i]]
            for t in range(len(times)):
                value = values[t, i]
                if len(score) > 0:
                    score[t, i] = 0.0
                    band[0, t, i] = band[1, t, i] = band[2, t, i] = np.nan
                since = times[t] - s[k.SEEN]
                late = s[k.COUNT] > 0 and since <= 0.0 and since > -k.SET_BACK
                fresh = s[k.COUNT] < 0.5
                if not abs(value) < k.HUGE or late or (fresh and not learn[t, i]):
                    continue
                if fresh:
                    s[k.LEVEL] = s[k.ABOUT] = value
                v = look(s, d, d_n, lv, sh, p, windows, value, seconds[t], scale)
                if len(score) > 0 and s[k.COUNT] >= warmup:
                    score[t, i] = v.score
                    reach = _usual_extreme(s, p)
                    band[0, t, i], band[1, t, i], band[2, t, i] = v.usual, v.usual - reach, v.usual + reach
                if not learn[t, i]:
                    continue
                for channel in range(k.CHANNELS):
                    start = first(channel, scale)
                    if v.distances[channel] > 0 and s[k.COUNT] >= start:
                        _keep_peak(
                            s, p, channel, v.distances[channel], s[k.COUNT], math.floor(k.EPISODE * scale)
                        )
                _learn_windows(s, lv, sh, windows, v, value)
                _learn_season(s, d, d_n, v, value, seconds[t])
                s[k.COUNT], s[k.SEEN] = s[k.COUNT] + 1.0, times[t]
        return _version

    return cast(Callable[..., int], njit(advance, error_model="numpy", nogil=True, cache=True))


def _version_of(*modules: ModuleType) -> int:
    source = "".join(map(getsource, modules))
    return int.from_bytes(blake2b(source.encode(), digest_size=7).digest(), "big")


advance = _build(_version_of(k, _novelty_judge))
