"""What it costs, and brings, to learn drifted series anew.

    python -m tests.bench.kpi_drift --data DIR

`DIR` as for `tests.bench.kpi`: events of its real KPIs that `residual` finds without and with the tests for
drifts (`aiops.core.drift`). Half an hour after a score of 5 nothing counts for them, as near a problem; no
deploy is known, so levels alone are learnt anew. Besides, made series of a sample a minute: the share of
samples above 4 from 6 to 30 hours after a level moved by 10 of the noise, and the drifts found in series
without any. The last line is one JSON object.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from aiops.core.drift import DriftWatch
from aiops.model.frame import Frame
from detectors.residual import Residual
from tests.bench.kpi import SETS, Kpi, judge, read

Matrix: TypeAlias = NDArray[np.float64]
WEEK, DAY, MINUTE = 7 * 86400.0, 86400.0, 60.0
NEAR, HOLD = 5.0, 1800.0
"""A score that counts as a problem, and the seconds for which its series is near one."""
RATE = 4.0
BEGIN = 1_700_000_000.0 // WEEK * WEEK


def main() -> None:
    parser = argparse.ArgumentParser(description="What learning drifted series anew costs.")
    parser.add_argument("--data", type=Path, required=True)
    args = parser.parse_args()
    figures: dict[str, float] = {}
    for name in SETS:
        kpis = read(args.data / name)
        for kind, relearns in (("residual", False), ("residual relearning", True)):
            scores, drifts = together(kpis, relearns)
            found = judge(name, kind, kpis, scores)
            figures |= {key.replace(" ", "_"): round(value, 3) for key, value in found.items()}
        figures[f"{name}_drifts"] = drifts
    print(json.dumps(figures | shifted() | {"false_drifts": quiet()}))


def together(kpis: Sequence[Kpi], relearns: bool) -> tuple[list[Matrix], int]:
    """Scores of each, and the drifts found. Those of one interval walk side by side, their weeks as well."""
    scores: list[Matrix] = [np.zeros(0)] * len(kpis)
    drifts = 0
    for every in sorted({_every(kpi) for kpi in kpis}):
        some = [n for n, kpi in enumerate(kpis) if _every(kpi) == every]
        rows = [np.round((kpis[n].times - kpis[n].times[0] // WEEK * WEEK) / every).astype(int) for n in some]
        values = np.full((max(int(at[-1]) for at in rows) + 1, len(some)), np.nan)
        for column, (n, at) in enumerate(zip(some, rows, strict=True)):
            values[at, column] = kpis[n].values
        told, found = walked(values, every, relearns)
        drifts += found
        for column, (n, at) in enumerate(zip(some, rows, strict=True)):
            scores[n] = told[at, column].astype(float)
    return scores, drifts


def walked(values: Matrix, every: float, relearns: bool) -> tuple[NDArray[np.float32], int]:
    """Scores ``[T, S]`` of ``values[T, S]``, NaN where there is no sample; drifts that were found."""
    detector, watch, found = Residual(), DriftWatch(), 0
    hold = np.zeros(values.shape[1], np.bool_)
    scores = np.zeros(values.shape, np.float32)
    near = np.full(values.shape[1], -np.inf)
    for t, slots in _rows(values):
        at = BEGIN + every * t
        scores[t, slots] = detector.update(
            Frame(np.array([at]), slots, values[t, slots][None]), hold[slots]
        ).score[0]
        if not relearns:
            continue
        near[slots[scores[t, slots] >= NEAR]] = at
        for one in watch.step(at, slots, detector.deviation(slots), at - near[slots] < HOLD):
            if one.sure:
                found += 1
                detector.relearn(one.slot, one.moved, one.widened, one.since, at)
                watch.settle(one, at)
    return scores, found


def shifted(series: int = 16, days: int = 11) -> dict[str, float]:
    """Of a sine of the day with noise of 1, whose level rises by 10 after nine and a quarter days."""
    values = _made(days, np.random.default_rng(1).normal(size=(days * 1440, series)))
    moved = 9 * 1440 + 360
    values[moved:] += 10.0
    after = slice(moved + 360, moved + 1800)
    kinds = (("above_4_without", False), ("above_4_relearning", True))
    return {name: float(f"{(walked(values, MINUTE, on)[0][after] > RATE).mean():.2g}") for name, on in kinds}


def quiet(series: int = 20, days: int = 28) -> int:
    """Drifts found in four weeks of made series that have none: four noises, without and with a sine."""
    dice, shape = np.random.default_rng(2), (days * 1440, series)
    chain = dice.normal(size=shape)
    for t in range(1, len(chain)):
        chain[t] += 0.8 * chain[t - 1]
    noises = (dice.normal(size=shape), dice.standard_t(3, shape), dice.poisson(3, shape).astype(float), chain)
    both = [one for noise in noises for one in (100 + noise, _made(days, noise))]
    return walked(np.concatenate(both, axis=1), MINUTE, True)[1]


def _made(days: int, noise: Matrix) -> Matrix:
    course = 100 + 30 * np.sin(2 * np.pi * np.arange(days * 1440) / 1440)
    return np.asarray(course[:, None] + noise)


def _rows(values: Matrix) -> Iterator[tuple[int, NDArray[np.int32]]]:
    """The rows that have samples, and which series do."""
    there = np.isfinite(values)
    for t in np.flatnonzero(there.any(1)).tolist():
        yield t, np.flatnonzero(there[t]).astype(np.int32)


def _every(kpi: Kpi) -> float:
    return float(np.median(np.diff(kpi.times)))


if __name__ == "__main__":
    main()
