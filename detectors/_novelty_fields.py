"""What a series' state is made of in `novelty`, and the constants of its learning."""

LEVELS, SHAPES = 8, 16
"""Points of a window: as they stand, and with their mean removed."""
KEPT = 300
"""Windows of each in the dictionary, the oldest forgotten first."""
CHANNELS, PEAKS = 3, 48
"""Distance to known levels, to known shapes, and from the profile; peaks kept of each."""
DAY = 48
"""Buckets of the profile of a day."""

COUNT, SEEN = 0, 1  # samples learnt; s since the epoch: the last of them
LOW, TOP, SUM, HELD = 2, 3, 4, 5  # unit: of the samples in the bucket at work, and how many they are
ABOUT = 6  # unit: mean of buckets of late
WINDOWS = 7  # buckets learnt
LEVEL, REACH = 8, 9  # unit: mean of clipped samples; mean distance from the profile
CURRENT = 10  # CHANNELS x the place of the peak of the episode that is on, -1 for none
WEAKEST = CURRENT + CHANNELS  # CHANNELS x the place of the peak that gives way first
FILLED = WEAKEST + CHANNELS  # CHANNELS x how many peaks there are
SPIKES = FILLED + CHANNELS  # SHAPES x unit: the last buckets by their farthest sample, oldest first
MEANS = SPIKES + SHAPES  # SHAPES x unit: and by their mean
FIELDS = MEANS + SHAPES
SIZE, BORN, KEY = 0, 1, 2  # of a peak: log of its height, its sample's number, and its order of giving way

HUGE = 1e30
SET_BACK = 300.0  # s, as in `adaptive`
BUCKETS = 104.0  # a scale of the head has so many
SETTLE = 0.6  # of a scale: the samples before scores
FIRST = 0.33  # of a scale: the samples before the dictionary says anything
EPISODE = 0.08  # of a scale: samples within which peaks are one
FOLLOW = 0.3  # gain of ABOUT
NEIGHBOUR = 2  # distance to the n-th nearest window: one alike may be chance
MEMORY = 10_000.0  # samples over which peaks are forgotten
TAIL = 0.07  # log of heights to a natural logarithm of rarity
DAY_MEMORY = 50
SEASON_CLIP = 6.0
DISCOUNTS = (0.0, 0.2, 0.1)  # decades off each channel
SHARE = 0.7  # of the most surprised channel; the second has the rest
GROWTH, AFTER, UNTIL = 0.75, 1000.0, 20_000.0  # decades off a tenfold number of samples, from and up to which
