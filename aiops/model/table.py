"""An open-addressing hash table of slots in one numpy array: 8 to 16 bytes a slot, where a dict takes 100."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

_EMPTY, _GONE = -1, -2
_SMALLEST = 64

Slots: TypeAlias = NDArray[np.int32]
Hashes: TypeAlias = NDArray[np.uint64]


class SlotTable:
    """64-bit hash -> slot, linear probing, at most half full. The hashes stay with the owner, by slot."""

    def __init__(self) -> None:
        self._cells = np.full(_SMALLEST, _EMPTY, np.int32)
        self._view = self._cells.data
        self._used = 0
        """Cells that are not empty; those of removed slots count."""

    def find(self, key: int, hashes: memoryview, same: Callable[[int], bool]) -> int:
        """The slot of hash `key` for which `same` holds; -1 when there is none."""
        view = self._view
        mask = len(view) - 1
        cell = key & mask
        while (slot := view[cell]) != _EMPTY:
            if slot >= 0 and hashes[slot] == key and same(slot):
                return int(slot)
            cell = (cell + 1) & mask
        return -1

    def find_all(
        self, keys: Hashes, hashes: Hashes, same: Callable[[Slots, NDArray[np.int64]], NDArray[np.bool_]]
    ) -> Slots:
        """`find` for many keys; ``same(slots, which)`` tells where the slots are those of ``keys[which]``."""
        found = np.full(len(keys), -1, np.int32)
        which, cells = np.arange(len(keys)), self._home(keys)
        while len(which):
            slots = self._cells[cells]
            taken = np.flatnonzero(slots >= 0)
            maybe = taken[hashes[slots[taken]] == keys[which[taken]]]
            right = maybe[same(slots[maybe], which[maybe])]
            found[which[right]] = slots[right]
            go_on = slots != _EMPTY
            go_on[right] = False
            which, cells = which[go_on], (cells[go_on] + 1) & (len(self._cells) - 1)
        return found

    def full(self, more: int) -> bool:
        """Whether `rebuild` must come before `more` are added."""
        return 2 * (self._used + more) > len(self._cells)

    def add(self, key: int, slot: int) -> None:
        """Enter a slot that is not in it."""
        view = self._view
        mask = len(view) - 1
        cell = key & mask
        while view[cell] >= 0:
            cell = (cell + 1) & mask
        self._used += view[cell] == _EMPTY
        view[cell] = slot

    def add_all(self, slots: Slots, hashes: Hashes) -> None:
        """Enter slots that are not in it; ``hashes`` by slot."""
        cells = self._home(hashes[slots])
        while len(slots):
            there = self._cells[cells]
            free, empty = there < 0, there == _EMPTY
            self._cells[cells[free]] = slots[free]
            entered = self._cells[cells] == slots
            self._used += int(np.count_nonzero(entered & empty))
            slots, cells = slots[~entered], (cells[~entered] + 1) & (len(self._cells) - 1)

    def remove(self, slots: Slots, hashes: Hashes) -> None:
        """Take out slots that are in it; ``hashes`` by slot."""
        cells = self._home(hashes[slots])
        while len(slots):
            here = self._cells[cells] == slots
            self._cells[cells[here]] = _GONE
            slots, cells = slots[~here], (cells[~here] + 1) & (len(self._cells) - 1)

    def rebuild(self, slots: Slots, hashes: Hashes, more: int) -> None:
        """Hold exactly `slots`, with room for `more` and for as many again; ``hashes`` by slot."""
        size = _SMALLEST
        while size < 4 * (len(slots) + more):
            size *= 2
        self._cells = np.full(size, _EMPTY, np.int32)
        self._view = self._cells.data
        # in the order of their homes each lies at its own or right behind the one before: no probing
        homes = self._home(hashes[slots]) << 32 | slots
        homes.sort()  # three times as quick as to sort places
        order, rank = (homes & (1 << 32) - 1).astype(np.int32), np.arange(len(slots))
        cells = rank + np.maximum.accumulate((homes >> 32) - rank)
        fits = int(np.searchsorted(cells, size))
        self._cells[cells[:fits]] = order[:fits]
        self._used = fits
        self.add_all(order[fits:], hashes)

    def _home(self, keys: Hashes) -> NDArray[np.int64]:
        return (keys & np.uint64(len(self._cells) - 1)).astype(np.int64)
