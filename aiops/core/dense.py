"""Rows for the few series of an index that one thing watches: an index may have a million."""

import numpy as np
from numpy.typing import NDArray

from aiops.plugin import Column, Columns

Slots = NDArray[np.int32]


class Dense:
    """`rows` has a row for each slot that was asked for; `slots` tells which."""

    def __init__(self, **columns: Column) -> None:
        self.slots = Columns(row=Column(np.int32, -1))
        self.rows = Columns(owner=Column(np.int32, -1), **columns)

    def of(self, slots: Slots) -> Slots:
        """The dense row of each slot; new ones get a free one."""
        if not len(slots):
            return slots
        self.slots.ensure(int(slots.max()) + 1)
        row, owner = self.slots["row"], self.rows["owner"]
        had = np.clip(row[slots], 0, max(0, len(owner) - 1))
        mine = (row[slots] >= 0) & (owner[had] == slots) if len(owner) else np.zeros(len(slots), bool)
        fresh = slots[~mine]
        if len(fresh):
            free = np.flatnonzero(self.rows["owner"] < 0)
            if len(free) < len(fresh):
                self.rows.ensure(self.rows.capacity + len(fresh))
                free = np.flatnonzero(self.rows["owner"] < 0)
            row[fresh] = free[: len(fresh)]
            self.rows["owner"][row[fresh]] = fresh
        found: Slots = row[slots]
        return found

    def forget(self, fresh: Slots) -> Slots:
        """These slots belong to other series now. The rows that they had, which are free."""
        self.slots.reset(fresh)
        rows = np.flatnonzero(np.isin(self.rows["owner"], fresh)).astype(np.int32)
        self.rows.reset(rows)
        return rows
