"""From the spread of a forecast to when a limit is crossed, and how likely that is."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

T95 = 2.1318
"""95 % of Student's t with 4 degrees of freedom: forecasts' errors have its tails."""
SHARES, MOST = (0.1, 0.65, math.inf), (0.07, 0.5, 0.95)
"""Of the chance, and of all courses at most: those over the limit at the earliest, expected and latest
time. Unlikely crossings come late: with .05, .5 and .95 of the chance 12 % came after the latest time
(benchmark `breach`, tuning seeds 10 and 13)."""

PASSAGE = 1.25
"""A course may be over the limit before a horizon and back below it then: this power of the chance that it
stays below. 1 would fit a course without noise, 2 about one of noise alone (reflection of a random walk);
measured on the tuning seeds of benchmark `breach`."""


class Crossing(NamedTuple):
    """When series cross their limit, and how likely they do so at all within the horizon; ``[S]`` each.

    Nine in ten of the crossings that come within the horizon are to come between `earliest` and `latest`
    (epoch s), about half before `expected`. inf where no crossing is worth a word.
    """

    earliest: Floats
    expected: Floats
    latest: Floats
    chance: Floats
    """P(breach within the horizon): 0 while nothing is known, 1 when it is breached."""


def ever(odds: Floats) -> Floats:
    """P(over the limit at any time) ``[S]`` from that at each horizon, ``[S, H]``."""
    out: Floats = 1 - (1 - odds.max(1, initial=0.0)) ** PASSAGE
    return out


def tail(t: Floats) -> Floats:
    """P(T > t) for Student's t with 4 degrees of freedom, in closed form."""
    root = t / np.sqrt(4 + t * t)
    out: Floats = 0.5 - 0.75 * root * (1 - root * root / 3)
    return out


def at_tail(odds: Floats) -> Floats:
    """The t that P(T > t) = `odds` belongs to, in closed form (Shaw 2006); `odds` in (0, 1)."""
    both = np.clip(4 * odds * (1 - odds), 1e-12, 1.0)
    root = np.sqrt(both)
    out: Floats = np.sign(0.5 - odds) * 2 * np.sqrt(np.maximum(np.cos(np.arccos(root) / 3) / root - 1, 0.0))
    return out


def times(
    ahead: Floats, rise: Floats, lower: Floats, upper: Floats, distance: Floats, chance: Floats
) -> Floats:
    """Until the first crossings, ``[3, S]`` in the unit of ``ahead [H]``: earliest, expected, latest.

    ``rise [S, H]``: the middle of the forecast less the value now, NaN where nothing is known; `lower`,
    `upper` ``[S, H]``: the scales of its error; ``distance [S]``: from the value now to the limit. The share
    q of all courses is over the limit once the course that only q of them exceed is; `chance` of them get
    there within the horizon, which ends the interval when the latest does not.
    """
    out = np.full((3, len(rise)), np.inf)
    for k, (share, most) in enumerate(zip(SHARES, MOST, strict=True)):
        t = at_tail(np.clip(np.minimum(share * chance, most), 1e-6, most))[:, None]
        out[k] = first(ahead, rise + np.where(t > 0, t * upper, t * lower), distance)
    out = np.minimum(out, ahead[-1])
    return np.maximum.accumulate(out, axis=0)


def first(ahead: Floats, rise: Floats, distance: Floats) -> Floats:
    """Where the line through ``(0, 0), (ahead[j], rise[s, j])`` first reaches ``distance [S]``; else inf."""
    out = np.full(len(rise), np.inf)
    before, at = np.zeros(len(rise)), np.zeros(len(rise))
    for j, steps in enumerate(ahead):
        here = rise[:, j]
        hit = np.isinf(out) & (here >= distance)
        with np.errstate(divide="ignore", invalid="ignore"):
            part = np.clip((distance - before) / (here - before), 0.0, 1.0)
        out = np.where(hit, at + part * (steps - at), out)
        known = ~np.isnan(here)
        before, at = np.where(known, here, before), np.where(known, steps, at)
    return out
