"""Series and their slots: a label set owns one row in every columnar state."""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiops.model.labels import NAME as NAME
from aiops.model.labels import Labels as Labels
from aiops.model.labels import fingerprint as fingerprint
from aiops.model.labels import labels_of as labels_of
from aiops.model.labels import text_of as text_of
from aiops.model.pairs import Pairs
from aiops.model.rows import CHUNK, FREE, Rows, all_distinct, ascending, equal, grown, run_of, some_of
from aiops.model.selector import Selector
from aiops.model.table import SlotTable


class SeriesIndex:
    """Label set -> slot. Freed slots are reused; a (re)used slot is announced once through `take_fresh`.

    One owner (the engine) mutates it; readers may hold slots only within one step. Takes about 50 bytes a
    series and 4 a label, beside the texts of the labels, each of which is kept once.
    """

    def __init__(self) -> None:
        self.pairs = Pairs()
        self._rows = Rows()
        """The numbers of each slot's pairs, ascending."""
        self._table = SlotTable()
        self._free, self._fresh = array("i"), array("i")
        self._live = self._capacity = 0
        self._hash, self._seen = np.zeros(0, np.uint64), np.zeros(0)
        self._hash_view = self._hash.data
        self._name = np.zeros(0, np.int32)
        """The number of each slot's metric name; -1 where it has none. Most selectors ask for it."""
        self._asked, self._generation = np.zeros(0, np.bool_), np.zeros(0, np.uint32)
        self.evictions = 0
        """How often `evict` freed slots; numbers of `pairs` do not outlive it either."""

    def __len__(self) -> int:
        return self._live

    @property
    def capacity(self) -> int:
        """Rows that a columnar state needs: the highest slot ever given + 1."""
        return self._capacity

    def slot(self, labels: Labels) -> int:
        """The slot of `labels`, made when it is new."""
        slot = self.find(labels)
        if slot is None:
            slot = self._take(sorted(self.pairs.take(labels)))
        self._asked[slot] = True
        return slot

    def slots(self, many: Iterable[Labels]) -> NDArray[np.int32]:
        return np.fromiter((self.slot(one) for one in many), np.int32)

    def slots_of(self, ids: NDArray[np.int32], begins: NDArray[np.int64]) -> NDArray[np.int32]:
        """The slots of label sets in numbers of `pairs`, made where they are new.

        Set ``k`` is ``ids[begins[k] : begins[k + 1]]``, distinct and of distinct names, in any order.
        """
        ids = ascending(ids, begins)
        totals = np.concatenate([np.zeros(1, np.uint64), np.cumsum(self.pairs.hashes(ids), dtype=np.uint64)])
        keys = np.diff(totals[begins])
        if all_distinct(keys):
            return self._slots_of(keys, ids, begins)
        keys, first, back = np.unique(keys, return_index=True, return_inverse=True)
        # neighbours stay neighbours: a compiled step is quick where slots that come together lie together
        order = np.argsort(first)
        found = np.empty(len(order), np.int32)
        found[order] = self._slots_of(keys[order], *some_of(ids, begins, first[order]))
        return found[back]

    def _slots_of(
        self, keys: NDArray[np.uint64], ids: NDArray[np.int32], begins: NDArray[np.int64]
    ) -> NDArray[np.int32]:
        """`slots_of` sets that differ, their numbers ascending."""

        def same(slots: NDArray[np.int32], which: NDArray[np.int64]) -> NDArray[np.bool_]:
            return equal(*self._rows.flat(slots), *some_of(ids, begins, which))

        found = self._table.find_all(keys, self._hash, same)
        new = np.flatnonzero(found < 0)
        some = (ids, begins) if len(new) == len(keys) else some_of(ids, begins, new)
        found[new] = self._take_all(keys[new], *some)
        self._asked[found] = True
        return found

    def find(self, labels: Labels) -> int | None:
        ids = self.pairs.find(labels)
        if ids is None:
            return None
        ids.sort()
        found = self._table.find(
            self.pairs.hash(ids), self._hash_view, lambda slot: self._rows.row(slot) == ids
        )
        return found if found >= 0 else None

    def labels(self, slot: int) -> Labels:
        """Raises KeyError when the slot is free."""
        if not 0 <= slot < self._capacity or self._rows.count[slot] == FREE:
            raise KeyError(slot)
        return tuple(sorted(self.pairs.pairs(self._rows.row(slot))))

    def hashes(self, slots: NDArray[np.int32]) -> NDArray[np.uint64]:
        """Of the label sets of `slots`: each the sum of the hashes of its `pairs`."""
        return self._hash[slots]

    def live(self) -> NDArray[np.int32]:
        """The slots that are not free, ascending."""
        if self._live == self._capacity:  # as after a first contact, or none that went
            return np.arange(self._capacity, dtype=np.int32)
        return self._rows.live(self._capacity)

    def generations(self, slots: NDArray[np.int32]) -> NDArray[np.uint32]:
        """How often each of `slots` was freed: who keeps slots compares, once `evictions` has moved."""
        return self._generation[slots]

    def select(self, selector: Selector) -> NDArray[np.int32]:
        """The slots whose labels match, ascending."""
        live = self.live()
        return live[self.matches(live, selector)]

    def matches(self, slots: NDArray[np.int32], selector: Selector) -> NDArray[np.bool_]:
        """Which of `slots` have labels that match; one that is free does not."""
        right: NDArray[np.bool_] = self._rows.count[slots] != FREE
        if not right.all():
            right[right] = self.matches(slots[right], selector)
            return right
        for matcher in selector.matchers:
            if not right.any():
                break
            own = self._name[slots] if matcher.label == NAME else self.bearing(slots, [matcher.label])[0]
            right &= self.pairs.fulfil(own, matcher)
        return right

    def bearing(self, slots: NDArray[np.int32], labels: Sequence[str]) -> NDArray[np.int32]:
        """``[label, slot]``: the number in `pairs` of what each of `slots`, none free, has; -1: none."""
        found = np.full((len(labels), len(slots)), -1, np.int32)
        for at in range(0, len(slots), CHUNK):
            ids, begins = self._rows.flat(slots[at : at + CHUNK])
            which = self.pairs.which(ids, labels)
            where, count = np.flatnonzero(which >= 0), np.diff(begins)
            if len(count) and (count == count[0]).all():  # as most exporters have it: no list of rows
                row = where // count[0] + at
            else:
                row = np.repeat(np.arange(at, at + len(count), dtype=np.int32), count)[where]
            found[which[where], row] = ids[where]
        return found

    def sums(self, slots: NDArray[np.int32], weights: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Of each of `slots`, none free, the sum of the ``weights[number in pairs]`` of its labels."""
        found = np.empty(len(slots), np.uint64)
        for at in range(0, len(slots), CHUNK):
            ids, begins = self._rows.flat(slots[at : at + CHUNK])
            totals = np.zeros(len(ids) + 1, np.uint64)
            np.cumsum(weights[ids], out=totals[1:])
            found[at : at + CHUNK] = np.diff(totals[begins])
        return found

    def alike(
        self, slots: NDArray[np.int32], labels: Sequence[str]
    ) -> tuple[list[Labels], NDArray[np.int64]]:
        """What `slots`, none free, bear of `labels`: each set once, and which of them each slot has."""
        bearing = self.bearing(slots, labels)
        keys = np.where(bearing >= 0, self.pairs.hashes(bearing), np.uint64(0)).sum(0, dtype=np.uint64)
        _, first, which = np.unique(keys, return_index=True, return_inverse=True)
        found = (sorted(self.pairs.pairs(column[column >= 0].tolist())) for column in bearing[:, first].T)
        return [tuple(one) for one in found], which

    def items(self) -> Iterable[tuple[int, Labels]]:
        return ((slot, self.labels(slot)) for slot in self.live().tolist())

    def take_fresh(self) -> NDArray[np.int32]:
        """Slots given since the last call: every columnar state must reset these rows before use."""
        fresh, self._fresh = self._fresh, array("i")
        return np.array(fresh, np.int32)

    def expect(self, slots: NDArray[np.int32]) -> None:
        """As if each had been asked for by its labels: samples are on their way."""
        self._asked[run_of(slots)] = True

    def touch(self, slots: NDArray[np.int32], now: float) -> None:
        """Note that `slots` had samples at `now` (seconds since the epoch)."""
        at = run_of(slots)
        self._seen[at] = np.maximum(self._seen[at], now)

    def last_seen(self, slot: int) -> float:
        return float(self._seen[slot]) if slot < self._capacity else 0.0

    def evict(self, before: float) -> NDArray[np.int32]:
        """Free every slot not seen since `before` (seconds since the epoch); returns them.

        One that was asked for since the last call stays: its samples may still be on their way.
        """
        live = self.live()
        gone = live[(self._seen[live] < before) & ~self._asked[live]]
        self._asked[:] = False
        if not len(gone):
            return gone
        self._live -= len(gone)
        if 4 * len(gone) < len(live):
            self._table.remove(gone, self._hash)
            self._rows.clear(gone)
        else:  # no longer than to take so many out, and no cell of theirs is left to pass by
            self._rows.clear(gone)
            self._table.rebuild(self.live(), self._hash, 0)
        self._seen[gone] = 0.0
        self._generation[gone] += np.uint32(1)
        self._free.frombytes(gone.tobytes())
        self.evictions += 1
        self.pairs.keep(self._rows.tidy(self.live(), len(self.pairs)))
        return gone

    def part(self, start: int, stop: int) -> dict[str, NDArray[Any]]:
        """Copies of what is known of the slots from `start` to `stop`, without the texts of `pairs`."""
        columns = {"hash": self._hash[start:stop].copy(), "seen": self._seen[start:stop].copy()}
        return self._rows.part(start, stop) | columns

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All of it as arrays, for a checkpoint; `restore` of them gives the same slots."""
        return self.pairs.arrays() | self.part(0, self._capacity)

    @classmethod
    def restore(cls, data: Mapping[str, Any]) -> "SeriesIndex":
        """From `arrays`, its own from then on. Raises ValueError or LookupError when it is not that."""
        index = cls()
        index.pairs = Pairs.restore(data["text"], data["ends"], data.get("hashes"))
        index._rows = Rows.restore(data["ids"], data["count"], len(index.pairs))
        index._capacity = len(data["count"])
        index._hash = np.require(data["hash"], np.uint64, ["W"])
        index._seen = np.require(data["seen"], np.float64, ["W"])
        if not len(index._hash) == len(index._seen) == index._capacity:
            raise ValueError("the columns of the index differ in length")
        index._asked = np.zeros(index._capacity, np.bool_)
        index._generation = np.zeros(index._capacity, np.uint32)
        index._hash_view = index._hash.data
        live = index.live()
        index._name = np.full(index._capacity, -1, np.int32)
        index._name[live] = index.bearing(live, [NAME])[0]
        index._live = len(live)
        free = np.ones(index._capacity, np.bool_)
        free[live] = False
        index._free.frombytes(np.flatnonzero(free).astype(np.int32).tobytes())
        index._table.rebuild(live, index._hash, 0)
        return index

    def _take(self, ids: list[int]) -> int:
        """A slot for a new row of pairs."""
        slot = self._free.pop() if self._free else self._capacity
        self._capacity = max(self._capacity, slot + 1)
        self._grow(self._capacity)
        if self._table.full(1):
            self._table.rebuild(self.live(), self._hash, 1)
        self._rows.put(slot, ids)
        self._name[slot] = self.pairs.bearer(ids, NAME)
        key = self._hash_view[slot] = self.pairs.hash(ids)
        self._table.add(key, slot)
        self._live += 1
        self._fresh.append(slot)
        return slot

    def _take_all(
        self, keys: NDArray[np.uint64], ids: NDArray[np.int32], begins: NDArray[np.int64]
    ) -> NDArray[np.int32]:
        """Slots for new rows of pairs."""
        reused = min(len(keys), len(self._free))
        slots = np.arange(self._capacity - reused, self._capacity - reused + len(keys), dtype=np.int32)
        if reused:
            slots[:reused] = np.sort(np.array(self._free[-reused:], np.int32))
            del self._free[-reused:]
        self._capacity += len(keys) - reused
        self._grow(self._capacity)
        if self._table.full(len(keys)):
            self._table.rebuild(self.live(), self._hash, len(keys))
        self._rows.put_all(slots, ids, begins)
        named = np.flatnonzero(self.pairs.which(ids, [NAME]) >= 0)
        self._name[slots] = -1
        self._name[slots[np.searchsorted(begins, named, "right") - 1]] = ids[named]
        self._hash[slots] = keys
        self._table.add_all(slots, self._hash)
        self._live += len(keys)
        self._fresh.frombytes(slots.tobytes())
        return slots

    def _grow(self, capacity: int) -> None:
        """Room for `capacity` slots."""
        if capacity > len(self._hash):
            self._hash, self._seen = grown(self._hash, capacity), grown(self._seen, capacity)
            self._asked, self._generation = grown(self._asked, capacity), grown(self._generation, capacity)
            self._name = grown(self._name, capacity)
            self._hash_view = self._hash.data
        self._rows.grow(capacity)
