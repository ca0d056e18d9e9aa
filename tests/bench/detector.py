"""Points a second on one core through `Adaptive.update`, against the memory limit and against river.

    python -m tests.bench.detector --series 1000000

All in one process, by its own CPU time, a turn of each after the other, medians of the turns:

- ours: one `update` of all series (float64 values in; scores and bands out; state learnt);
- the limit: a state of the same size, read and written in place once, in order, with numpy's vectorised loop;
- river: GaussianScorer, and HalfSpaceTrees with its defaults on 8 lags, scored and taught the same points.

The last line is one JSON object.
"""

import argparse
import json
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from river import anomaly

from aiops.model.frame import Frame
from detectors.adaptive import Adaptive

LAGS = 8
GAUSSIANS, FORESTS = 4000, 40
"""Series of the same frame that river is given a turn; a forest takes 20 us a point."""


def main() -> None:
    args = _arguments()
    rng = np.random.default_rng(0)
    values = rng.standard_normal((16, args.series))
    turns = _turns(args.series, values)
    spent: dict[str, list[float]] = {name: [] for name in turns}
    for turn in range(args.warmup + args.turns):
        for name, (points, run) in turns.items():
            began = time.process_time()
            run(turn)
            if turn >= args.warmup:
                spent[name].append((time.process_time() - began) / points)
    print(json.dumps(_figures(args.series, {name: median(each) for name, each in spent.items()})))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Points a second of the default detector.")
    parser.add_argument("--series", type=int, default=1_000_000)
    parser.add_argument("--turns", type=int, default=21)
    parser.add_argument(
        "--warmup", type=int, default=35, help="turns before counting: series get ready at 30"
    )
    return parser.parse_args()


Turn = tuple[int, Callable[[int], Any]]


def _turns(series: int, values: NDArray[np.float64]) -> dict[str, Turn]:
    """``name -> (points, run(turn))``."""
    detector, slots, hold = Adaptive(), np.arange(series, dtype=np.int32), np.zeros(series, np.bool_)
    detector.columns.ensure(series)
    state = np.ones(detector.columns["blocks"].size, np.float32)

    def ours(turn: int) -> None:
        row = values[turn % len(values)]
        detector.update(Frame(np.array([1.7e9 + 15.0 * turn]), slots, row[None]), hold)

    def limit(_turn: int) -> None:
        np.multiply(state, np.float32(1.0001), out=state)

    return {
        "ours": (series, ours),
        "limit": (series, limit),
        "gaussian": (GAUSSIANS, _gaussian(values)),
        "hst": (FORESTS, _forest(values)),
    }


def _gaussian(values: NDArray[np.float64]) -> Callable[[int], None]:
    models = [anomaly.GaussianScorer() for _ in range(GAUSSIANS)]
    for model, past in zip(models, np.random.default_rng(1).standard_normal((GAUSSIANS, 120)), strict=True):
        for value in past.tolist():  # its grace period of 100 samples is not what is compared
            model.learn_one(None, value)

    def run(turn: int) -> None:
        for model, value in zip(models, values[turn % len(values), :GAUSSIANS].tolist(), strict=True):
            model.score_one(None, value)
            model.learn_one(None, value)

    return run


def _forest(values: NDArray[np.float64]) -> Callable[[int], None]:
    models = [anomaly.HalfSpaceTrees(seed=0) for _ in range(FORESTS)]
    scaled = 0.5 + values[:, :FORESTS] / 10

    def run(turn: int) -> None:
        lags = np.arange(turn - LAGS + 1, turn + 1) % len(scaled)
        for model, recent in zip(models, scaled[lags].T.tolist(), strict=True):
            features = dict(enumerate(recent))
            model.score_one(features)
            model.learn_one(features)

    return run


def _figures(series: int, per_point: dict[str, float]) -> dict[str, float | int]:
    ours = per_point["ours"]
    return {
        "series": series,
        "points_per_s_core": round(1 / ours),
        "ns_per_point": round(ours * 1e9, 2),
        "limit_points_per_s": round(1 / per_point["limit"]),
        "limit_share": round(per_point["limit"] / ours, 3),
        "ratio_river_gaussian": round(per_point["gaussian"] / ours, 1),
        "ratio_river_hst": round(per_point["hst"] / ours, 1),
    }


if __name__ == "__main__":
    main()
