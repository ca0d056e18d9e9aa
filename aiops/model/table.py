"""An open-addressing hash table of slots in one numpy array: 8 to 16 bytes a slot, where a dict takes 100."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

_EMPTY, _GONE = -1, -2
_SMALLEST = 64


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

    def full(self) -> bool:
        """Whether `rebuild` must come before the next `add`."""
        return 2 * (self._used + 1) > len(self._cells)

    def add(self, key: int, slot: int) -> None:
        """Enter a slot that is not in it."""
        view = self._view
        mask = len(view) - 1
        cell = key & mask
        while view[cell] >= 0:
            cell = (cell + 1) & mask
        self._used += view[cell] == _EMPTY
        view[cell] = slot

    def remove(self, slots: NDArray[np.int32], hashes: NDArray[np.uint64]) -> None:
        """Take out slots that are in it; ``hashes`` by slot."""
        mask = len(self._cells) - 1
        cells = (hashes[slots] & np.uint64(mask)).astype(np.int64)
        while len(slots):
            here = self._cells[cells] == slots
            self._cells[cells[here]] = _GONE
            slots, cells = slots[~here], (cells[~here] + 1) & mask

    def rebuild(self, slots: NDArray[np.int32], hashes: NDArray[np.uint64]) -> None:
        """Hold exactly `slots`, with room for as many again; ``hashes`` by slot."""
        size = _SMALLEST
        while size < 4 * len(slots):
            size *= 2
        self._cells = np.full(size, _EMPTY, np.int32)
        self._view = self._cells.data
        self._used = len(slots)
        mask = size - 1
        cells = (hashes[slots] & np.uint64(mask)).astype(np.int64)
        while len(slots):
            free = self._cells[cells] == _EMPTY
            self._cells[cells[free]] = slots[free]
            left = self._cells[cells] != slots
            slots, cells = slots[left], (cells[left] + 1) & mask
