"""What replaced series cost: memory that is not given back, and throughput.

    python -m tests.bench.churn

200,000 series every 15 s as remote-write messages through the decoder and the engine's pipeline, with its
eviction every 5 minutes; 10 % of the series are replaced each minute, as pods are. Beside it stands an engine
of as many series, in a process of its own, of which none changes.
Time is simulated, CPU is real. Once as many are forgotten as come, 30 minutes are measured, a minute of the
one after a minute of the other:

- `leak_bytes`: growth of the first one's resident memory a replaced series, garbage collected at both ends;
- `throughput_ratio`: samples a CPU second, with the new series' first samples, to those of the engine without
  churn;
- `taken_share`: of the samples sent, those that reached the detectors; a counter's first has no rate.

The last line is one JSON object.
"""

import argparse
import asyncio
import itertools
import json
import multiprocessing
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import cramjam
import numpy as np

from aiops.engine.housekeeping import forget
from aiops.engine.metrics import Metrics
from aiops.engine.pipeline import Pipeline
from aiops.engine.record import Recorder
from aiops.engine.replay import ReplayClock
from aiops.engine.state import State
from aiops.model.series import SeriesIndex
from aiops.store.database import Database
from aiops.store.migrate import upgrade
from aiops.wire.intake import Intake
from aiops.wire.remote_write import RemoteWrite
from tests.bench import gen
from tests.bench.world import config_in, resident

BEGIN = 1.7e9
EVERY, MINUTE = 15.0, 60.0
SHARE = 0.1
FORGET_AFTER, FORGET_EVERY = 300.0, 300.0
QUIET, SETTLING = 5, 35
"""Minutes before those that are measured, without churn; with it, until as many are forgotten as come."""
VALUE = 3
"""Where the 8 bytes of the value are in a sample: after its tag, its length and the value's tag."""
BATCH = 10_000
"""Samples a message."""
FLOORS = {"leak_bytes": 8, "throughput_ratio": 0.7, "taken_share": 0.95}


class Fleet:
    """Series that come and go, written as messages."""

    def __init__(self, series: int) -> None:
        self._seeds = itertools.count()
        self._labels = self._made(series)
        self._chance = np.random.default_rng(0)

    def _made(self, count: int) -> list[bytes]:
        """What comes before each series' value in a message."""
        made = (gen.labels(pairs) for pairs in gen.kubelet(count, seed=next(self._seeds)))
        blank = gen.sample(round(BEGIN * 1000), 0.0)
        return [gen.field(1, labels + blank)[: VALUE - len(blank)] for labels in made]

    def replace(self, share: float) -> int:
        """The oldest go, and as many come; how many."""
        count = round(len(self._labels) * share)
        self._labels = self._labels[count:] + self._made(count)
        return count

    def messages(self, at: float) -> Iterator[bytes]:
        for start in range(0, len(self._labels), BATCH):
            part = self._labels[start : start + BATCH]
            values = self._chance.normal(50.0, 2.0, len(part)).tobytes()
            tail = gen.sample(round(at * 1000), 0.0)[VALUE + 8 :]
            parts = (head + values[8 * k : 8 * k + 8] + tail for k, head in enumerate(part))
            yield bytes(cramjam.snappy.compress_raw(b"".join(parts)))


class Sender:
    """A `Fleet` in a process of its own, so that only the engine's memory is looked at."""

    def __init__(self, series: int) -> None:
        self._pipe, other = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("spawn").Process(target=_send, args=(other, series))
        self._process.start()
        other.close()

    def replace(self, share: float) -> int:
        self._pipe.send_bytes(json.dumps(["replace", share]).encode())
        return int(self._pipe.recv_bytes())

    def messages(self, at: float) -> Iterator[bytes]:
        self._pipe.send_bytes(json.dumps(["messages", at]).encode())
        return iter(self._pipe.recv_bytes, b"")

    def close(self) -> None:
        self._pipe.close()
        self._process.join()


def _send(pipe: Connection, series: int) -> None:
    """Answer until the other end is closed."""
    fleet = Fleet(series)
    while True:
        try:
            asked, number = json.loads(pipe.recv_bytes())
        except EOFError:
            return
        if asked == "replace":
            pipe.send_bytes(b"%d" % fleet.replace(number))
            continue
        for message in fleet.messages(number):
            pipe.send_bytes(message)
        pipe.send_bytes(b"")


class Bench:
    """One engine's decoder and pipeline, at simulated times."""

    def __init__(self, series: int, folder: Path) -> None:
        config = config_in(folder, detection={"forget_after": FORGET_AFTER})
        self.db = Database(config.store)
        upgrade(self.db)
        self.state, self.clock = State(config, [], SeriesIndex()), ReplayClock()
        self.pipeline = Pipeline(self.state, Recorder(self.db), self.clock, Metrics(), lambda source: -np.inf)
        self.decoder = RemoteWrite(Intake(self.state.index))
        self.fleet, self.clock.at, self.series = Sender(series), BEGIN, series
        self.sent, self.samples, self.seconds, self.replaced = 0, 0, 0.0, 0

    async def minute(self, share: float) -> None:
        self.replaced += self.fleet.replace(share)
        for _ in range(round(MINUTE / EVERY)):
            self.clock.at += EVERY
            for body in self.fleet.messages(self.clock.at):
                start = time.process_time()
                for frame in self.decoder.decode(body):
                    await self.pipeline.take("push", frame)
                    self.samples += frame.values.size
                self.seconds += time.process_time() - start
        self.sent += round(MINUTE / EVERY) * self.series
        if (self.clock.at - BEGIN) % FORGET_EVERY < EVERY:
            start = time.process_time()
            forget(self.state, self.clock.at - FORGET_AFTER)
            self.seconds += time.process_time() - start

    def begin(self) -> None:
        """Count anew."""
        self.sent, self.samples, self.seconds, self.replaced = 0, 0, 0.0, 0

    @property
    def rate(self) -> float:
        """Samples a CPU second."""
        return self.samples / self.seconds

    def close(self) -> None:
        self.db.close()
        self.fleet.close()


class Still:
    """An engine without churn, in a process of its own: its memory is nobody's leak."""

    def __init__(self, series: int, folder: Path) -> None:
        self._pipe, other = multiprocessing.Pipe()
        made = multiprocessing.get_context("spawn").Process(target=_stand, args=(other, series, folder))
        self._process = made
        self._process.start()
        other.close()

    def minute(self) -> tuple[int, float]:
        """Samples and CPU seconds."""
        self._pipe.send_bytes(b"minute")
        samples, seconds = json.loads(self._pipe.recv_bytes())
        return samples, seconds

    def close(self) -> None:
        self._pipe.close()
        self._process.join()


def _stand(pipe: Connection, series: int, folder: Path) -> None:
    """Answer until the other end is closed."""
    one = Bench(series, folder)
    while True:
        try:
            pipe.recv_bytes()
        except EOFError:
            return one.close()
        one.begin()
        asyncio.run(one.minute(0.0))
        pipe.send_bytes(json.dumps([one.samples, one.seconds]).encode())


async def bench(series: int, minutes: int, folder: Path) -> dict[str, Any]:
    (folder / "still").mkdir()
    still, one = Still(series, folder / "still"), Bench(series, folder)
    for _ in range(SETTLING):
        await one.minute(SHARE)
    for _ in range(QUIET):
        still.minute()
    before = resident()
    one.begin()
    quiet = []
    for _ in range(minutes):  # in turns, so that a machine that is busy for a while slows both
        quiet.append(still.minute())
        await one.minute(SHARE)
    grown = resident() - before
    one.close()
    still.close()
    samples, seconds = map(sum, zip(*quiet, strict=True))
    return {
        "series": series,
        "replaced": one.replaced,
        "leak_bytes": round(grown / one.replaced, 2),
        "throughput_ratio": round(one.rate * seconds / samples, 3),
        "taken_share": round(one.samples / one.sent, 3),
        "samples_per_s_core": round(one.rate),
        "quiet_samples_per_s_core": round(samples / seconds),
        "capacity": one.state.index.capacity,
        "floors": FLOORS,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="What replaced series cost.")
    parser.add_argument("--series", type=int, default=200_000)
    parser.add_argument("--minutes", type=int, default=30)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="forewarn-bench-") as folder:
        print(json.dumps(asyncio.run(bench(chosen.series, chosen.minutes, Path(folder)))))


if __name__ == "__main__":
    main()
