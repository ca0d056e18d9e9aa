"""The compiled half of `calibration.py`, with its constants compiled in."""

import math
from collections.abc import Callable
from typing import TypeAlias, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

from aiops.core import calibration as k

Row: TypeAlias = NDArray[np.float64]
START = -math.log10(k.SHARE)


def _score(s: Row, log: float) -> float:
    busy = math.log(s[2]) if s[2] > 1.0 else 0.0
    over = log - s[1] - busy
    return START + over / k.WIDTH if over > 0 else START * math.exp(over)


def _learn(s: Row, log: float) -> None:
    s[0] += 1.0
    n = s[0]
    if n <= k.YOUNG:
        s[1] = log if n <= k.ROUGH else max(s[1], log)
        return
    s[2] += (math.exp(min(log - s[1], 20.0)) - s[2]) / k.CALM
    s[4] += 1.0
    gain = max(k.GAIN, min(k.FASTEST, k.EARLY / n))
    if log > s[1]:
        s[3] = s[3] + 1.0 if s[4] <= k.APART else 1.0
        s[4] = 0.0
        if s[3] <= k.FEW or s[3] > k.MANY:
            s[1] += gain * (1.0 - k.SHARE)
    else:
        s[1] -= gain * k.SHARE


_score_of = cast(Callable[[Row, float], float], njit(_score, error_model="numpy"))
_learn_of = cast(Callable[[Row, float], None], njit(_learn, error_model="numpy"))


def _advance(
    rows: Row,
    slots: NDArray[np.int32],
    distances: Row,
    learn: NDArray[np.bool_],
    warmup: float,
    scores: Row,
) -> None:
    for i in range(len(slots)):
        s = rows[slots[i]]
        for t in range(len(distances)):
            distance = distances[t, i]
            if not distance < np.inf:
                continue
            log = math.log(max(distance, k.FLOOR))
            if s[0] >= warmup:
                scores[t, i] = _score_of(s, log)
            if learn[i]:
                _learn_of(s, log)


advance = cast(Callable[..., None], njit(_advance, error_model="numpy", nogil=True))
