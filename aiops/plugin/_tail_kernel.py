"""The compiled half of `calibration.py`, with its constants compiled in; `residual` compiles it in, too."""

import math
from collections.abc import Callable
from hashlib import blake2b
from inspect import getsource
from types import ModuleType
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

from aiops.plugin import calibration as k

F = TypeVar("F", bound=Callable[..., Any])
Row: TypeAlias = NDArray[np.float64]


def compiled(function: F) -> F:
    return cast(F, njit(function, error_model="numpy", nogil=True))


@compiled
def _rarity(shape: float, gaussian: float) -> float:
    """How far over HIGH (log) 1 in 10,000 samples are, by the log of HIGH / BODY and of a Gaussian's."""
    return min(max(k.NOISE + k.HEAVIER * (shape - gaussian), k.NEAREST), k.FARTHEST)


@compiled
def _decades(over: float, edge: float, width: float) -> float:
    """What a sample scores that is `over` HIGH (log): BAR at the `edge`, else what the ratio says, or near.

    The ratio ranks events across series, the edge keeps noise of every tail to its share.
    """
    ratio, half = k.START + over / width, (k.BELOW - k.START) * width
    if edge <= (k.BAR - k.START) * width:  # a light tail: rarer than its ratio says
        if over < edge:
            return k.START + (k.BAR - k.START) * over / edge
        return max(ratio, k.BAR + (over - edge) / k.SLOW)
    if over < half:
        return ratio
    if over < edge:
        return k.BELOW + (k.BAR - k.BELOW) * (over - half) / (edge - half)
    return min(ratio, k.BAR + (over - edge) / k.STEEP)


@compiled
def surprise(t: Row, log: float) -> tuple[float, float]:
    """The score of a distance (log) under a tail, and the distance (log) that would score BAR.

    A series that has just been busy must exceed that, too.
    """
    busy = math.log(t[k.BUSY]) if t[k.BUSY] > 1.0 else 0.0
    shape = min(max(t[k.HIGH] - t[k.BODY], 0.0), k.WIDEST)
    width = k.WIDTH * (1.0 + k.BEND * (shape / k.TYPICAL - 1.0))
    edge = min(max(t[k.EDGE] - t[k.HIGH], k.NEAREST), k.FARTHEST)
    over = log - t[k.HIGH] - busy
    score = _decades(over, edge, width) if over > 0 else k.START * math.exp(over)
    return score, t[k.HIGH] + busy + edge


@compiled
def gain_of(n: float) -> float:
    return max(k.GAIN, min(k.FASTEST, k.EARLY / n))


@compiled
def follow(s: Row, high: int, run: int, since: int, log: float, share: float, gain: float) -> None:
    """A multiplicative stochastic step towards the size that `share` exceed (Robbins and Monro 1951).

    Of an episode only its first FEW exceedances teach, until there are so many that they are the new normal.
    """
    s[since] += 1.0
    if log > s[high]:
        s[run] = s[run] + 1.0 if s[since] <= k.APART else 1.0
        s[since] = 0.0
        if s[run] <= k.FEW or s[run] > k.MANY:
            s[high] += gain * (1.0 - share)
    else:
        s[high] -= gain * share


@compiled
def learn_tail(t: Row, log: float, n: float, gaussian: float) -> None:
    """Learn the `n`-th distance (log) of a series; `gaussian`: the HIGH / BODY (log) of plain noise."""
    if n <= k.YOUNG:
        t[k.HIGH] = log if n <= k.ROUGH else max(t[k.HIGH], log)
        t[k.BODY] = t[k.HIGH] - 0.5
        return
    most = k.NEWS if t[k.RUN] <= k.FRESH else k.OLD_NEWS
    t[k.BUSY] += (math.exp(min(log - t[k.HIGH], most)) - t[k.BUSY]) / k.CALM
    gain = gain_of(n)
    follow(t, k.HIGH, k.RUN, k.SINCE, log, k.RARE, gain)
    t[k.BODY] += 0.25 * gain * ((1.0 if log > t[k.BODY] else 0.0) - k.USUAL)
    edge = t[k.HIGH] + _rarity(t[k.HIGH] - t[k.BODY], gaussian)
    t[k.EDGE] += (edge - t[k.EDGE]) / min(n - k.YOUNG, k.STEADY)


def version_of(*modules: ModuleType) -> int:
    """Of their text: numba keeps compiled code by a function's file, not by those that it compiles in."""
    source = "".join(map(getsource, modules))
    return int.from_bytes(blake2b(source.encode(), digest_size=7).digest(), "big")


def _kept(function: F) -> F:
    return cast(F, njit(function, error_model="numpy", nogil=True, cache=True))


def _build_advance(_version: int) -> Callable[..., int]:
    def advance(
        rows: Row,
        at: NDArray[np.int32],
        distances: Row,
        learn: NDArray[np.bool_],
        warmup: float,
        scores: Row,
    ) -> int:
        """As `Calibrator.step`, into `scores`."""
        for i in range(len(at)):
            t = rows[at[i]]
            for row in range(len(distances)):
                distance = distances[row, i]
                if not distance < np.inf:
                    continue
                log = math.log(max(distance, k.FLOOR))
                if t[k.COUNT] >= warmup:
                    scores[row, i] = surprise(t, log)[0]
                if learn[i]:
                    t[k.COUNT] += 1.0
                    learn_tail(t, log, t[k.COUNT], k.GAUSSIAN)
        return _version

    return cast(Callable[..., int], _kept(advance))


def _build_edges(_version: int) -> Callable[..., int]:
    def edges(rows: Row, at: NDArray[np.int32], told: Row) -> int:
        """As `Calibrator.edges`, into `told`."""
        for i in range(len(at)):
            told[i] = math.exp(surprise(rows[at[i]], -700.0)[1])
        return _version

    return cast(Callable[..., int], _kept(edges))


advance = _build_advance(version_of(k))
edges = _build_edges(version_of(k))
