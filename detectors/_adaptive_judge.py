"""How `adaptive` judges a sample: one lane, strict float32, inlined into the block loop of `tick`.

Nothing here may branch: every `if` is a select of two values that both exist.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

from detectors import _adaptive_fields as k
from detectors._adaptive_fields import f

F = TypeVar("F", bound=Callable[..., Any])
Block: TypeAlias = NDArray[np.float32]
f32: TypeAlias = np.float32
i32 = np.int32


class View(NamedTuple):
    """What a lane makes of its sample before it learns from it; in the metric's unit, less the anchor."""

    step: f32
    """The gap in usual intervals."""
    predicted: f32
    """Where the level would be."""
    expected: f32
    """Where the sample would be."""
    noise: f32
    """The spread after one interval."""
    usual: f32
    """The spread of residuals, of which AR(1) lets the noise add up."""
    surprise: f32
    z: f32
    lag: f32
    """The residual before this sample, in usual ones."""
    body: f32
    """-log10 p by everyday noise alone."""
    reach: f32
    """The surprise that would score `BAND`."""
    mean: f32
    """The gain of a plain mean."""
    doubted: f32
    """The same, where a prior counts for DOUBT samples."""


def compiled(function: F) -> F:
    """No fastmath: NaN checks must survive, and the oracle in the tests must give the same bits."""
    return cast(F, njit(function, error_model="numpy", nogil=True, forceinline=True))


@compiled
def clip(x: f32, low: f32, high: f32) -> f32:
    x = x if x > low else low
    return x if x < high else high


@compiled
def keep(block: Block, place: int, new: f32, learn: bool) -> None:
    """Write `new` where the lane learns."""
    old = block[place]
    block[place] = new if learn else old


@compiled
def flush(x: f32) -> f32:
    return x if abs(x) > k.TINY else k.ZERO


@compiled
def log2(x: f32) -> f32:
    """Exponent bits and a least-squares polynomial of the mantissa; absolute error 9e-6. Never infinite."""
    bits = f(x).view(np.int32)
    m = i32((bits & i32(0x7FFFFF)) | i32(0x3F800000)).view(np.float32) - k.ONE
    p = f(0.46930169) + m * (f(-0.30338967) + m * (f(0.14643361) + m * f(-0.03459521)))
    return f(i32((bits >> i32(23)) - i32(127))) + m * (f(1.44268325) + m * (f(-0.72044237) + m * p))


@compiled
def _exp2(x: f32) -> f32:
    """The same in reverse; relative error 8e-5."""
    x = clip(x, f(-100), f(100))
    whole = f(math.floor(x))
    m = x - whole
    p = f(0.99992783) + m * (f(0.6957771) + m * (f(0.22623319) + m * f(0.07790716)))
    return i32((i32(whole) + i32(127)) << i32(23)).view(np.float32) * p


@compiled
def _steps(gap: f32, interval: f32) -> f32:
    """The gap in intervals. One while the interval is unknown, or when the clock was set back."""
    step = clip(gap / interval, f(0.1), k.MAX_STEP)
    return step if (gap > k.ZERO) & (interval > k.ZERO) else k.ONE


@compiled
def _carry(rho: f32, step: f32) -> f32:
    """What AR(1) leaves of the residual: rho**step to first order in 1 - rho; after less than a step, rho."""
    left = k.ONE - (k.ONE - rho) * (step if step > k.ONE else k.ONE)
    return left if left > k.ZERO else k.ZERO


@compiled
def _noise(scale: f32, magnitude: f32, flat: f32) -> f32:
    """The spread, never below what matters: 0.1 % of a value that mostly stands still, else float noise."""
    still = k.TWO * flat - k.ONE
    still = still if still > k.ZERO else k.ZERO
    floor = magnitude * (k.RELATIVE_FLOOR + k.FLAT_FLOOR * still * still) + k.ABSOLUTE_FLOOR
    return scale if scale > floor else floor


@compiled
def high_of(block: Block, j: int, noise: f32) -> f32:
    """HIGH in the metric's unit."""
    high: f32 = block[k.HIGH + j]
    return high * noise if block[k.COUNT + j] < k.YOUNG else high


@compiled
def _lifted(block: Block, j: int, noise: f32) -> f32:
    """What a size is compared with, in the metric's unit: HIGH, or what is lively right now."""
    high, lively = high_of(block, j, noise), k.LIVELY * noise
    return high if high > lively else lively


@compiled
def _body(block: Block, j: int, size: f32, noise: f32, rare: bool) -> tuple[f32, f32]:
    """``score, reach``: -log10 p of a size (unit) under the tail, and the size that scores `BAND`.

    1 where 10 % are, START where 0.7 % are, and `BAND` at EDGE times that. Beyond, what ranks events across
    series: the ratio to HIGH in decades that are as wide for all (`aiops.plugin.calibration`); its own tail
    does not, which its events have shaped. Only `rare` ones come there.
    """
    lifted, shape, edge = _lifted(block, j, noise), block[k.SHAPE + j], block[k.EDGE + j]
    heavy = edge > k.HEAVY
    knee = (k.KNEE if heavy else edge) - k.ONE
    rest = edge - k.KNEE if heavy else k.ONE
    per_knee = k.ONE / ((shape - k.ONE) * knee * rest)
    per_shape, per_rest = per_knee * knee * rest, per_knee * (shape - k.ONE) * knee
    per_knee = per_knee * (shape - k.ONE) * rest
    ratio = size / lifted
    within = clip(k.ONE + (k.START - k.ONE) * (ratio * shape - k.ONE) * per_shape, k.ZERO, k.START)
    height = (k.KNEE_SCORE if heavy else k.BAND) - k.START
    within = within + height * clip((ratio - k.ONE) * per_knee, k.ZERO, k.ONE)
    last = (k.BAND - k.KNEE_SCORE) * clip((ratio - k.KNEE) * per_rest, k.ZERO, k.ONE)
    within = within + (last if heavy else k.ZERO)
    if not rare:
        return within, lifted * edge
    far = k.LN2 * log2(ratio)
    past = far - k.LN2 * log2(edge)
    decades = k.START + far * (k.ONE / k.DECADE)
    steep, slow = k.BAND + past * (k.ONE / k.STEEP), k.BAND + past * (k.ONE / k.SLOW)
    light = decades if decades > slow else slow
    steep = decades if decades < steep else steep
    return (steep if heavy else light) if past > k.ZERO else within, lifted * edge


@compiled
def _slow_score(up: f32, down: f32, sums: f32, z: f32) -> f32:
    """Two-sided CUSUM (Page 1954): P(C > h) falls as exp(-2 * SLACK * h) for whitened z.

    Where the sums are usually more than noise makes them, it falls as much slower. It speaks only through
    samples that are off themselves: a frozen sum must not outlive its fault.
    """
    bounded = clip(z, -k.CLIP, k.CLIP)
    strength = (up + bounded if z > k.ZERO else down - bounded) - k.SLACK - k.CUSUM_START
    score = k.LOG10_E * strength * (k.SUMS_USUAL / (sums if sums > k.SUMS_USUAL else k.SUMS_USUAL))
    score = score if score < k.CUSUM_CAP else k.CUSUM_CAP + k.CUSUM_MORE * (score - k.CUSUM_CAP)
    return score if abs(z) > k.CUSUM_NEEDS else k.ZERO


@compiled
def take_in(block: Block, j: int, time_high: f32, time_low: f32) -> bool:
    """Raw inputs to VALUE, GAP, MAGNITUDE; whether to learn. The first sample learnt is the anchor."""
    fresh, high, low = block[k.COUNT + j] < k.HALF, block[k.RAW_HIGH + j], block[k.RAW_LOW + j]
    since = (time_high - block[k.SEEN_HIGH + j]) + (time_low - block[k.SEEN_LOW + j])
    late = (since <= k.ZERO) & (since > -k.SET_BACK) & ~fresh
    present = (abs(high) < k.HUGE) & ~late
    learn: bool = present & (block[k.LEARN + j] > k.ZERO)
    keep(block, k.ANCHOR_HIGH + j, high, learn & fresh)
    keep(block, k.ANCHOR_LOW + j, low, learn & fresh)
    keep(block, k.SEEN_HIGH + j, time_high, learn)
    keep(block, k.SEEN_LOW + j, time_low, learn)
    value = (high - block[k.ANCHOR_HIGH + j]) + (low - block[k.ANCHOR_LOW + j])
    block[k.VALUE + j] = value if present else k.NAN
    block[k.GAP + j] = since if (since > k.ZERO) & ~fresh else k.ZERO
    block[k.MAGNITUDE + j] = abs(high) if present else k.ZERO
    return learn


@compiled
def _expect(block: Block, j: int, gap: f32) -> tuple[f32, f32, f32]:
    """``step, predicted, expected``: damped trend (Gardner 1985), the season's drift, AR(1) residual."""
    interval = block[k.INTERVAL + j]
    step = _steps(gap, interval)
    predicted = block[k.LEVEL + j] + (block[k.TREND + j] + block[k.DRIFT + j] * interval) * step
    return step, predicted, predicted + _carry(block[k.RHO + j], step) * block[k.RESIDUAL + j]


@compiled
def _spread(block: Block, j: int, step: f32, magnitude: f32) -> tuple[f32, f32]:
    """``noise, wider``: the spread after one interval, and how many times that it is after `step`.

    AR(1) noise adds up over a gap. A chord stands for the square root.
    """
    peak, rho = block[k.PEAK + j], block[k.RHO + j]
    noise = _noise(block[k.SCALE + j], magnitude if magnitude > peak else peak, block[k.FLAT + j])
    gaps = clip(step, k.ONE, k.MAX_WIDENING) - k.ONE
    return noise, k.ONE + k.WIDENING * rho * rho * gaps


@compiled
def _enough(block: Block, j: int) -> f32:
    """Bursts beyond which they are usual. What seldom stands still needs many: fewer are its events."""
    count = block[k.COUNT + j]
    often = k.OFTEN * (count if count < k.MEMORY else k.MEMORY)
    often = k.ZERO if block[k.FLAT + j] > k.HALF else often
    return often if often > k.USUAL else k.USUAL


@compiled
def _burst_score(block: Block, j: int, surprise: f32) -> tuple[f32, f32]:
    """``score, reach``: -log10 p if it is one of the series' usual bursts, and the burst that scores `BAND`.

    Bursts' peaks are taken as log-normal, so half exceed their mean; 30 and 0 while none are usual.
    """
    count, bursts, spread = block[k.COUNT + j], block[k.BURSTS + j], block[k.BURST_SPREAD + j]
    usual = bursts > _enough(block, j)
    rarity = k.LOG10_2 * (log2(count if count < k.MEMORY else k.MEMORY) - log2(k.HALF * bursts))
    excess = log2(abs(surprise)) - block[k.BURST_SIZE + j]
    ratio = excess / (k.BURST_SIGMA * spread) if excess > k.ZERO else k.ZERO
    score = rarity + k.HALF * k.LOG10_E * ratio * ratio
    sigmas = math.sqrt(k.TWO / k.LOG10_E * (k.BAND - rarity if rarity < k.BAND else k.ZERO))
    reach = _exp2(block[k.BURST_SIZE + j] + k.BURST_SIGMA * spread * sigmas)
    return score if usual else k.MAX_SCORE, reach if usual & (rarity < k.BAND) else k.ZERO


@compiled
def view(block: Block, j: int, room: Block, i: int, time_high: f32, time_low: f32) -> None:
    """Take in the sample of a lane, and leave in its part of the `room` what will be made of it.

    RARE is 1 where it is beyond EDGE, or bursts have a part in it. Everything else needs
    neither the tail's logarithms nor the bursts', and 63 blocks of 64 hold nothing else.
    """
    learn = take_in(block, j, time_high, time_low)
    step, predicted, expected = _expect(block, j, block[k.GAP + j])
    noise, wider = _spread(block, j, step, block[k.MAGNITUDE + j])
    per_unit = k.ONE / (noise * wider)
    z = (block[k.VALUE + j] - expected) * per_unit
    known = block[k.BURSTS + j]
    far = abs(z) * noise > _lifted(block, j, noise) * block[k.EDGE + j]
    far |= (abs(z) > k.TWO * k.CLIP) & (known > k.HALF)
    bursts = (block[k.EPISODE + j] > k.ZERO) | (known > _enough(block, j))
    block[k.LEARN + j] = k.ONE if learn else k.ZERO
    room[k.STEP + i], room[k.PREDICTED + i], room[k.AWAITED + i] = step, predicted, expected
    room[k.NOISE + i], room[k.WIDER + i], room[k.PER_UNIT + i], room[k.Z + i] = noise, wider, per_unit, z
    room[k.RARE + i] = k.ONE if far | bursts else k.ZERO


@compiled
def _means(count: f32) -> tuple[f32, f32]:
    """``mean, doubted`` of `View`. Exactly so: a mean of zeros and ones is compared with a half."""
    return k.ONE / (count + k.ONE), k.ONE / (count + k.DOUBT + k.ONE)


@compiled
def look(block: Block, j: int, room: Block, i: int, rare: bool) -> tuple[f32, View]:
    """``score``, and what it rests on: noise or a usual burst, whichever explains more; or a slow shift."""
    expected, wider, z = room[k.AWAITED + i], room[k.WIDER + i], room[k.Z + i]
    rho = block[k.RHO + j]
    root = math.sqrt(k.NEARLY_ONE - rho * rho)
    surprise = block[k.VALUE + j] - expected
    noise = room[k.NOISE + i]
    body, reach = _body(block, j, abs(z) * noise, noise, rare)
    reach = reach * wider
    burst, burst_reach = _burst_score(block, j, surprise) if rare else (k.MAX_SCORE, k.ZERO)
    slow = _slow_score(block[k.CUSUM_UP + j], block[k.CUSUM_DOWN + j], block[k.SUMS + j], z)
    score = burst if burst < body else body
    score = slow if slow > score else score
    reach = burst_reach if burst_reach > reach else reach
    lag = block[k.RESIDUAL + j] * room[k.PER_UNIT + i] * root
    step, predicted = room[k.STEP + i], room[k.PREDICTED + i]
    mean, doubted = _means(block[k.COUNT + j])
    usual = noise * wider / root
    view = View(step, predicted, expected, noise, usual, surprise, z, lag, body, reach, mean, doubted)
    return clip(score, k.ZERO, k.MAX_SCORE), view
