"""Log lines a second of one core from files to findings, beside metrics, through a whole engine.

    python -m tests.bench.log_path [--data DIR] [--rate 200000] [--series 100000] [--seconds 40]

A made clock drives an engine with its default settings: source `file` follows one log a system of LogHub-2k
(whole lines, every decimal digit drawn anew), which grow by `--rate` lines a second together, and a second
source yields `--series` series every 15 s. Connector, miner, counts, detectors, alerts, store and checkpoints
all run. `lines_per_s_core`: lines over the CPU time of all threads, that of the metrics and checkpoints
included; the writer of the files is not. Before it counts, 20 s of lines are learnt. `lost` must be 0.
"""

import argparse
import asyncio
import json
import resource
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
from pydantic import PrivateAttr

from aiops.config import Config
from aiops.engine.engine import Engine
from aiops.model.frame import Frame
from aiops.model.series import NAME, SeriesIndex, labels_of
from aiops.plugin import Connector
from aiops.testing import FakeClock, eventually

HOUSE = Path(__file__).resolve().parents[2]
FLOOR = 200_000
STEP = 2.0
"""Seconds between two pulls of the files, the default."""
SEED = 20240607


class Steady(Connector):
    """Series around levels of their own, every 15 s."""

    count: int
    _rng: np.random.Generator = PrivateAttr(default_factory=lambda: np.random.default_rng(SEED))

    def open(self, index: SeriesIndex) -> None:
        names = [
            labels_of({NAME: "load", "host": f"h{n // 100}", "core": str(n % 100)}) for n in range(self.count)
        ]
        self._slots = index.slots(names)
        self._levels = self._rng.normal(50, 2, self.count)

    async def pull(self, since: float, until: float) -> AsyncIterator[Frame]:
        values = self._levels + self._rng.standard_normal(self.count)
        yield Frame(np.array([until]), self._slots, values[None, :])


class Writers:
    """Files that grow: what is written next is made before it is needed."""

    def __init__(self, data: Path, folder: Path, lines: int) -> None:
        self.rng = np.random.default_rng(SEED)
        self._files = {}
        for system in sorted(data.iterdir()):
            text = (system / f"{system.name}_2k.log").read_bytes().removesuffix(b"\n").split(b"\n")
            share = lines // 8
            bytes_of = b"\n".join((text * (share // len(text) + 1))[:share]) + b"\n"
            self._files[(folder / f"{system.name}.log").open("ab", buffering=0)] = np.frombuffer(
                bytes_of, np.uint8
            )
        self.lines = lines // 8 * 8

    def write(self) -> float:
        """One step's lines into all files; the CPU time that it took."""
        start = time.process_time()
        for file, text in self._files.items():
            new, digits = text.copy(), (text >= 48) & (text <= 57)
            new[digits] = self.rng.integers(48, 58, int(digits.sum()), np.uint8)
            file.write(new.tobytes())
        return time.process_time() - start


async def pass_by(engine: Engine, clock: FakeClock, writers: Writers, seconds: float) -> tuple[int, float]:
    """(lines written, CPU seconds) of so many seconds."""
    begun, writing, wrote = time.process_time(), 0.0, 0
    end = clock.now() + seconds

    def read() -> bool:
        return engine.pipeline.state.cursors.get("files", 0.0) >= clock.now()

    while clock.now() < end:
        writing += writers.write()
        wrote += writers.lines
        await clock.advance(STEP)
        await eventually(read, 60)
    return wrote, time.process_time() - begun - writing


async def measure(chosen: argparse.Namespace, folder: Path) -> dict[str, float]:
    (folder / "logs").mkdir()
    writers = Writers(chosen.data, folder / "logs", int(chosen.rate * STEP))
    clock = FakeClock()
    sources = [
        {"kind": "file", "name": "files", "path": f"{folder}/logs/*.log"},
        Steady(name="metrics", every=15.0, count=chosen.series),
    ]
    stated = {"store": f"sqlite:///{folder}/a.db", "data": folder, "sources": sources}
    engine = Engine(Config.model_validate(stated), clock=clock)
    await engine.start()
    try:
        await eventually(engine.ready, 60)
        learnt, _ = await pass_by(engine, clock, writers, 20.0)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        wrote, spent = await pass_by(engine, clock, writers, chosen.seconds)
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return {
            "lines": wrote,
            "lost": wrote + learnt - engine.metrics.lines.labels("files")._value.get(),
            "lines_per_s_core": round(wrote / spent),
            "busy": round(spent / chosen.seconds, 3),
            "patterns": len(engine.pipeline.state.logs.miner.snapshot()["patterns"]),
            "rss_mb": round(after / 1024),
            "rss_growth_mb": round((after - before) / 1024, 1),
        }
    finally:
        await engine.stop()


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--data", type=Path, default=HOUSE.parent / "shared/benchmarks/logs")
    ask.add_argument("--rate", type=int, default=FLOOR)
    ask.add_argument("--series", type=int, default=100_000)
    ask.add_argument("--seconds", type=float, default=40.0)
    chosen = ask.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(measure(chosen, Path(folder)))
    shape = {"rate": chosen.rate, "series": chosen.series, "seed": SEED, "floor": FLOOR}
    print(json.dumps({"bench": "log_path", **shape, **found}))


if __name__ == "__main__":
    main()
