"""What a decoder remembers of each series it has met: its spelling, what came last, what comes next."""

import secrets
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiops.wire._bytes import cached, compiled, u8

GAUGE, COUNTER, BUCKET, IGNORED = range(4)

TRACK = np.dtype(
    [
        ("hash", np.uint64),  # of the bytes that spell its labels; 0 = the track is free
        ("time", np.int64),  # ms of the last sample that counted; 0 = none yet
        ("value", np.float64),  # of the last sample; NaN = a rate cannot start from it
        ("slot", np.int32),  # of a bucket: its place in the group
        ("group", np.int32),  # of a bucket: its histogram
        ("next", np.int32),  # the track that followed it last time
        ("length", np.int32),  # of the bytes that spell its labels
        ("kind", np.int32),
        ("generation", np.uint32),  # of the slot, when it was given
    ]
)
"""48 bytes, of which a sample touches all: one row together, so that a series costs one place in memory."""

_EMPTY = -1


class Tracks:
    """Spelling -> track, by a seeded 64-bit hash of the bytes; equal hashes count as equal spellings."""

    def __init__(self) -> None:
        self.rows: NDArray[Any] = np.zeros(64, TRACK)
        self.cells = np.full(256, _EMPTY, np.int32)
        self.seed = np.uint64(secrets.randbits(64))
        self.used = 0
        """Rows ever given; free ones among them are in `_free`."""
        self._free = np.zeros(0, np.int32)

    def __len__(self) -> int:
        return self.used - len(self._free)

    def add(self, hashes: NDArray[np.uint64], lengths: NDArray[np.int32]) -> NDArray[np.int32]:
        """Tracks for new spellings, distinct and not in it; the rest of each row is to be filled in."""
        reused, self._free = np.split(self._free, [min(len(hashes), len(self._free))])
        fresh = np.arange(self.used, self.used + len(hashes) - len(reused), dtype=np.int32)
        self.used += len(fresh)
        if self.used > len(self.rows):
            bigger = np.zeros(max(self.used, len(self.rows) * 3 // 2), TRACK)
            bigger[: len(self.rows)] = self.rows
            self.rows = bigger
        refs = np.concatenate([reused, fresh])
        self.rows[refs] = 0
        self.rows["hash"][refs], self.rows["length"][refs] = hashes, lengths
        self.rows["next"][refs] = _EMPTY
        if 2 * self.used > len(self.cells):
            self._rebuild()
        else:
            enter(self.rows, self.cells, refs)
        return refs

    def drop(self, refs: NDArray[np.int32]) -> None:
        """Forget tracks; others that were to be followed by them find their way again."""
        self.rows["hash"][refs] = 0
        self._free = np.concatenate([self._free, refs.astype(np.int32)])
        self._rebuild()

    def refs(self) -> NDArray[np.int32]:
        """Those that are not free."""
        return np.flatnonzero(self.rows["hash"][: self.used]).astype(np.int32)

    def _rebuild(self) -> None:
        size = 256
        while size < 3 * self.used:
            size *= 2
        self.cells = np.full(size, _EMPTY, np.int32)
        enter(self.rows, self.cells, self.refs())


@compiled
def probe(rows: NDArray[Any], cells: NDArray[np.int32], key: np.uint64) -> int:
    """The track of hash `key`, or -1. At most half the cells are taken, so it ends."""
    mask = u8(len(cells) - 1)
    cell = key & mask
    while cells[cell] >= 0:
        if rows[cells[cell]]["hash"] == key:
            return int(cells[cell])
        cell = (cell + u8(1)) & mask
    return -1


@cached
def enter(rows: NDArray[Any], cells: NDArray[np.int32], refs: NDArray[np.int32]) -> None:
    mask = u8(len(cells) - 1)
    for ref in refs:
        cell = rows[ref]["hash"] & mask
        while cells[cell] >= 0:
            cell = (cell + u8(1)) & mask
        cells[cell] = ref


@cached
def find_all(
    rows: NDArray[Any], cells: NDArray[np.int32], keys: NDArray[np.uint64], refs: NDArray[np.int32]
) -> None:
    """`probe` for each of `keys`, into `refs`."""
    for k in range(len(keys)):
        refs[k] = probe(rows, cells, keys[k])
