"""Scoring on a Ray cluster beside scoring in process: the same to the bit, at what cost, and after kill -9.

    python -m tests.bench.scaleout --series 1000000 --forests 5000

First on what `scale: {runner: ray, workers: 2}` starts: one node, two workers. Then on a head that only
coordinates and two nodes of one processor each, which are raylets of their own; one worker on each.

- `overhead_columnar`: `adaptive` on all series. Processor time of a step, of this process and all of Ray's
  together, by that of the same step in process; `overhead_nodes`: the same where rows travel between nodes;
- `overhead_client`: the same from a process that is no node of the cluster, by Ray Client (`ray://`);
- `overhead_heavy`: the same of river's HalfSpaceTrees, one a series;
- `identical`: all scores and bands of every step compared, and all rows of the state in the end;
- `worker_back_s`: kill -9 of a worker; seconds until the next step is answered for all series. The dead
  worker's shards are taken from what was kept of them, and have obeyed what came since;
- `node_back_s`: the same of a node, all of its processes at once; `node_spread_s`: until shards are spread
  over two workers again, with another node in its place.

The last line is one JSON object.
"""

import argparse
import gc
import json
import os
import signal
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiops.core.detect import Detection
from aiops.core.heads import Scored
from aiops.core.shard import Shard
from aiops.engine.scale.deal import loaded, shards_of
from aiops.engine.scale.detection import ShardedDetection
from aiops.engine.scale.group import Made, build
from aiops.engine.scale.ray_worker import join, start_workers
from aiops.engine.scale.runner import Runner
from aiops.engine.scale.worker import LocalWorker, Worker
from aiops.model.frame import Frame
from aiops.model.series import SeriesIndex
from aiops.store.shards import ShardFiles
from tests.bench.scaleout_cluster import WORKERS, Cluster, everybodys, mine, node_of
from tests.bench.world import populate
from tests.database import free_port
from tests.e2e.ray_client import SETTINGS, cluster, joined

COLUMNAR: Made = [{"kind": "adaptive"}]
FOREST: Made = [
    {
        "kind": "river_model",
        "model": "river.anomaly.HalfSpaceTrees",
        "scale": "minmax",
        "warmup_samples": 20,
        "max_series": 1000,
    }
]
START = 1_767_225_600.0
WARM = 34
"""Steps before anything is measured: series get ready at 30."""
FLOORS = {
    "identical": True,
    "overhead_columnar": 12,
    "overhead_heavy": 2,
    "worker_back_s": 5,
    "node_back_s": 20,
}


class Stand:
    """Series, and the same rows for whoever scores them."""

    def __init__(self, series: int, every: float = 60.0) -> None:
        self.index, self.every = SeriesIndex(), every
        self.slots = populate(self.index, series)
        self.fresh = self.index.take_fresh()
        self.hold = np.zeros(self.index.capacity, np.bool_)
        self._values = np.random.default_rng(0).normal(50.0, 2.0, (16, series))
        self._values[3, ::97] = np.nan
        self._values[11, ::1009] += 40.0

    def row(self, step: int) -> Frame:
        return Frame(np.array([START + self.every * step]), self.slots, self._values[step % 16][None])

    def whole(self, made: Made) -> Detection:
        return Detection(build(made), self.index)

    def sharded(self, made: Made, shards: int, workers: Sequence[Worker], folder: Path) -> ShardedDetection:
        runner = Runner(workers, shards, made, ShardFiles(folder))
        runner.start()
        detection = ShardedDetection(build(made), self.index, runner)
        detection.welcome(self.fresh)
        runner.flush()
        return detection

    def sums(self, detection: Detection, steps: range) -> list[int]:
        """One for all that was said of each step."""
        return [sum_of(detection.step(self.row(step), self.hold)) for step in steps]

    def cpu(self, detection: Detection, steps: range, spent: Callable[[], float]) -> float:
        """Seconds of processor time a step."""
        gc.collect()
        before = spent()
        for step in steps:
            detection.step(self.row(step), self.hold)
        return (spent() - before) / len(steps)


def sum_of(said: Scored) -> int:
    total = 0
    for array in (said.score, said.expected, said.lower, said.upper, said.by):
        total = zlib.crc32(np.ascontiguousarray(array).view(np.uint8).data, total)
    return total


def main() -> None:
    args, found = _arguments(), dict[str, Any](identical=True)
    os.environ |= SETTINGS
    parts = {"columnar": columnar, "heavy": heavy, "client": client, "faults": faults}
    with tempfile.TemporaryDirectory(prefix="forewarn-bench-") as folder:
        for name in [args.only] if args.only else parts:
            same = found["identical"]
            found |= parts[name](args, Path(folder) / name)
            found["identical"] = found["identical"] and same
    print(json.dumps(found | {"floors": FLOORS, "load": [round(one, 1) for one in os.getloadavg()]}))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Scoring on a Ray cluster beside scoring in process.")
    parser.add_argument("--series", type=int, default=1_000_000)
    parser.add_argument("--forests", type=int, default=5000)
    parser.add_argument("--shards", type=int, default=16)
    parser.add_argument("--ticks", type=int, default=20, help="steps that are measured, of each kind")
    parser.add_argument("--heavy-ticks", type=int, default=6)
    parser.add_argument(
        "--heavy-warm", type=int, default=22, help="steps before; a forest is scored from 20 on"
    )
    parser.add_argument(
        "--only", choices=("columnar", "heavy", "client", "faults"), help="leave the others out"
    )
    parser.add_argument("--memory", type=int, default=300, help="MiB of each node's object store")
    return parser.parse_args()


@contextmanager
def local(args: argparse.Namespace) -> Iterator[ModuleType]:
    """What Forewarn starts by itself."""
    ray = join("local", WORKERS, args.memory << 20)
    try:
        yield ray
    finally:
        ray.shutdown()


def columnar(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """What it costs."""
    with local(args) as ray:
        same, own, theirs = compared(args, ray, folder)
    return {
        "series": args.series,
        "shards": args.shards,
        "identical": same,
        "overhead_columnar": round(theirs / own, 2),
        "columnar_ms": [round(1000 * own, 1), round(1000 * theirs, 1)],
    }


def client(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The same from outside the cluster, by Ray Client. Sockets want a folder of a short name."""
    with (
        tempfile.TemporaryDirectory(prefix="fw-ray-", ignore_cleanup_errors=True) as short,
        cluster(Path(short), free_port(), args.memory << 20) as address,
    ):
        ray = joined(address)
        same, own, theirs = compared(args, ray, folder)
        ray.shutdown()
    return {"identical": same, "overhead_client": round(theirs / own, 2)}


def compared(args: argparse.Namespace, ray: ModuleType, folder: Path) -> tuple[bool, float, float]:
    """Whether all is the same, and seconds a step in process and on two workers."""
    stand = Stand(args.series)
    workers = start_workers(ray, WORKERS, COLUMNAR, limit=30.0)
    whole, parts = stand.whole(COLUMNAR), stand.sharded(COLUMNAR, args.shards, workers, folder)
    same, own, theirs, step = costs(args, stand, whole, parts)
    steps = range(step, step + 2)
    return (
        same and stand.sums(whole, steps) == stand.sums(parts, steps) and alike(stand, whole, parts),
        own,
        theirs,
    )


def costs(
    args: argparse.Namespace, stand: Stand, whole: Detection, parts: ShardedDetection
) -> tuple[bool, float, float, int]:
    """Whether both said the same, seconds a step of each, and the next step."""
    warm, measured = range(WARM), range(WARM, WARM + args.ticks)
    same = stand.sums(whole, warm) == stand.sums(parts, warm)
    parts.runner.save()
    own, theirs = stand.cpu(whole, measured, mine), stand.cpu(parts, measured, everybodys)
    note("columnar: %.1f ms in process, %.1f ms on Ray", 1000 * own, 1000 * theirs)
    return same, own, theirs, measured.stop


def faults(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Two nodes, and kill -9."""
    cluster = Cluster(args.memory << 20)
    try:
        stand = Stand(args.series)
        workers = start_workers(cluster.ray, WORKERS, COLUMNAR, limit=30.0)
        whole, parts = stand.whole(COLUMNAR), stand.sharded(COLUMNAR, args.shards, workers, folder)
        same, own, theirs, step = costs(args, stand, whole, parts)
        figures: dict[str, Any] = {"overhead_nodes": round(theirs / own, 2)}
        kills: dict[str, Callable[[], None]] = {
            "worker_back_s": lambda: os.kill(workers[0].pid(), signal.SIGKILL),
            "node_back_s": lambda: cluster.kill(node_of(cluster, workers[1])),
        }
        for name, kill in kills.items():
            steps = range(step, step + 3)
            before, now = stand.sums(whole, steps), stand.sums(parts, steps[:1])
            began = time.monotonic()
            kill()
            now += stand.sums(parts, steps[1:2])
            figures[name] = round(time.monotonic() - began, 2)
            now += stand.sums(parts, steps[2:])
            parts.runner.save()
            same, step = same and before == now, steps.stop
            note("%s: %.2f s, identical so far: %s", name, figures[name], same)
        figures["node_spread_s"] = spread(cluster, parts)
        steps = range(step, step + 2)
        same = same and stand.sums(whole, steps) == stand.sums(parts, steps) and alike(stand, whole, parts)
        figures |= {"losses": parts.runner.losses, "replayed": parts.runner.replayed}
    finally:
        cluster.close()
    return figures | {"identical": same}


def spread(cluster: Cluster, parts: ShardedDetection) -> float:
    """Seconds until shards are on two workers again, with a node in place of the one that is gone."""
    began = time.monotonic()
    cluster.nodes.append(cluster.add())
    while len({id(one) for one in parts.runner.owners()}) < WORKERS and time.monotonic() - began < 90:
        parts.runner.rebalance()
        time.sleep(0.2)
    return round(time.monotonic() - began, 2)


def heavy(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """A forest a series; in process it is in shards too, as one detector takes a thousand at most."""
    with local(args) as ray:
        stand = Stand(args.forests)
        here = stand.sharded(FOREST, args.shards, [LocalWorker(FOREST)], folder / "here")
        # the first row makes thousands of forests on each worker, 30 ms of a processor apiece
        workers = start_workers(ray, WORKERS, FOREST, limit=900.0)
        there = stand.sharded(FOREST, args.shards, workers, folder / "there")
        warm = range(args.heavy_warm)
        same = stand.sums(here, warm) == stand.sums(there, warm)
        gc.freeze()
        spent, step = [], warm.stop
        for _ in range(args.heavy_ticks):
            steps = range(step, step + 1)
            spent.append((stand.cpu(here, steps, mine), stand.cpu(there, steps, everybodys)))
            step = steps.stop
        steps = range(step, step + 1)
        same = same and stand.sums(here, steps) == stand.sums(there, steps)
        same = same and all(
            np.array_equal(one, other)
            for (_, one), (_, other) in zip(here.dumps(), there.dumps(), strict=True)
        )
    own, theirs = (median(each) for each in zip(*spent, strict=True))
    note("heavy: %.0f ms in process, %.0f ms on Ray", 1000 * own, 1000 * theirs)
    return {
        "forests": args.forests,
        "identical": same,
        "overhead_heavy": round(median(theirs / own for own, theirs in spent), 2),
        "heavy_ms": [round(1000 * own), round(1000 * theirs)],
    }


def alike(stand: Stand, whole: Detection, parts: ShardedDetection) -> bool:
    """Whether all that is known of every series is the same."""
    (one,), blobs = shards_of(whole), dict(parts.dumps())
    for part in parts.stripes.parts(stand.slots):
        (other,) = loaded(COLUMNAR, [blobs[part.shard]])
        if not _same_rows(one, part.take(stand.slots), other, part.slots):
            return False
    return True


def _same_rows(one: Shard, here: NDArray[np.int32], other: Shard, there: NDArray[np.int32]) -> bool:
    return all(
        a.keys() == b.keys() and all(np.array_equal(a[name], b[name], equal_nan=True) for name in a)
        for a, b in zip(one.lift(here), other.lift(there), strict=True)
    )


def note(text: str, *args: object) -> None:
    print(text % args, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
