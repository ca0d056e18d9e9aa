"""The last states of shards, on disk, fenced by epochs.

Whoever takes a shard over claims it, which counts its epoch up; what an owner of before saves later is
refused. A claim and a save of one shard exclude each other by a lock on its folder, also between processes
and machines that share it. What is here outlives a worker, and may be lost with this machine: the engine's
checkpoint is what is taken up after that, so nothing is synced.
"""

import fcntl
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

log = logging.getLogger("aiops.store")

EPOCH = "epoch"
KEEP = 2
"""States kept of a shard: when the newest is damaged, the one before it serves."""


class Fenced(Exception):
    """Another has claimed the shard since; what was to be saved is not."""


class ShardFiles:
    """One folder a shard. Every method raises OSError when the disk refuses."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def claim(self, shard: int, least: int = 0) -> int:
        """The epoch of whoever owns `shard` from now on: higher than all before, and than `least`."""
        with self._locked(shard) as place:
            epoch = max(_epoch(place), least) + 1
            _write(place / EPOCH, str(epoch).encode())
            return epoch

    def save(self, shard: int, epoch: int, tick: int, blob: NDArray[np.uint8]) -> None:
        """Keep `blob`, the state after order `tick`. Raises `Fenced`, changing nothing."""
        with self._locked(shard) as place:
            now = _epoch(place)
            if now != epoch:
                raise Fenced(f"shard {shard} belongs to epoch {now}, and epoch {epoch} would save it")
            _write(place / f"{tick:016d}.state", np.ascontiguousarray(blob).data)
            for old in _states(place)[:-KEEP]:
                old.unlink(missing_ok=True)

    def states(self, shard: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """(tick, blob) of what is kept, newest first; the caller knows how to tell a damaged one."""
        for path in reversed(_states(self._place(shard))):
            yield int(path.stem), np.fromfile(path, np.uint8)

    def clear(self, shard: int) -> None:
        """Forget the states, not the epoch: another sequence of orders begins."""
        with self._locked(shard) as place:
            for path in _states(place):
                path.unlink(missing_ok=True)

    def _place(self, shard: int) -> Path:
        return self.folder / f"{shard:05d}"

    @contextmanager
    def _locked(self, shard: int) -> Iterator[Path]:
        place = self._place(shard)
        place.mkdir(parents=True, exist_ok=True)
        with (place / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield place


def _states(place: Path) -> list[Path]:
    return sorted(place.glob("[0-9]*.state"))


def _epoch(place: Path) -> int:
    try:
        return int((place / EPOCH).read_text())
    except FileNotFoundError:
        return 0


def _write(path: Path, data: bytes | memoryview) -> None:
    aside = path.with_suffix(".writing")
    aside.write_bytes(data)
    aside.replace(path)
