"""From one knob, false pages a week, to the bar that a score has to pass."""

import math

WEEK = 7 * 86400.0
LOWEST, HIGHEST = 4.0, 9.0


def bar(series: int, every: float, false_pages_per_week: float) -> float:
    """The bar for `series` sampled each `every` seconds, in -log10 p.

    One sample in ``N = series * samples a week`` may pass by chance for one page. An alert needs several
    samples in a short window, so independent chance would allow ``N^(1/3)``; neighbouring samples are
    far from independent, so the exponent is held at 0.7, between one sample and three independent ones.
    """
    samples = max(1.0, series * WEEK / max(every, 1e-3))
    return min(HIGHEST, max(LOWEST, 0.7 * math.log10(samples / false_pages_per_week)))
