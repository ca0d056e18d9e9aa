"""How far each column of a fault's window lies from normal: robust, unit-free, blind to what is absent."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

TOP = 0.4
"""Share of the window's points that speak: a fault seldom fills its window, one odd point is no fault."""
QUANTILE = 98.0
"""Of the same statistic over normal windows: what chance brings."""
PRESENT = 0.5
"""Share of points a column needs on both sides; silence is another kind of alert, never a cause."""
PART = 64
"""Columns looked at together: bounds the memory of sliding windows to some MB."""
DENSE, BLOCKS = 40, 12
"""A window of more than DENSE points is averaged to BLOCKS: noise must not speak louder by being sampled."""


class Family(StrEnum):
    """What a metric says of its component; the strings are words for people."""

    LATENCY = "latency"
    ERRORS = "errors"
    AVAILABILITY = "availability"
    WAITING = "waiting"
    """Latency seen by a client: it belongs to what is called."""
    LOAD = "load"
    RESOURCE = "resource"
    IO = "io"
    SHARED = "shared"
    """A whole machine's: common to all who live on it."""
    LOG = "log"


_NAMES: tuple[tuple[re.Pattern[str], Family], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), family)
    for pattern, family in (
        (r"^(log|template)", Family.LOG),
        (r"^node|host_load", Family.SHARED),
        (r"client.*(latency|duration)", Family.WAITING),
        (r"latenc|duration|response_time|_seconds_(bucket|quantile)|\bp(50|9\d)\b", Family.LATENCY),
        (r"availab|success|probe_success|^up$", Family.AVAILABILITY),
        (r"error|fail|5xx|exception|fault", Family.ERRORS),
        (r"net|syscall|disk|_io|bytes_(read|written|sent|received)|receive|transmit", Family.IO),
        (r"workload|request|throughput|qps|rps|ops|load|rate_total", Family.LOAD),
    )
)
_SIGN = {Family.LATENCY: 1, Family.WAITING: 1, Family.ERRORS: 1, Family.AVAILABILITY: -1, Family.LOG: 0}
_FLOOR = {Family.LATENCY: 1e-3, Family.WAITING: 1e-3, Family.ERRORS: 1e-3, Family.AVAILABILITY: 1e-3}
"""Effect-size floor as a share of the usual value; all others 1 %."""


@lru_cache(10_000)
def family(metric: str) -> Family:
    """The family of a metric, by its name; what nothing tells is a resource."""
    return next((found for pattern, found in _NAMES if pattern.search(metric)), Family.RESOURCE)


@dataclass(frozen=True, slots=True)
class Shift:
    """All ``[C]``. ``strength``: the window's statistic over what chance brings, 0 where too little is known.

    ``usual``: the median; ``bound``: the edge of normal on the side the column went to; ``seen``: the mean
    of the window's most extreme points; all three in the metric's own unit.
    """

    strength: Floats
    usual: Floats
    bound: Floats
    seen: Floats


def shifts(normal: Floats, fault: Floats, families: Sequence[Family]) -> Shift:
    """The shift of ``fault [W, C]`` from ``normal [T, C]``; NaN is *no sample*.

    The mean of the top 40 % of |robust z| in the window over the 98th percentile of the same statistic on
    sliding normal windows, so that a column that is often wild must be wilder still (after N-Sigma, ICWS'22,
    and BARO, FSE'24, both of which a metric without spread or with another unit misleads).
    """
    sign = np.array([_SIGN.get(one, 0) for one in families], float)
    floor = np.array([_FLOOR.get(one, 1e-2) for one in families])
    enough = (np.isfinite(normal).mean(0) >= PRESENT) & (np.isfinite(fault).mean(0) >= PRESENT)
    normal, fault = _calm(np.where(enough, normal, 0.0), fault), _calm(np.where(enough, fault, 0.0), fault)
    usual, spread = _spread(normal, floor)
    raw = (fault - usual) / spread
    z_normal, z_fault = _directed((normal - usual) / spread, sign), _directed(raw, sign)
    width = len(z_fault)
    top = max(1, int(np.ceil(TOP * width)))
    order = np.argsort(z_fault, axis=0)[-top:]
    stat = np.take_along_axis(z_fault, order, 0).mean(0)
    chance = _chance(z_normal, width, top)
    towards = np.where(sign != 0, sign, np.sign(np.take_along_axis(np.nan_to_num(raw), order, 0).sum(0)))
    seen = usual + spread * towards * stat
    strength = np.where(enough, stat / (chance + 1.0), 0.0)
    return Shift(strength, usual, usual + spread * towards * chance, seen)


def _calm(values: Floats, like: Floats) -> Floats:
    """Dense columns in blocks, as long as the fault's window asks for."""
    size = len(like) // BLOCKS if len(like) > DENSE else 1
    if size == 1:
        return values
    whole = len(values) // size * size
    blocks = values[:whole].reshape(-1, size, values.shape[1])
    have = np.isfinite(blocks)
    count = have.sum(1)
    total = np.where(have, blocks, 0.0).sum(1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _spread(normal: Floats, floor: Floats) -> tuple[Floats, Floats]:
    """Median and robust scale: the inner half, the whole range, or the least effect worth a word."""
    low, q1, usual, q3, high = np.nanpercentile(normal, [2, 25, 50, 75, 98], axis=0)
    scale = np.maximum.reduce([(q3 - q1) / 1.349, (high - low) / 6, floor * np.abs(usual)])
    return usual, np.maximum(scale, 1e-9)


def _directed(z: Floats, sign: Floats) -> Floats:
    """How odd, in the direction that hurts; what is absent is not odd."""
    return np.nan_to_num(np.where(sign == 0, np.abs(z), np.maximum(sign * z, 0.0)))


def _chance(z: Floats, width: int, top: int) -> Floats:
    if len(z) <= 2 * width:
        found: Floats = np.percentile(z, 95, axis=0)
        return found
    parts = []
    for start in range(0, z.shape[1], PART):
        windows = np.lib.stride_tricks.sliding_window_view(z[:, start : start + PART], width, axis=0)
        stat = np.partition(windows, width - top, axis=2)[:, :, width - top :].mean(2)
        parts.append(np.percentile(stat, QUANTILE, axis=0))
    return np.concatenate(parts)
