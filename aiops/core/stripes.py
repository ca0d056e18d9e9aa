"""Which shard a slot belongs to, and where it is in there: stripes of slots are dealt out in turn."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from aiops.model.rows import run_of

WIDTH = 512
"""Slots of a stripe; whole blocks of lanes, as those of a block learn their half hour together."""

Where: TypeAlias = "NDArray[np.int64] | list[slice]"


@dataclass(frozen=True, slots=True)
class Part:
    """Those of a frame's slots that are of one shard: there they are `slots`, in the frame `where`."""

    shard: int
    slots: NDArray[np.int32]
    where: Where

    def take(self, row: NDArray[Any]) -> NDArray[Any]:
        """Of ``row[..., S]`` what is of the shard; a copy."""
        if isinstance(self.where, list):
            return np.concatenate([row[..., at] for at in self.where], axis=-1)
        return row[..., self.where]

    def give(self, row: NDArray[Any], part: NDArray[Any]) -> None:
        """Write into ``row[S]`` what the shard says."""
        if not isinstance(self.where, list):
            row[self.where] = part
            return
        start = 0
        for at in self.where:
            stop = start + at.stop - at.start
            row[at] = part[start:stop]
            start = stop


class Stripes:
    """Slots dealt out to `count` shards."""

    def __init__(self, count: int) -> None:
        self.count = count

    def shard(self, slot: int) -> int:
        return slot // WIDTH % self.count

    def local(self, slot: int) -> int:
        """Where `slot` is in its shard."""
        return slot // (WIDTH * self.count) * WIDTH + slot % WIDTH

    def whole(self, shard: int, local: NDArray[np.int32]) -> NDArray[np.int32]:
        """The slots that are `local` in `shard`."""
        found = (local // WIDTH * self.count + shard) * WIDTH + local % WIDTH
        return found.astype(np.int32)

    def parts(self, slots: NDArray[np.int32]) -> list[Part]:
        """`slots` by shard, in the order of shards; those without any are left out."""
        run = run_of(slots)
        if isinstance(run, slice):
            return self._of_run(run.start, run.stop)
        owners = slots // WIDTH % self.count
        found = []
        for shard in np.unique(owners).tolist():
            where = np.flatnonzero(owners == shard)
            mine = slots[where]
            local = (mine // (WIDTH * self.count) * WIDTH + mine % WIDTH).astype(np.int32)
            found.append(Part(shard, local, where))
        return found

    def _of_run(self, start: int, stop: int) -> list[Part]:
        """Of a run of slots all is made of slices."""
        edges = [start, *range((start // WIDTH + 1) * WIDTH, stop, WIDTH), stop]
        where: dict[int, list[slice]] = {}
        local: dict[int, list[NDArray[np.int32]]] = {}
        for low, high in pairwise(edges):
            shard, first = self.shard(low), self.local(low)
            where.setdefault(shard, []).append(slice(low - start, high - start))
            local.setdefault(shard, []).append(np.arange(first, first + high - low, dtype=np.int32))
        return [Part(shard, np.concatenate(local[shard]), where[shard]) for shard in sorted(where)]
