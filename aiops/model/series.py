"""Series and their slots: a label set owns one row in every columnar state."""

from array import array
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from aiops.model.pairs import Pairs
from aiops.model.selector import Selector
from aiops.model.table import SlotTable

Labels: TypeAlias = tuple[tuple[str, str], ...]
"""Sorted (name, value) pairs, the metric name under ``__name__``; hashable, so it is its own identity."""

NAME = "__name__"

_FREE = -1
_CHUNK = 1 << 16
"""Series looked through at a time: bounds what a search takes beside the index."""
_SAVED = ("start", "count", "room", "hash", "seen")


def labels_of(mapping: Mapping[str, str] | Iterable[tuple[str, str]]) -> Labels:
    """The canonical label set; empty values are dropped, as Prometheus does."""
    pairs = mapping.items() if isinstance(mapping, Mapping) else mapping
    return tuple(sorted((k, v) for k, v in pairs if v != ""))


def fingerprint(labels: Labels) -> str:
    """16 hex digits that name a label set in URLs, rows and logs."""
    digest = blake2b(digest_size=8)
    for key, value in labels:
        digest.update(f"{key}\x00{value}\x01".encode())
    return digest.hexdigest()


def text_of(labels: Labels) -> str:
    """``name{key="value", ...}``, as an SRE would type it."""
    name = ""
    inner = []
    for key, value in labels:
        if key == NAME:
            name = value
        else:
            escaped = value.replace("\\", "\\\\").replace('"', '\\"')
            inner.append(f'{key}="{escaped}"')
    return name + ("{" + ", ".join(inner) + "}" if inner else "")


class SeriesIndex:
    """Label set -> slot. Freed slots are reused; a (re)used slot is announced once through `take_fresh`.

    One owner (the engine) mutates it; readers may hold slots only within one step. Takes about 40 bytes a
    series and 4 a label, beside the texts of the labels, each of which is kept once.
    """

    def __init__(self) -> None:
        self._pairs = Pairs()
        self._table = SlotTable()
        self._free, self._fresh = array("i"), array("i")
        self._live = self._capacity = 0
        self._ids = np.zeros(0, np.int32)
        """Rows of ascending pair numbers: slot ``s`` has ``ids[start[s] : start[s] + count[s]]``."""
        self._used = self._wasted = 0
        self._start = np.zeros(0, np.int64)
        self._count, self._room = np.zeros(0, np.int32), np.zeros(0, np.int32)
        self._hash, self._seen = np.zeros(0, np.uint64), np.zeros(0)
        self._generation, self._asked = np.zeros(0, np.uint32), np.zeros(0, np.bool_)
        self._grow(1)

    def __len__(self) -> int:
        return self._live

    @property
    def capacity(self) -> int:
        """Rows that a columnar state needs: the highest slot ever given + 1."""
        return self._capacity

    @property
    def generations(self) -> NDArray[np.uint32]:
        """Per slot, how often it was freed: who keeps slots beyond a step compares."""
        return self._generation

    def slot(self, labels: Labels) -> int:
        """The slot of `labels`, made when it is new."""
        slot = self.find(labels)
        if slot is None:
            slot = self._take(sorted(self._pairs.take(labels)))
        self._asked[slot] = True
        return slot

    def slots(self, many: Iterable[Labels]) -> NDArray[np.int32]:
        return np.fromiter((self.slot(one) for one in many), np.int32)

    def find(self, labels: Labels) -> int | None:
        ids = self._pairs.find(labels)
        if ids is None:
            return None
        ids.sort()
        found = self._table.find(self._pairs.hash(ids), self._hash_view, lambda slot: self._row(slot) == ids)
        return found if found >= 0 else None

    def labels(self, slot: int) -> Labels:
        """Raises KeyError when the slot is free."""
        if not 0 <= slot < self._capacity or self._count[slot] == _FREE:
            raise KeyError(slot)
        return tuple(sorted(self._pairs.pairs(self._row(slot))))

    def live(self) -> NDArray[np.int32]:
        """The slots that are not free, ascending."""
        return np.flatnonzero(self._count[: self._capacity] != _FREE).astype(np.int32)

    def select(self, selector: Selector) -> NDArray[np.int32]:
        """The slots whose labels match, ascending."""
        found = self.live()
        for matcher in selector.matchers:
            named, right = self._pairs.matching(matcher)
            without = matcher.matches({})
            kept = [part[self._match(part, named, right, without)] for part in _chunks(found)]
            found = np.concatenate(kept) if kept else found
        return found

    def items(self) -> Iterable[tuple[int, Labels]]:
        return ((slot, self.labels(slot)) for slot in self.live().tolist())

    def take_fresh(self) -> NDArray[np.int32]:
        """Slots given since the last call: every columnar state must reset these rows before use."""
        fresh, self._fresh = self._fresh, array("i")
        return np.array(fresh, np.int32)

    def expect(self, slots: NDArray[np.int32]) -> None:
        """As if each had been asked for by its labels: samples are on their way."""
        self._asked[slots] = True

    def touch(self, slots: NDArray[np.int32], now: float) -> None:
        """Note that `slots` had samples at `now` (seconds since the epoch)."""
        self._seen[slots] = np.maximum(self._seen[slots], now)

    def last_seen(self, slot: int) -> float:
        return float(self._seen[slot]) if slot < self._capacity else 0.0

    def evict(self, before: float) -> list[Labels]:
        """Free every slot not seen since `before` (seconds since the epoch); returns what went.

        One that was asked for since the last call stays: its samples may still be on their way.
        """
        live = self.live()
        gone = live[(self._seen[live] < before) & ~self._asked[live]]
        self._asked[:] = False
        if not len(gone):
            return []
        labels = [self.labels(slot) for slot in gone.tolist()]
        self._table.remove(gone, self._hash)
        self._count[gone], self._seen[gone] = _FREE, 0.0
        self._generation[gone] += np.uint32(1)
        self._free.frombytes(gone.tobytes())
        self._live -= len(gone)
        self._tidy()
        return labels

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All of it as arrays, for a checkpoint; `restore` of them gives the same slots."""
        rows = {name: getattr(self, f"_{name}")[: self._capacity].copy() for name in _SAVED}
        return {**self._pairs.arrays(), "ids": self._ids[: self._used].copy(), **rows}

    def snapshot(self) -> dict[str, Any]:
        """`arrays` as JSON-able lists."""
        return {name: array.tolist() for name, array in self.arrays().items()}

    @classmethod
    def restore(cls, data: Mapping[str, Any]) -> "SeriesIndex":
        """From `arrays` or `snapshot`. Raises ValueError when it is neither."""
        index = cls()
        index._pairs = Pairs.restore(np.asarray(data["text"], np.uint8), np.asarray(data["ends"], np.int64))
        index._ids = np.array(data["ids"], np.int32)
        index._capacity, index._used = len(data["count"]), len(index._ids)
        index._grow(index._capacity)
        for name in _SAVED:
            column = getattr(index, f"_{name}")
            column[: index._capacity] = np.asarray(data[name], column.dtype)
        index._check()
        index._look()
        live = index.live()
        index._live = len(live)
        free = np.flatnonzero(index._count[: index._capacity] == _FREE)
        index._free.frombytes(free.astype(np.int32).tobytes())
        index._table.rebuild(live, index._hash)
        return index

    def _check(self) -> None:
        """Raises ValueError when a row would lie outside of the numbers, or a number outside of the pairs."""
        room = self._room.astype(np.int64)
        inside = (self._start >= 0) & (self._count <= room) & (self._start + room <= self._used)
        known = not self._used or 0 <= self._ids.min() <= self._ids.max() < len(self._pairs)
        if not (inside.all() and known):
            raise ValueError("the rows of labels do not fit the labels")

    def _take(self, ids: list[int]) -> int:
        """A slot for a new row of pairs."""
        slot = self._free.pop() if self._free else self._capacity
        self._capacity = max(self._capacity, slot + 1)
        self._grow(self._capacity)
        self._place(slot, ids)
        key = self._hash_view[slot] = self._pairs.hash(ids)
        self._live += 1
        self._fresh.append(slot)
        if self._table.full():
            self._table.rebuild(self.live(), self._hash)
        else:
            self._table.add(key, slot)
        return slot

    def _place(self, slot: int, ids: list[int]) -> None:
        """Write a row where the slot's former row was, if it fits, else at the end."""
        if len(ids) > self._room[slot]:
            self._wasted += int(self._room[slot])
            self._start[slot], self._room[slot] = self._used, len(ids)
            self._used += len(ids)
            if self._used > len(self._ids):
                self._ids = _grown(self._ids, self._used)
                self._look()
        start = self._start_view[slot]
        self._ids[start : start + len(ids)] = ids
        self._count[slot] = len(ids)

    def _row(self, slot: int) -> list[int]:
        start = self._start_view[slot]
        return self._id_view[start : start + self._count_view[slot]].tolist()

    def _flat(self, slots: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """The rows of `slots` end to end, and where each begins; one more at the end."""
        count = self._count[slots].astype(np.int64)
        begins = np.concatenate([np.zeros(1, np.int64), np.cumsum(count)])
        where = np.repeat(self._start[slots] - begins[:-1], count) + np.arange(begins[-1])
        return self._ids[where], begins

    def _match(
        self, slots: NDArray[np.int32], named: NDArray[np.bool_], right: NDArray[np.bool_], without: bool
    ) -> NDArray[np.bool_]:
        ids, begins = self._flat(slots)
        bears, fits = (np.concatenate([[0], np.cumsum(flags[ids])])[begins] for flags in (named, right))
        found: NDArray[np.bool_] = (np.diff(fits) > 0) | ((np.diff(bears) == 0) & without)
        return found

    def _tidy(self) -> None:
        """After an eviction: forget pairs that no series uses, and close gaps once they are a quarter."""
        used, live = np.zeros(len(self._pairs), np.bool_), self.live()
        for part in _chunks(live):
            used[self._flat(part)[0]] = True
        self._pairs.keep(used)
        if 4 * self._wasted > self._used:
            rows = [self._flat(part)[0] for part in _chunks(live)]
            self._ids = np.concatenate(rows) if rows else np.zeros(0, np.int32)
            self._room[:] = np.maximum(self._count, 0)
            self._start[:] = np.cumsum(self._room, dtype=np.int64) - self._room
            self._used, self._wasted = len(self._ids), 0
            self._look()

    def _grow(self, capacity: int) -> None:
        """Room for `capacity` slots."""
        had = len(self._count)
        if capacity <= had:
            return
        for name in ("_start", "_count", "_room", "_hash", "_seen", "_generation", "_asked"):
            setattr(self, name, _grown(getattr(self, name), capacity))
        self._count[had:] = _FREE
        self._look()

    def _look(self) -> None:
        """Views for single values, which numpy is slow at; to be taken again when an array was replaced."""
        self._id_view, self._start_view = self._ids.data, self._start.data
        self._count_view, self._hash_view = self._count.data, self._hash.data


def _chunks(slots: NDArray[np.int32]) -> Iterable[NDArray[np.int32]]:
    return (slots[at : at + _CHUNK] for at in range(0, len(slots), _CHUNK))


def _grown(array: NDArray[Any], size: int) -> NDArray[Any]:
    """With room for half as many again, zero; pages that are not written take no memory."""
    bigger = np.zeros(max(64, size, len(array) * 3 // 2), array.dtype)
    bigger[: len(array)] = array
    return bigger
