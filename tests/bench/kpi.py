"""Events found in real KPIs at one threshold for all series, and what a point costs.

    python -m tests.bench.kpi --data DIR

`DIR` holds ``aiops`` and ``wsd``: npz files of timestamp, value, label and the length of the train part.
Every detector learns all samples of a series in their order, each after it was scored. One threshold for all
series of a set is chosen by the labels of the train parts, for each metric, and applied to the test parts:

- Ev7: F1 of events; an event counts once, if a score passes within 8 samples of its start (a delay of 7);
  each false episode counts once, and once more for every 10 further samples that pass;
- PA7: F1 of points; all points of an event count if a score passes within 8 samples of its start, else none.

`adaptive_share` is what `adaptive` finds by its own score, which is what the engine has of it, as a share of
the Ev7 of `residual`: the mean of both sets. The last line is one JSON object.
"""

import argparse
import json
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aiops.model.frame import Frame
from aiops.plugin import Detector
from detectors.adaptive import Adaptive
from detectors.novelty import Novelty
from detectors.residual import Residual
from tests.bench._event_scores import Counts, Pool, best, counted

SETS = ("aiops", "wsd")
SLOT = np.zeros(1, np.int32)
REPEATS = 5
KINDS: dict[str, type[Detector]] = {"adaptive": Adaptive, "residual": Residual, "novelty": Novelty}
Series = NDArray[np.float64]


class Kpi(NamedTuple):
    times: Series
    values: Series
    labels: NDArray[np.bool_]
    train: int


def main() -> None:
    parser = argparse.ArgumentParser(description="Events found in real KPIs.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--points", type=int, default=200, help="turns of 1,000 series for us_per_point")
    args = parser.parse_args()
    figures: dict[str, float] = {}
    for name in SETS:
        kpis = read(args.data / name)
        for kind in ("residual", "adaptive"):
            figures |= judge(name, kind, kpis, [answer(kind, kpi) for kpi in kpis])
    print(json.dumps(summary(figures) | {"us_per_point": cost(args.points)}))


def read(folder: Path) -> list[Kpi]:
    kpis = []
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as z:
            kpis.append(
                Kpi(
                    z["timestamp"].astype(float),
                    z["value"].astype(float),
                    z["label"] > 0,
                    int(z["train"]),
                )
            )
    if not kpis:
        raise SystemExit(f"no .npz files in {folder}")
    return kpis


def answer(kind: str, kpi: Kpi) -> Series:
    """Scores of a whole series, each sample learnt after it; a call of `update` with many rows."""
    detector = KINDS[kind]()
    parts = []
    for start in range(0, len(kpi.times), 30):  # `adaptive` turns its season between calls
        part = slice(start, start + 30)
        frame = Frame(kpi.times[part], SLOT, kpi.values[part, None])
        parts.append(detector.update(frame, np.zeros(1, np.bool_)).score[:, 0])
    return np.concatenate(parts).astype(float)


def judge(name: str, kind: str, kpis: list[Kpi], scores: list[Series]) -> dict[str, float]:
    train = Pool.of(
        [s[: kpi.train] for s, kpi in zip(scores, kpis, strict=True)], [k.labels[: k.train] for k in kpis]
    )
    test = Pool.of(
        [s[kpi.train :] for s, kpi in zip(scores, kpis, strict=True)], [k.labels[k.train :] for k in kpis]
    )
    figures: dict[str, float] = {}
    for metric, f1 in (("ev7", Counts.ev7), ("pa7", Counts.pa7)):
        threshold = best(train, f1)
        counts = counted(test, threshold)
        oracle = f1(counted(test, best(test, f1)))
        print(
            f"{name:6s} {kind:20s} {metric} {f1(counts):.3f} at {threshold:.2f} (best on test {oracle:.3f}): "
            f"{counts.events_found} events found, {counts.events_missed} missed, "
            f"{counts.episodes} false episodes"
        )
        figures[f"{name} {kind} {metric}"] = f1(counts)
    return figures


def summary(figures: dict[str, float]) -> dict[str, float]:
    out = {f"{s}_{m}": round(figures[f"{s} residual {m}"], 3) for s in SETS for m in ("ev7", "pa7")}
    share = np.mean([figures[f"{s} adaptive ev7"] / figures[f"{s} residual ev7"] for s in SETS])
    return out | {"adaptive_share": round(float(share), 3)}


def cost(turns: int, series: int = 1000) -> dict[str, float]:
    """Microseconds of CPU time a point, frames of one time and 1,000 series, after 400 frames learnt.

    Each is a mean over `turns`, and the least of `REPEATS`: others on the machine can only make it more.
    """
    rng = np.random.default_rng(0)
    values = (
        100
        + np.cumsum(rng.normal(size=(400 + turns, series)), axis=0)
        + rng.normal(size=(400 + turns, series))
    )
    return {kind: round(min(_cost(kind, values) for _ in range(REPEATS)), 4) for kind in KINDS}


def _cost(kind: str, values: NDArray[np.float64]) -> float:
    detector, series = KINDS[kind](), len(values[0])
    slots, hold = np.arange(series, dtype=np.int32), np.zeros(series, np.bool_)
    times = []
    for t, row in enumerate(values):
        frame, began = Frame(np.array([1.7e9 + 60.0 * t]), slots, row[None]), time.process_time()
        detector.update(frame, hold)
        times.append(time.process_time() - began)
    return float(np.mean(times[400:])) / series * 1e6


if __name__ == "__main__":
    main()
