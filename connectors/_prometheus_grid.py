"""Raw samples onto a time grid; counters into rates."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from aiops.model.series import NAME, Labels

_COUNTERS = ("_total", "_count", "_sum", "_bucket")


def is_counter(labels: Labels) -> bool:
    """By the naming convention: ``_total``, ``_count``, ``_sum`` and ``_bucket`` only ever grow."""
    return dict(labels).get(NAME, "").endswith(_COUNTERS)


@dataclass(slots=True)
class Last:
    """The newest sample of each series that a grid point has used: (time, raw value)."""

    samples: dict[Labels, tuple[float, float]] = field(default_factory=dict)

    def copy(self) -> "Last":
        return Last(dict(self.samples))

    def forget(self, before: float) -> None:
        """Drop what is older than `before` (epoch s): too old to make a rate of."""
        self.samples = {k: v for k, v in self.samples.items() if v[0] >= before}


@dataclass(frozen=True, slots=True)
class Raw:
    """Samples of S series, end to end: series ``s`` has ``times[starts[s]:starts[s + 1]]``, ascending."""

    labels: list[Labels]
    starts: NDArray[np.int64]
    times: NDArray[np.float64]
    values: NDArray[np.float64]


def place(
    raw: Raw, since: float, grid: NDArray[np.float64], last: Last, gap: float, counters: bool
) -> NDArray[np.float64]:
    """Values ``[T, S]`` on `grid` (ascending; its first point begins at `since`); updates `last`.

    A point has a series' newest sample not used before, so a late sample shows at the next point and a
    series that stopped is NaN at once. NaN and infinite samples (staleness marks) count as none. A counter
    has its increase per second since the sample used before; where it went down it restarted from 0, as in
    PromQL's ``increase``. NaN where that sample is older than `gap` seconds or there is none. With `counters`
    false no series is taken for one.
    """
    count, points = len(raw.labels), len(grid)
    known = np.array([last.samples.get(one, (np.nan, np.nan)) for one in raw.labels]).reshape(count, 2)
    series = np.repeat(np.arange(count), np.diff(raw.starts))
    keep = np.isfinite(raw.values) & (raw.times <= grid[-1]) & ~(raw.times <= known[series, 0])
    series, times, values = series[keep], raw.times[keep], raw.values[keep]
    out = np.full((count, points + 1), np.nan)  # column 0: before the span, only the base of rates
    if not len(series):
        return out[:, 1:].T
    column = np.searchsorted(grid, times) + 1
    column[(times <= since) & np.isnan(known[series, 0])] = 0
    cell = series * (points + 1) + column
    ends = np.flatnonzero(np.append(cell[1:] != cell[:-1], True))
    counter = np.array([counters and is_counter(one) for one in raw.labels])
    rates = _rates(series, times, values, known, ends, gap)
    out.flat[cell[ends]] = np.where(counter[series[ends]], rates, values[ends])
    for end in np.flatnonzero(np.append(series[1:] != series[:-1], True)):
        last.samples[raw.labels[series[end]]] = float(times[end]), float(values[end])
    return out[:, 1:].T


def _rates(
    series: NDArray[np.int64],
    times: NDArray[np.float64],
    values: NDArray[np.float64],
    known: NDArray[np.float64],
    ends: NDArray[np.int64],
    gap: float,
) -> NDArray[np.float64]:
    """Increase per second over each run of samples that ends at `ends`, from the sample before the run."""
    first = np.insert(series[1:] != series[:-1], 0, True)
    time_before = np.where(first, known[series, 0], np.roll(times, 1))
    value_before = np.where(first, known[series, 1], np.roll(values, 1))
    rise = np.where(values >= value_before, values - value_before, values)
    rise[np.isnan(value_before)] = 0.0
    begins = np.insert(ends[:-1] + 1, 0, 0)
    base = np.where(np.isnan(time_before[begins]), times[begins], time_before[begins])
    span = times[ends] - base
    fair = (span > 0) & (span <= gap)
    rates = np.full(len(ends), np.nan)
    np.divide(np.add.reduceat(rise, begins), span, out=rates, where=fair)
    return rates
