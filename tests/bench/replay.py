"""Samples a second replayed through the whole pipeline: detect, alert, correlate, store.

    python -m tests.bench.replay --series 10000

Four hours of noise every 15 s in 10,000 series of 100 services, in frames of 10 minutes, with the default
detector, limits (one with a forecast) and an SLI. Six faults of one service each: its series shift for 8
minutes and an SLI breaks. `samples_per_s` is by the wall; `problems` is how many were found. The last line is
one JSON object.
"""

import argparse
import asyncio
import json
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np

from aiops.config import Config
from aiops.engine.replay import replay
from aiops.model.frame import Frame
from aiops.model.series import Labels, SeriesIndex, labels_of

BEGIN = 1.7e9
EVERY, HOURS, FRAME = 15.0, 4, 40
SERVICES = 100
FAULTS, LASTS = 6, 32
"""How many, and for how many samples."""
FLOOR = 1_000_000
LIMITS: list[dict[str, Any]] = [
    {"match": "usage_0", "breach": {"above": 100.0}, "horizon": "1h"},
    {"match": "usage_1", "breach": {"above": 100.0}},
]
SLI = {"name": "errors", "of": {"match": "error_ratio"}, "breach": {"above": 0.05, "for": "1m"}}


def fleet(series: int) -> list[Labels]:
    """Each service has as many metrics, and one of them says what users notice."""
    each = max(2, series // SERVICES)
    names = ["error_ratio", *(f"usage_{k}" for k in range(each - 1))]
    return [
        labels_of({"__name__": name, "service": f"s{service}", "host": f"h{service}"})
        for service in range(SERVICES)
        for name in names
    ][:series]


async def past(labels: list[Labels], index: SeriesIndex) -> AsyncIterator[tuple[str, Frame]]:
    """Made a frame at a time."""
    chance = np.random.default_rng(0)
    slots, each = index.slots(labels), len(labels) // SERVICES
    noisy = np.array([dict(one)["__name__"] != "error_ratio" for one in labels])
    steps = round(HOURS * 3600 / EVERY)
    starts = np.linspace(steps // 2, steps - 2 * LASTS, FAULTS).astype(int)
    for step in range(0, steps, FRAME):
        at = step + np.arange(FRAME)
        values = np.where(noisy, chance.normal(50.0, 2.0, (FRAME, len(labels))), 0.001)
        for service, start in enumerate(starts.tolist()):
            hit = (at >= start) & (at < start + LASTS)
            own = slice(service * each, (service + 1) * each)
            values[hit, own] = np.where(noisy[own], values[hit, own] + 30.0, 0.2)
        yield "prod", Frame(BEGIN + EVERY * at.astype(float), slots, values)


def config_in(folder: Path) -> Config:
    source = {
        "kind": "prometheus",
        "name": "prod",
        "url": "http://127.0.0.1:9",
        "select": ["up"],
        "every": "15s",
    }
    return Config.model_validate({"data": str(folder), "sources": [source], "limits": LIMITS, "slis": [SLI]})


async def bench(series: int, folder: Path) -> dict[str, Any]:
    index, labels = SeriesIndex(), fleet(series)
    report = await replay(config_in(folder), [], index, past(labels, index))
    return {
        "series": report.series,
        "samples": report.samples,
        "samples_per_s": round(report.samples / report.wall_seconds),
        "samples_per_s_core": round(report.samples / report.cpu_seconds),
        "times_real": round(report.times_real),
        "problems": len(report.problems),
        "floors": {"samples_per_s": FLOOR},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Samples a second through the whole pipeline.")
    parser.add_argument("--series", type=int, default=10_000)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="forewarn-bench-") as folder:
        print(json.dumps(asyncio.run(bench(chosen.series, Path(folder)))))


if __name__ == "__main__":
    main()
