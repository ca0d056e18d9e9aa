"""Checkpoint and restore of many series: how long each takes, and how long ingest stands still meanwhile.

    python -m tests.bench.checkpoint --series 1000000

- `snapshot_ms`: from the decision to write to the last file synced and renamed, every series having learnt a
  sample since the one before, with nothing else going on; `whole_ms`: the first, which shares no file;
- `restore_ms`: from the files to a state that goes on, in memory that a former one has given back, as it is
  when a process has ended and the next begins; `restore_first_ms`: in memory that nobody has used, which a
  virtual machine is given as slowly as its host pleases;
- `stall_ms`: frames of one size are handed to the pipeline one after the other, during a snapshot and without
  one: the longest that one took during it, less the median without.

All from the engine's own parts: its checkpointer, its pipeline, its files. The last line is one JSON object.
"""

import argparse
import asyncio
import gc
import json
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from aiops.engine import checkpoint
from aiops.engine.capture import parts
from aiops.engine.checkpoint import Checkpointer
from aiops.engine.clock import SystemClock
from aiops.engine.metrics import Metrics
from aiops.engine.pipeline import Pipeline
from aiops.engine.record import Recorder
from aiops.engine.state import State
from aiops.model.frame import Frame
from aiops.store.database import Database
from aiops.store.migrate import upgrade
from tests.bench.world import BATCH, config_in, learnt

REPEATS = 5
FLOORS = {"snapshot_ms": 500, "restore_ms": 500, "stall_ms": 50}


class Bench:
    """One state of many series behind the engine's own pipeline."""

    def __init__(self, series: int, folder: Path) -> None:
        self.series, self.folder = series, folder
        self.config = config_in(folder)
        self.state = learnt(self.config, series)
        self.db = Database(self.config.store)
        upgrade(self.db)
        metrics, clock = Metrics(), SystemClock()
        self.pipeline = Pipeline(self.state, Recorder(self.db), clock, metrics, lambda source: -np.inf)
        self.checkpointer = Checkpointer(folder / "checkpoints", self.pipeline, [], clock, metrics)
        self.values = np.random.default_rng(1).normal(50.0, 2.0, (1, series))
        self.at, self.tick = 0, time.time()

    async def figures(self) -> dict[str, Any]:
        running = asyncio.create_task(self.pipeline.run())
        gc.collect()
        gc.freeze()  # as a process does once it has started
        whole = [await self._snapshot() for _ in range(2)]
        snapshots = []
        for _ in range(REPEATS):
            await self._tick()
            before = self._files()
            snapshots.append(await self._snapshot())
        after = self._files()
        size = sum(after.values()) / 2
        new = sum(bytes_ for file, bytes_ in after.items() if file not in before)
        usual = [await self._frame() for _ in range(200)]
        stalls = [await self._stall() for _ in range(REPEATS)]
        await self.pipeline.queue.put(None)
        await running
        self.db.close()
        gc.unfreeze()
        first, *restores = [self._restore() for _ in range(1 + REPEATS)]
        return {
            "series": self.series,
            "snapshot_ms": round(1000 * median(snapshots)),
            "whole_ms": round(1000 * whole[0]),
            "restore_ms": round(1000 * median(restores)),
            "restore_first_ms": round(1000 * first),
            "stall_ms": round(1000 * (max(stalls) - median(usual)), 1),
            "frame_ms": round(1000 * median(usual), 1),
            "bytes_per_series": round(size / self.series),
            "written_per_series": round(new / self.series),
            "floors": FLOORS,
        }

    async def _snapshot(self) -> float:
        start = time.perf_counter()
        await self.checkpointer.write()
        if self.checkpointer.error:
            raise RuntimeError(self.checkpointer.error)
        return time.perf_counter() - start

    async def _frame(self) -> float:
        """Seconds from handing over a frame to its end."""
        slots = np.arange(self.at, min(self.at + BATCH, self.series), dtype=np.int32)
        frame = Frame(np.array([self.tick]), slots, self.values[:, slots])
        self.at = int(slots[-1]) + 1
        if self.at == self.series:
            self.at, self.tick = 0, self.tick + 15.0
        start = time.perf_counter()
        await self.pipeline.queue.put(("push", frame))
        await self.pipeline.call(lambda state: None)
        return time.perf_counter() - start

    def _files(self) -> dict[int, int]:
        """Bytes of each file of the checkpoints there are, by its number on the disk."""
        files = [file.stat() for file in self.checkpointer.folder.glob("*/*")]
        return {file.st_ino: file.st_size for file in files}

    async def _tick(self) -> None:
        """A sample of every series."""
        for _ in range(-(-self.series // BATCH)):
            await self._frame()

    async def _stall(self) -> float:
        """The longest that a frame took during a snapshot."""
        writing, took = asyncio.create_task(self._snapshot()), [0.0]
        while not writing.done():
            took.append(await self._frame())
            await asyncio.sleep(0)
        await writing
        return max(took)

    def _restore(self) -> float:
        gc.collect()  # a state is a cycle: else each would be given pages that the host has yet to find
        start = time.perf_counter()
        index, arrays, facts = checkpoint.load_index(self.checkpointer.folder)
        again = State(self.config, [], index)
        restored = checkpoint.take_up(again, arrays, facts)
        seconds = time.perf_counter() - start
        if len(again.index) != self.series or restored != len(parts(again)):
            raise RuntimeError(f"{len(again.index)} series and {restored} parts came back")
        return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description="Checkpoint and restore of many series.")
    parser.add_argument("--series", type=int, default=1_000_000)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="forewarn-bench-") as folder:
        print(json.dumps(asyncio.run(Bench(chosen.series, Path(folder)).figures())))


if __name__ == "__main__":
    main()
