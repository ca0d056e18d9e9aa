"""What a series' state is made of, and the constants of learning.

All blocks of 16 series make one flat float32 array: field `k` of a lane stands at ``block[k + j]``, where
`j` is the start of its block plus the lane. Inputs, state and outputs share it, so that the compiler sees one
base pointer with constant offsets and vectorises the lane loop (separate arrays: "too many memory checks", 7x
slower). A block of zeros is a block of fresh series.
"""

import numpy as np

from aiops.plugin.columns import LANES

f = np.float32
ZERO, HALF, ONE, TWO = f(0), f(0.5), f(1), f(2)
NAN = f(np.nan)

# Inputs and outputs, zero at rest. A float64 stands as the float32 nearest to it and the float32 of the rest.
RAW_HIGH, RAW_LOW = 0 * LANES, 1 * LANES  # unit: the sample; NaN = none
LEARN = 2 * LANES  # 0 or 1
VALUE, GAP, MAGNITUDE = 0 * LANES, 1 * LANES, 3 * LANES  # unit less the anchor; s since the last; |unit|
SCORE, EXPECTED, REACH = 0 * LANES, 1 * LANES, 3 * LANES  # unit less the anchor; half the width of the band
INPUTS = 4 * LANES
PLACES = (
    1 << 47
) - 1  # masks a place, so that the compiler sees it cannot be negative, which numba would wrap
# State; "unit" is the metric's own, less the anchor where it is a level
COUNT = 4 * LANES  # samples learnt
INTERVAL = 5 * LANES  # s, the usual time between samples
LAST = 6 * LANES  # unit, the last value learnt
FLAT = 7 * LANES  # share of samples that equal their predecessor
LEVEL = 8 * LANES  # unit
TREND = 9 * LANES  # unit per interval
DRIFT = 10 * LANES  # unit per s: what this time of day adds to the trend
RESIDUAL = 11 * LANES  # unit: the last value less its level
RHO = 12 * LANES  # share of the residual that carries over to the next sample
SCALE = 13 * LANES  # unit: the spread of what is left (as a Gaussian's sigma)
PATIENCE = 14 * LANES  # scales: how far an outlier may pull; grows while outliers go on
HIGH = 15 * LANES  # unit, of the first YOUNG samples scales: the size that 0.7 % exceed
SHAPE = 16 * LANES  # HIGH over the size that 10 % exceed
EDGE = 17 * LANES  # how many times HIGH 1 in 10,000 are, by SHAPE in the long run
EPISODE = 18 * LANES  # unit: the peak of the burst that is going on, 0 when none is
BURSTS = 19 * LANES  # bursts that came and went, slowly forgotten
BURST_SIZE = 20 * LANES  # log2 unit: their usual peak
BURST_SPREAD = 21 * LANES  # log2 unit: how their peaks differ
CUSUM_UP = 22 * LANES
CUSUM_DOWN = 23 * LANES
BUCKET_SUM = 24 * LANES  # unit: sum of clipped values over this bucket of the day
BUCKET_COUNT = 25 * LANES
PEAK = 26 * LANES  # unit, absolute: how large values have been of late
ANCHOR_HIGH, ANCHOR_LOW = 27 * LANES, 28 * LANES  # unit: 1e9 +- 10 would be lost in float32 without it
SEEN_HIGH, SEEN_LOW = 29 * LANES, 30 * LANES  # s since the epoch: the last sample learnt
SUMS = 31 * LANES  # what both sums of the CUSUM usually are together
FIELDS = 32

# What a block makes of its samples before it learns from them; in a room that all blocks use in turn
STEP, PREDICTED, AWAITED, NOISE, WIDER, PER_UNIT, Z = (field * LANES for field in range(7))  # see `View`
RARE = 7 * LANES  # 0 or 1
ROOM = 8 * LANES

NEGATIVE, BEHIND = -1, -2  # why a frame is not stepped: slots below 0; blocks that are in another bucket
ANY = -1  # the bucket of a frame for which no block is behind

SET_BACK = f(
    300
)  # s: a sample older than the last by less is late and dropped; by more, the clock was set back
HUGE = f(1e30)  # beyond it a sample counts as missing, as infinity does
FAR = f(4096)  # scales from level to anchor at which it moves: float32 still resolves 1/2000 of the scale

LEVEL_GAIN = f(1 / 40)
TREND_GAIN = f(1 / 160)  # of the level's: a quarter of its gain is critical damping
TREND_DAMP = f(0.998)
SCALE_GAIN = f(1 / 200)
FLAT_GAIN = f(1 / 100)
RHO_GAIN = f(0.004)
RHO_MAX = f(0.98)
WANDERS, WANDERS_BY = (
    f(0.9),
    f(0.08),
)  # RHO from which a series is taken as a random walk, and until it is in full
INTERVAL_GAIN = f(0.25)
MAX_STEP = f(8)  # intervals: how far the trend is followed over a gap
MAX_WIDENING = f(4)
WIDENING = f(0.37)  # 1 + 0.37 (n - 1) for sqrt(n), n up to 4
NEARLY_ONE = f(1.02)  # less rho**2: the variance of noise by that of residuals, never 0
GAUSSIAN = f(1.2546)  # sigma / E[min(|x|, 3 sigma)]
CLIP = f(3)  # scales: Huber's bound on what one sample may teach
PATIENCE_GROWTH = f(1.2)
PATIENCE_DECAY = f(0.913)  # so that it grows when more than a third are outliers
PEAK_DECAY = f(0.998)
SHIFTED = f(26)  # patience after 12 outliers in a row: they are the new normal
FRESH = f(4)  # patience in the first 2 samples of an outlier: later ones teach the tail nothing
RELATIVE_FLOOR = f(1e-9)  # of the magnitude: float64 noise of sums is below it
FLAT_FLOOR = f(1e-3)  # of the magnitude, on a series that mostly stands still
ABSOLUTE_FLOOR = f(1e-9)
YOUNG = f(99.5)  # samples until which the tail is one of scales: those are still rough
TAIL_GAIN, TAIL_EARLY, TAIL_FASTEST = f(0.015), f(100), f(0.1)
BODY_GAIN = f(0.25)  # of the tail's
DOUBT = f(100)  # samples that a prior counts for, of what is learnt most slowly
EDGE_GAIN = f(1 / 2000)
P_BODY, P_HIGH = f(0.1), f(0.007)
START = f(2.155)  # -log10 of P_HIGH
# Heavier than a Gaussian's 2.7 and 1.64: the scales of young series are rough
PRIOR_HIGH, PRIOR_SHAPE, PRIOR_EDGE = f(3.1), f(1.7), f(1.7)
LEAST_SHAPE, MOST_SHAPE = f(1.25), f(8)
BEND = f(0.536)  # EDGE by SHAPE**2: so of Gaussian noise, and near to it of Student t3
NEAREST, FARTHEST = f(1.15), f(7.4)  # bounds of EDGE
LIVELY = f(2.4)  # scales: below it HIGH does not count, be it of calmer days
DECADE = f(0.346)  # of HIGH's natural logarithm, as in aiops.plugin.calibration
# Up to KNEE times HIGH the ratio alone counts; that is exp(DECADE * (KNEE_SCORE - START))
KNEE, KNEE_SCORE = f(1.592), f(3.5)
HEAVY = f(1.893)  # EDGE from which the tail is heavier than the ratio says: exp(DECADE * (BAND - START))
STEEP, SLOW = f(0.05), f(0.6)  # logarithms a decade beyond EDGE, of heavy tails and of light ones
LN2 = f(0.693147)
MEMORY = f(20000)  # samples over which bursts are remembered
USUAL = f(3.5)  # bursts that it takes to call them usual
OFTEN = f(1 / 500)  # of its samples: the same for what seldom stands still
BURST_GAIN = f(0.2)
BURST_SCORE = f(5)  # everyday noise that scores more is a burst
LEAST_SPREAD = f(0.5)  # octaves
BURST_SIGMA = f(1.2533)  # sigma / mean absolute deviation of a Gaussian
SLACK = f(0.5)
CUSUM_START = f(1)
CUSUM_MAX = f(40)
CUSUM_NEEDS = f(2)
# What a slow shift alone may score, and how much of what is more counts: of scores that are all the same the
# bar of so many pages a week (aiops.core.pages) could take all or none
CUSUM_CAP, CUSUM_MORE = f(4.5), f(0.05)
SUMS_GAIN = f(1 / 2000)
SUMS_USUAL = f(1)  # of white Gaussian noise
MAX_SCORE = f(30)
BAND = f(4)  # the band's edge is where the score would be this
LOG10_2 = f(0.30103)
LOG10_E = f(0.43429)
TINY = f(1e-30)  # below it a state is zero: subnormals are slow
