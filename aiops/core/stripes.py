"""Which shard a slot belongs to, and where it is in there: stripes of slots are dealt out in turn."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from aiops.model.rows import run_of

WIDTH = 512
"""Slots of a stripe; whole blocks of lanes, as those of a block learn their half hour together."""


@dataclass(frozen=True, slots=True)
class Comb:
    """Whole stripes at equal distances: `teeth` of them, the first at `start`, one every `period`."""

    start: int
    teeth: int
    period: int

    def of(self, row: NDArray[Any]) -> NDArray[Any]:
        """A view of ``row[..., S]``: ``[..., teeth, WIDTH]``."""
        step = row.strides[-1]
        return as_strided(
            row[..., self.start :],
            (*row.shape[:-1], self.teeth, WIDTH),
            (*row.strides[:-1], self.period * step, step),
        )


Where: TypeAlias = "NDArray[np.int64] | list[slice | Comb]"


@dataclass(frozen=True, slots=True)
class Part:
    """Those of a frame's slots that are of one shard: there they are `slots`, in the frame `where`."""

    shard: int
    slots: NDArray[np.int32]
    where: Where

    def take(self, row: NDArray[Any]) -> NDArray[Any]:
        """Of ``row[..., S]`` what is of the shard; a copy."""
        if not isinstance(self.where, list):
            return row[..., self.where]
        parts = [
            at.of(row).reshape(*row.shape[:-1], -1) if isinstance(at, Comb) else row[..., at]
            for at in self.where
        ]
        return parts[0].copy() if len(parts) == 1 else np.concatenate(parts, axis=-1)

    def give(self, row: NDArray[Any], part: NDArray[Any]) -> None:
        """Write into ``row[S]`` what the shard says."""
        if not isinstance(self.where, list):
            row[self.where] = part
            return
        start = 0
        for at in self.where:
            many = at.teeth * WIDTH if isinstance(at, Comb) else at.stop - at.start
            told, start = part[start : start + many], start + many
            if isinstance(at, Comb):
                at.of(row)[...] = told.reshape(at.teeth, WIDTH)
            else:
                row[at] = told


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
            found.append(Part(shard, self._locals(mine), where))
        return found

    def _locals(self, slots: NDArray[np.int32]) -> NDArray[np.int32]:
        """As `local`, of many."""
        return (slots // (WIDTH * self.count) * WIDTH + slots % WIDTH).astype(np.int32)

    def _of_run(self, start: int, stop: int) -> list[Part]:
        """Of a run of slots: a beginning of a stripe, whole ones, and an end."""
        period, found, run = WIDTH * self.count, [], np.arange(start, stop, dtype=np.int32)
        for shard in range(self.count):
            first = shard * WIDTH + max(0, (start - shard * WIDTH) // period) * period
            where: list[slice | Comb] = []
            low = max(first, start)
            if low < min(first + WIDTH, stop) and (low > first or first + WIDTH > stop):
                where.append(slice(low - start, min(first + WIDTH, stop) - start))
            whole = first if low == first else first + period
            teeth = max(0, (stop - whole - WIDTH) // period + 1)
            if teeth:
                where.append(Comb(whole - start, teeth, period))
            last = whole + teeth * period
            if last < stop and (teeth or last != first):
                where.append(slice(last - start, stop - start))
            if where:
                mine = Part(shard, run, where).take(run)
                found.append(Part(shard, self._locals(mine), where))
        return found
