"""What a series' state is made of in `residual`, and the constants of its learning.

A row of float64 for the series itself, and tables of the day and of the week. A row of zeros is a fresh one.
"""

ORDER = 8
"""Samples that the autoregression looks back."""
WIDTH = ORDER + 1
"""Its weights: a constant and the lags."""
DAY = 96
"""Buckets of the profile of a day: quarters of an hour."""
HOURS = 24
"""Buckets of a weekday's departure from that profile."""

COUNT = 0  # samples learnt
SEEN = 1  # s since the epoch: the last sample learnt
MEAN, ABOUT = 2, 3  # unit: the long mean, and the mean distance from it
LEVEL, REACH = 4, 5  # unit: mean of clipped samples; mean distance from the profile
SMOOTH = 6  # unit: exponentially weighted mean
SPREAD = 7  # unit: mean absolute error of the autoregression, clipped
SCALES = 8  # 3 x unit: mean absolute residual from season, autoregression and mean, clipped
PLAIN, WEEKLY = 11, 12  # unit: mean distance from the profile without and with the weekday
HIGH, BODY = 13, 14  # log: what 0.7 % and 10 % of the combined residuals exceed
RUN, SINCE = 15, 16  # exceedances in this episode, and samples since the last of them
BUSY = 17  # mean of combined residuals over HIGH, of late
OFF, OFF_RUN, OFF_SINCE = 18, 19, 20  # the same as HIGH, RUN, SINCE for the season's residual alone
INTERVAL = 21  # s between samples, usually
EDGE = 22  # log: what combined residual would score 4, in the long run
LAGS = 23  # ORDER x unit: the last samples, newest first
WEIGHTS = LAGS + ORDER
COVARIANCE = WEIGHTS + WIDTH  # TRIANGLE x: its upper triangle, row by row
TRIANGLE = WIDTH * (WIDTH + 1) // 2
INPUTS = COVARIANCE + TRIANGLE  # room for the step at work
GAINS = INPUTS + WIDTH
FIELDS = GAINS + WIDTH

HUGE = 1e30  # beyond it a sample counts as missing, as infinity does
SET_BACK = (
    300.0  # s: a sample older than the last by less is late and dropped; by more, the clock was set back
)
GAP = 10.0  # intervals after which the lags say nothing any more

FORGET = 0.9995  # of recursive least squares
DOUBT, TRACE = 100.0, 1e6  # its covariance at first; its trace, beyond which it is drawn in
SMOOTHING = 0.1
DAY_MEMORY, WEEK_MEMORY = 20, 100  # samples of a bucket
WEEK_DOUBT = 1.0  # samples by which a weekday's departure is shrunk
CLIP, SEASON_CLIP = 8.0, 6.0  # mean distances: how far one sample may pull a scale, and the profile
SETTLED, YOUNG = 200, 50  # samples after which scales clip; from which the quantiles are followed
ROUGH = 20  # samples whose residuals say nothing, as their scales do not yet
FLOOR = 1e-3  # of ABOUT: residuals below it are none
RELATIVE = 1e-9  # of the value: float noise

BASE = 0.3  # scales: added to each residual, so that one that is nothing cannot hide the others
RARE, USUAL = 0.007, 0.1  # shares that exceed HIGH and BODY
RARE_OFF = 0.01
GAIN, EARLY = 0.015, 200.0  # of the quantiles; EARLY / count while that is more, up to FASTEST
FASTEST = 0.5
FEW, MANY, APART = (
    2,
    30,
    20,
)  # exceedances that teach; from which they are the new normal; samples between episodes
CALM = 8.0  # samples over which BUSY looks back
NEWS, OLD_NEWS, FRESH = (
    5.0,
    20.0,
    12.0,
)  # log: what one sample may add to BUSY, up to FRESH exceedances and after
LEVEL_CAP = 3.5  # what the season alone may score: it is slow to forget a shift
LASTING = 30.0  # exceedances of OFF in a row that double what the next is worth
STEADY = 2000.0  # samples over which EDGE is a mean
WARY = 1.1  # growth of what a scale may learn at once, each exceedance after MANY
