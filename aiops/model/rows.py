"""Rows of small numbers, one a slot, end to end in one array."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

FREE = -1
"""The count of a slot that has no row; an empty row is one."""

CHUNK = 1 << 15
"""Rows gathered at a time: bounds what a search takes beside the rows, and keeps it in the cache."""


class Rows:
    """Slot ``s`` has ``ids[start[s] : start[s] + count[s]]``; a freed slot keeps its room."""

    def __init__(self) -> None:
        self.ids = np.zeros(0, np.int32)
        self.start = np.zeros(0, np.int64)
        self.count, self.room = np.zeros(0, np.int32), np.zeros(0, np.int32)
        self._used = self._wasted = 0
        self._look()

    def grow(self, capacity: int) -> None:
        """Room for `capacity` slots."""
        had = len(self.count)
        if capacity > had:
            self.start, self.room = grown(self.start, capacity), grown(self.room, capacity)
            self.count = grown(self.count, capacity)
            self.count[had:] = FREE
            self._look()

    def row(self, slot: int) -> list[int]:
        start = self._start_view[slot]
        return self._id_view[start : start + self._count_view[slot]].tolist()

    def put(self, slot: int, ids: list[int]) -> None:
        """Write one row."""
        if len(ids) > self._room_view[slot]:
            self._append(np.array([slot], np.int32), np.array([len(ids)], np.int32))
        start = self._start_view[slot]
        self.ids[start : start + len(ids)] = ids
        self._count_view[slot] = len(ids)

    def put_all(self, slots: NDArray[np.int32], ids: NDArray[np.int32], begins: NDArray[np.int64]) -> None:
        """Write many rows: slot ``slots[k]`` gets ``ids[begins[k] : begins[k + 1]]``."""
        count = np.diff(begins).astype(np.int32)
        tight = count > self.room[slots]
        if tight.any():
            self._append(slots[tight], count[tight])
        start = self.start[slots]
        if len(slots) and (start - start[0] == begins[:-1]).all():  # as in `flat`
            self.ids[start[0] : start[0] + begins[-1]] = ids
        else:
            self.ids[_spans(start, begins)] = ids
        self.count[slots] = count

    def clear(self, slots: NDArray[np.int32]) -> None:
        self.count[slots] = FREE

    def live(self, capacity: int) -> NDArray[np.int32]:
        """The slots below `capacity` that have a row, ascending."""
        return np.flatnonzero(self.count[:capacity] != FREE).astype(np.int32)

    def flat(self, slots: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """The rows of `slots` end to end, which are not to be written to, and where each begins; one more."""
        start = self.start[slots]
        begins = np.concatenate([np.zeros(1, np.int64), np.cumsum(self.count[slots], dtype=np.int64)])
        if len(slots) and (start - start[0] == begins[:-1]).all():  # as they were written: no gather
            return self.ids[start[0] : start[0] + begins[-1]], begins
        return self.ids[_spans(start, begins)], begins

    def tidy(self, live: NDArray[np.int32], numbers: int) -> NDArray[np.bool_]:
        """Close gaps once they are a quarter; returns which of `numbers` the rows of `live` use."""
        used = np.zeros(numbers, np.bool_)
        for part in chunks(live):
            used[self.flat(part)[0]] = True
        if 4 * self._wasted > self._used:
            rows = [self.flat(part)[0] for part in chunks(live)]
            self.ids = np.concatenate(rows) if rows else np.zeros(0, np.int32)
            self.room[:] = np.maximum(self.count, 0)
            self.start[:] = np.cumsum(self.room, dtype=np.int64) - self.room
            self._used, self._wasted = len(self.ids), 0
            self._look()
        return used

    def part(self, start: int, stop: int) -> dict[str, NDArray[np.int32]]:
        """Copies of the rows from `start` to `stop`: their ``ids`` end to end, and each one's ``count``."""
        count = self.count[start:stop].copy()
        have = np.flatnonzero(count != FREE).astype(np.int32) + np.int32(start)
        return {"ids": self.flat(have)[0].copy(), "count": count}

    @classmethod
    def restore(cls, ids: NDArray[np.int32], count: NDArray[np.int32], numbers: int) -> "Rows":
        """From `part` of all rows. Raises ValueError when they do not fit, or not `numbers`."""
        rows = cls()
        rows.ids, rows.count = np.require(ids, np.int32, ["W"]), np.require(count, np.int32, ["W"])
        rows.room = np.maximum(rows.count, 0)
        rows.start = np.cumsum(rows.room, dtype=np.int64) - rows.room
        rows._used = len(ids)
        known = not len(ids) or 0 <= ids.min() <= ids.max() < numbers
        if not (known and len(ids) == int(rows.room.sum(dtype=np.int64)) and (rows.count >= FREE).all()):
            raise ValueError("the rows of labels do not fit the labels")
        rows._look()
        return rows

    def _append(self, slots: NDArray[np.int32], count: NDArray[np.int32]) -> None:
        """Give `slots` room at the end instead of where they have some."""
        self._wasted += int(self.room[slots].sum())
        ends = self._used + np.cumsum(count, dtype=np.int64)
        self.start[slots], self.room[slots] = ends - count, count
        self._used = int(ends[-1])
        if self._used > len(self.ids):
            self.ids = grown(self.ids, self._used)
            self._look()

    def _look(self) -> None:
        """Views for single values, which numpy is slow at; to be taken again when an array was replaced."""
        self._id_view, self._start_view = self.ids.data, self.start.data
        self._count_view, self._room_view = self.count.data, self.room.data


def run_of(slots: NDArray[np.int32]) -> NDArray[np.int32] | slice:
    """What finds `slots` in a column: a slice where they are a run, which is several times quicker."""
    count = len(slots)
    if count > 1:
        first = slots.item(0)
        if slots.item(-1) - first == count - 1 and np.count_nonzero(slots[1:] > slots[:-1]) == count - 1:
            return slice(first, first + count)
    return slots


def chunks(slots: NDArray[np.int32]) -> Iterable[NDArray[np.int32]]:
    """`slots` in parts that are gathered at a time."""
    return (slots[at : at + CHUNK] for at in range(0, len(slots), CHUNK))


def grown(array: NDArray[Any], size: int) -> NDArray[Any]:
    """With room for half as many again, zero; pages that are not written take no memory."""
    bigger = np.zeros(max(64, size, len(array) * 3 // 2), array.dtype)
    bigger[: len(array)] = array
    return bigger


def _spans(start: NDArray[np.int64], begins: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where the elements of rows that begin at `start` are, end to end."""
    return np.repeat(start - begins[:-1], np.diff(begins)) + np.arange(begins[-1])


def ascending(ids: NDArray[np.int32], begins: NDArray[np.int64]) -> NDArray[np.int32]:
    """Each row sorted by itself."""
    count = np.diff(begins)
    if len(count) and len(ids) and (count == count[0]).all():  # as most exporters have it: a table
        return np.sort(ids.reshape(len(count), -1), axis=1).ravel()
    keys = np.repeat(np.arange(len(count)) << 32, count) | ids
    keys.sort()  # five times as quick as to sort places by two keys
    return (keys & (1 << 32) - 1).astype(np.int32)


def all_distinct(keys: NDArray[np.uint64]) -> bool:
    """Whether none comes twice; numbers are sorted five times as quickly as their places are."""
    ordered = np.sort(keys)
    return not (ordered[1:] == ordered[:-1]).any()


def sums(flags: NDArray[np.bool_], begins: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many flags of each row are set."""
    return np.diff(np.concatenate([np.zeros(1, np.int64), np.cumsum(flags)])[begins])


def some_of(
    ids: NDArray[np.int32], begins: NDArray[np.int64], which: NDArray[np.int64]
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The rows `which` end to end."""
    count = np.diff(begins)[which]
    ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(count)])
    return ids[np.repeat(begins[which] - ends[:-1], count) + np.arange(ends[-1])], ends


def equal(
    one: NDArray[np.int32], begins: NDArray[np.int64], other: NDArray[np.int32], ends: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Which rows are the same."""
    lengths = np.diff(begins) == np.diff(ends)
    if not lengths.all():  # hashes met, lengths do not: about once in 10^19
        return np.array(
            [
                np.array_equal(one[a:b], other[c:d])
                for a, b, c, d in zip(begins, begins[1:], ends, ends[1:], strict=False)
            ]
        )
    same: NDArray[np.bool_] = sums(one != other, begins) == 0
    return same
