"""False pages asked for against those that came, and what share of normal samples scores above 4.

    python -m tests.bench.calibration [--data DIR] [--weeks N]

`DIR` holds ``wsd`` of the KPI data; of each file the halves without a labelled point are taken, end to end
and many times over. Without `DIR` there are made normals only. These are seasonal, heavy-tailed, counts,
and drifting, 40 series each at one sample in 5 minutes. The default detector scores every sample, 3 of the
last 5 make a page, and the part of the engine that follows the knob (`aiops.core.pages`) sets the bar from
the days before. It learns after 2 weeks, and pages are counted after 6. `ratio_min` and `ratio_max` are the
worst observed / asked of all sets and knobs.

The shares above 1 to 5 (a reliability diagram) are of 320 series of 12,000 samples after 3,000. The last line
is one JSON object.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aiops.config import Alerting, Grouping
from aiops.core.budget import WEEK
from aiops.core.detect import Scored
from aiops.core.pages import BLOCK, NARROWEST, SETTLED, WIDEST, Pages
from aiops.model.frame import Frame
from aiops.model.series import labels_of
from aiops.plugin import Detector
from detectors.adaptive import Adaptive
from detectors.residual import Residual

Matrix = NDArray[np.float64]
Rng = np.random.Generator
START, EVERY, SERIES = 1_700_000_000.0 // 1800 * 1800, 300.0, 40
FIRE, OF, QUIET = 3, 5, int(BLOCK // EVERY)
"""As alerts and problems have them by default; the last in samples."""
DAY, FOLLOW, SETTLE = 288, 14, 42
"""Samples of a day; days before levels, and before pages, are counted: what a detector says while it learns
the week is not what it will say."""
ASKED = (0.5, 1.0, 5.0)


def _seasonal(rng: Rng, at: NDArray[np.int64], series: int) -> Matrix:
    phase = 2 * np.pi * (at[:, None] / DAY + np.arange(series) / 97)
    return np.asarray(100 + 20 * np.sin(phase) + 3 * rng.normal(size=(len(at), series)))


def _heavy(rng: Rng, at: NDArray[np.int64], series: int) -> Matrix:
    return np.asarray(50 + rng.standard_t(3, (len(at), series)))


def _counts(rng: Rng, at: NDArray[np.int64], series: int) -> Matrix:
    return np.asarray(rng.poisson(0.5 + np.arange(series) / 4, (len(at), series)), float)


def _drifting(rng: Rng, at: NDArray[np.int64], series: int) -> Matrix:
    slow = 10 * np.sin(2 * np.pi * at[:, None] / (DAY * (9 + np.arange(series) / 3)))
    return np.asarray(200 + slow + rng.normal(size=(len(at), series)))


NORMALS: dict[str, Callable[[Rng, NDArray[np.int64], int], Matrix]] = {
    "seasonal": _seasonal,
    "heavy-tailed": _heavy,
    "counts": _counts,
    "drifting": _drifting,
}


def main() -> None:
    parser = argparse.ArgumentParser(description="False pages asked for against those that came.")
    parser.add_argument("--data", type=Path, help="of the KPI data; left out, made normals are all there is")
    parser.add_argument("--weeks", type=int, default=150, help="of made normals")
    args = parser.parse_args()
    sets = {name: made(make, args.weeks) for name, make in NORMALS.items()}
    if args.data:
        sets["real halves"] = real(args.data / "wsd", args.weeks)
    ratios = {}
    for name, days in sets.items():
        for asked, (pages, weeks) in count_pages(days).items():
            ratio = ratios[f"{name} {asked:g}"] = pages / weeks / asked
            print(f"{name:14s} asked {asked:g} a week: {pages} in {weeks:.0f} weeks, {ratio:.2f} of it")
    told = {
        f"{kind} {name}": shares(kind, name, (1, 2, 3, 4, 5))
        for kind in ("adaptive", "residual")
        for name in NOISES
    }
    for name, each in told.items():
        print(f"{name:24s} " + "  ".join(f"P(score > {level}) {one:.1e}" for level, one in each.items()))
    above = {name: each[4] for name, each in told.items()}
    figures = {"ratio_min": round(min(ratios.values()), 3), "ratio_max": round(max(ratios.values()), 3)}
    print(json.dumps(figures | {"ratios": {k: round(v, 2) for k, v in ratios.items()}, "above_4": above}))


def made(make: Callable[[Rng, NDArray[np.int64], int], Matrix], weeks: int) -> Iterator[Matrix]:
    rng = np.random.default_rng(17)
    for day in range(7 * weeks):
        yield make(rng, day * DAY + np.arange(DAY), SERIES)


def real(folder: Path, weeks: int) -> Iterator[Matrix]:
    """Days of the halves without labels; a sample in 5 minutes, as the made ones.

    A half lasts some 12 days. Told again as it was, it would score as it did to the last digit, and no bar
    can tell one from another of what is the same. So each time another minute of the five is the sample,
    and another day the first.
    """
    rng, halves = np.random.default_rng(5), []
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as z:
            values, labels, train = z["value"].astype(float), z["label"] > 0, int(z["train"])
            found = [values[:train]] * (not labels[:train].any()) + [values[train:]] * (
                not labels[train:].any()
            )
        if found:
            halves.append(found)
    matrix = np.stack([_told_again(rng, those, 7 * weeks) for those in halves], axis=1)
    for day in range(7 * weeks):
        yield matrix[day * DAY : (day + 1) * DAY]


def _told_again(rng: Rng, halves: list[Matrix], days: int) -> Matrix:
    """``[days * DAY]`` of one series."""
    parts: list[Matrix] = []
    while sum(map(len, parts)) < days * DAY:
        one = halves[rng.integers(len(halves))][rng.integers(5) :: 5]
        whole = one[: len(one) // DAY * DAY]
        parts.append(np.roll(whole, DAY * rng.integers(len(whole) // DAY)))
    return np.concatenate(parts)[: days * DAY]


def count_pages(days: Iterator[Matrix]) -> dict[float, tuple[int, float]]:
    """Per knob, ``pages, weeks``; each day is judged by the bar of the days before."""
    detector, pages = Adaptive(), Pages(1.0, Alerting(), Grouping(open_at=1))
    found, counted = dict.fromkeys(ASKED, 0), 0
    tail = np.zeros((OF + QUIET, SERIES))
    for number, values in enumerate(days):
        start = START + number * 86400.0
        joined = np.concatenate([tail[:, : values.shape[1]], _scored(detector, values, start)])
        counted += number >= SETTLE
        for asked in ASKED if number >= SETTLE else ():
            pages.budget.asked = asked
            found[asked] += _openings(joined, min(WIDEST, max(NARROWEST, pages.budget.bar(9.0))))
        tail = joined[-OF - QUIET :]
        if number >= FOLLOW:
            _teach(pages, joined[OF + QUIET :], start, number * DAY + SETTLED)
    return {asked: (found[asked], counted * 86400.0 / WEEK) for asked in ASKED}


def _openings(scores: Matrix, bar: float) -> int:
    """Problems of a day: a series fires that has not for `QUIET` samples. The rows before it are for that."""
    over = np.asarray(scores >= bar)
    windows = np.lib.stride_tricks.sliding_window_view(over, OF, axis=0)
    fires = np.concatenate([np.zeros((OF - 1, scores.shape[1]), bool), windows.sum(axis=-1) >= FIRE])
    before = np.asarray(np.lib.stride_tricks.sliding_window_view(fires, QUIET, axis=0).any(axis=-1))
    return int((fires[OF + QUIET :] & ~before[OF:-1]).sum())


def _teach(pages: Pages, scores: Matrix, start: float, before: int) -> None:
    """`before`: samples that each series had before this day."""
    slots, seen = np.arange(scores.shape[1], dtype=np.int32), np.full(scores.shape[1], before, np.uint32)
    nothing, by = np.zeros(scores.shape[1]), np.zeros(scores.shape[1], np.int8)
    for at, row in enumerate(scores):
        time = start + EVERY * at
        if pages.due(time):
            pages.close(time, lambda slot: labels_of({"service": str(slot)}), lambda _: True)
        seen += np.uint32(1)
        pages.see(Scored(time, slots, nothing, row, nothing, nothing, nothing, by), seen)


def _scored(detector: Detector, values: Matrix, start: float, every: float = EVERY) -> Matrix:
    slots, free = np.arange(values.shape[1], dtype=np.int32), np.zeros(values.shape[1], np.bool_)
    step = max(1, int(1800 // every))  # a half hour: `adaptive` turns its season between calls
    return np.concatenate(
        [
            np.asarray(
                detector.update(
                    Frame(start + every * np.arange(at, at + len(part), dtype=float), slots, part), free
                ).score,
                float,
            )
            for at in range(0, len(values), step)
            for part in [values[at : at + step]]
        ]
    )


MONTH = 172_800
"""Samples between two steps of a constant: a month at one in 15 s."""


def _ar(rng: Rng, shape: tuple[int, int]) -> Matrix:
    values = rng.standard_normal(shape)
    for t in range(1, len(values)):
        values[t] += 0.8 * values[t - 1]
    return values


NOISES: dict[str, Callable[[Rng, tuple[int, int]], Matrix]] = {
    "gaussian": lambda rng, shape: rng.standard_normal(shape),
    "student t3": lambda rng, shape: rng.standard_t(3, shape),
    "poisson(3)": lambda rng, shape: rng.poisson(3, shape).astype(float),
    "ar(0.8)": _ar,
    "rare steps": lambda rng, shape: np.cumsum(rng.random(shape) < 1 / MONTH, axis=0).astype(float),
    "constant": lambda rng, shape: np.full(shape, 0.1),
}


def shares(kind: str, noise: str, levels: tuple[int, ...]) -> dict[int, float]:
    """Of samples that score above each level: a reliability diagram, with 10 ** -level as the diagonal."""
    values = NOISES[noise](np.random.default_rng(11), (15_000, 320))
    detector = Adaptive() if kind == "adaptive" else Residual()
    scores = _scored(detector, values, START, 15.0)[3000:]
    return {level: float(f"{np.mean(scores > level):.2e}") for level in levels}


if __name__ == "__main__":
    main()
