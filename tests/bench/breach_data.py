"""Series that fill, leak, saw and burst towards a limit of 90, made from a seed: 5-minute samples of 14 days.

What flows in follows a day, a week and its own noise. `fill`: it is never removed. `cleanup`: a daily job
removes part of the day's growth, and what stays adds up. `leak`: load plus a linear or bent leak that is
restarted at the limit. `saw`: the job removes all, far enough below the limit. `burst`: short rises that go
back. The last two never breach.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LIMIT = 90.0
STEP = 300.0
DAY = 288
DAYS = 14
KINDS = ("fill", "cleanup", "leak", "saw", "burst")
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Made:
    kind: str
    values: Floats


def series(seed: int, each: int = 40) -> list[Made]:
    rng = np.random.default_rng(seed)
    makers = (_fill, _cleanup, _leak, _saw, _burst)
    return [
        Made(kind, make(_inflow(rng), rng))
        for _ in range(each)
        for kind, make in zip(KINDS, makers, strict=True)
    ]


def _inflow(rng: np.random.Generator) -> Floats:
    """Positive, mean 1: day, week, correlated noise, and on some series a nightly job."""
    t = np.arange(DAY * DAYS)
    day = 1 + rng.uniform(0.1, 0.9) * np.sin(2 * np.pi * (t / DAY + rng.uniform()))
    week = np.where((t // DAY) % 7 >= 5, rng.uniform(0.4, 1.0), 1.0)
    shocks = rng.normal(0, rng.uniform(0.03, 0.15), len(t))
    noise, level = np.empty(len(t)), 0.0
    keep = rng.uniform(0.8, 0.98)
    for i, shock in enumerate(shocks):
        level = keep * level + shock
        noise[i] = level
    flow = day * week * np.exp(noise)
    if rng.random() < 0.3:
        flow[(t + rng.integers(DAY)) % DAY < 6] *= rng.uniform(3, 8)
    out: Floats = flow / flow.mean()
    return out


def _fill(flow: Floats, rng: np.random.Generator) -> Floats:
    total = np.cumsum(flow) / DAY
    end = int(rng.uniform(0.75, 0.97) * len(flow))
    start = rng.uniform(15, 40)
    out: Floats = np.minimum(start + (LIMIT - start) / total[end] * total, 100)
    return out


def _cleaned(flow: Floats, rng: np.random.Generator, removed: float) -> Floats:
    at = int(rng.integers(DAY))
    out, level, kept = np.zeros(len(flow)), 0.0, 0.0
    for i, amount in enumerate(flow):
        level += amount / DAY
        if i % DAY == at and i:
            level -= removed * (level - kept)
            kept = level
        out[i] = level
    return out


def _cleanup(flow: Floats, rng: np.random.Generator) -> Floats:
    end = int(rng.uniform(0.75, 0.97) * len(flow))
    level = _cleaned(flow, rng, rng.uniform(0.6, 0.85))
    out: Floats = np.minimum(30 + 60 * level / level[:end].max(), 100)
    return out


def _saw(flow: Floats, rng: np.random.Generator) -> Floats:
    level = _cleaned(flow, rng, 1.0)
    out: Floats = 20 + rng.uniform(45, 60) * level / level.max()
    return out


def _base(flow: Floats) -> Floats:
    smooth = np.convolve(flow, np.ones(6) / 6)[: len(flow)]
    out: Floats = 35 + 10 * smooth / np.percentile(smooth, 99)
    return out


def _leak(flow: Floats, rng: np.random.Generator) -> Floats:
    base = _base(flow)
    out, t = base.copy(), DAY * 3 + int(rng.integers(DAY * 2))
    while t < len(flow) - DAY:
        length = int(rng.uniform(3, 24) * 12)
        part = np.arange(min(int(length * 1.05), len(flow) - t))
        bend = rng.choice([1.0, 1.0, 1.6])
        out[t : t + len(part)] = base[t : t + len(part)] + (LIMIT + 2 - base[t]) * (part / length) ** bend
        t += int(length * 1.05) + int(rng.uniform(12, 60) * 12)
    clipped: Floats = np.minimum(out, 100)
    return clipped


def _burst(flow: Floats, rng: np.random.Generator) -> Floats:
    out = _base(flow)
    for at in rng.integers(DAY * 2, len(flow) - 60, size=DAYS):
        length, up = int(rng.integers(4, 18)), rng.uniform(15, 35)
        out[at : at + length] += np.linspace(up * 0.3, up, length)
    clipped: Floats = np.minimum(out, LIMIT - 2)
    return clipped
