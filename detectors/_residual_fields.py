"""What a series' state is made of in `residual`, and the constants of its learning.

A row of float64 for the series itself, and tables of the day and of the week. A row of zeros is a fresh one.
"""

from aiops.plugin import calibration as tail

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
COMBINED = 13  # TAIL x: the tail of the combined residuals, as `aiops.plugin.calibration` has it
HIGH, RUN = COMBINED + tail.HIGH, COMBINED + tail.RUN
OFF, OFF_RUN, OFF_SINCE = 19, 20, 21  # as HIGH, RUN, SINCE, for the season's residual alone
INTERVAL = 22  # s between samples, usually
LAGS = 23  # ORDER x unit: the last samples, newest first
WEIGHTS = LAGS + ORDER
COVARIANCE = WEIGHTS + WIDTH  # TRIANGLE x: its upper triangle, row by row
TRIANGLE = WIDTH * (WIDTH + 1) // 2
INPUTS = COVARIANCE + TRIANGLE  # room for the step at work
GAINS = INPUTS + WIDTH
QUARTER, HOUR = GAINS + WIDTH, GAINS + WIDTH + 1  # at work: quarter since the epoch; hour of the week, from 1
BEFORE = HOUR + 1  # unit: the profile in that quarter, as known when it began; HUGE = not known
DEPARTED = BEFORE + 1  # unit: the weekday's departure in that hour, in the same way
ASIDE = DEPARTED + 1  # scales: the last sample learnt less BEFORE, or less both if that is nearer
LOUD = ASIDE + 1  # scales: the size of its error of the autoregression
FIELDS = LOUD + 1

HUGE = 1e30  # beyond it a sample counts as missing, as infinity does
SET_BACK = (
    300.0  # s: a sample older than the last by less is late and dropped; by more, the clock was set back
)
GAP = 10.0  # intervals after which the lags say nothing any more

FORGET = 0.9995  # of recursive least squares
DOUBT, TRACE = 100.0, 1e6  # its covariance at first; its trace, beyond which it is drawn in
SMOOTHING = 0.1
DAY_MEMORY, WEEK_MEMORY = 20, 100  # samples of a bucket
LEVEL_MEMORY, MEAN_MEMORY = 1000.0, 2000.0  # samples
WEEK_DOUBT = 1.0  # samples by which a weekday's departure is shrunk
CLIP, SEASON_CLIP = 8.0, 6.0  # mean distances: how far one sample may pull a scale, and the profile
SETTLED = 200  # samples after which scales clip
FLOOR = 1e-3  # of ABOUT: residuals below it are none
RELATIVE = 1e-9  # of the value: float noise

BASE = 0.3  # scales: added to each residual, so that one that is nothing cannot hide the others
GAUSSIAN = 0.4604  # log: as in `tail`, of combined residuals, to each of which BASE was added
RARE_OFF = 0.01
LEVEL_CAP = 3.5  # what the season alone may score: it is slow to forget a shift
LASTING = 30.0  # exceedances of OFF in a row that double what the next is worth
QUARTERS = 900.0  # s: a bucket of the day
ANEW = 10000.0  # samples that a series passes for having learnt once it has drifted
WARY = 1.1  # growth of what a scale may learn at once, each exceedance after tail.MANY
