"""Restarts, read off the start times that processes and machines report: changes that nobody announced."""

import numpy as np
from numpy.typing import NDArray

from aiops.model.frame import Change, Frame
from aiops.model.selector import Matcher, Selector
from aiops.model.series import NAME, SeriesIndex, labels_of
from aiops.plugin import Column, Columns

METRICS = ("process_start_time_seconds", "node_boot_time_seconds", "container_start_time_seconds")
"""Gauges of seconds since the epoch."""
MOVED = 2.0
"""Seconds: clocks that are set make start times jitter."""
_SELECTOR = Selector((Matcher(NAME, "=~", "|".join(METRICS)),))


class Restarts:
    """Counters of what restarted begin at zero again; it did so for a reason that is worth knowing."""

    def __init__(self, index: SeriesIndex) -> None:
        self._index = index
        self.columns = Columns(watched=Column(np.bool_), began=Column(np.float64, np.nan))
        self._any = False
        self.welcome(index.live())

    def welcome(self, fresh: NDArray[np.int32]) -> None:
        """New or reused slots."""
        self.columns.ensure(self._index.capacity)
        self.columns.reset(fresh)
        self.columns["watched"][fresh] = matches = self._index.matches(fresh, _SELECTOR)
        self._any |= bool(matches.any())

    def adopt(self, old: "Restarts") -> None:
        """After a reload: what began when is known, of the same index."""
        self.columns.ensure(old.columns.capacity)
        self.columns["began"][: old.columns.capacity] = old.columns["began"]

    def see(self, row: Frame) -> list[Change]:
        """The restarts that one row (T = 1) tells of; the first start that is seen is none."""
        if not self._any:
            return []
        here = self.columns["watched"][row.slots] & ~np.isnan(row.values[0])
        slots, values = row.slots[here], row.values[0][here]
        before = self.columns["began"][slots]
        self.columns["began"][slots] = np.fmax(values, before)
        later = values - before > MOVED
        return [
            self._change(int(slot), float(value), float(row.times[0]))
            for slot, value in zip(slots[later], values[later], strict=True)
        ]

    def _change(self, slot: int, began: float, now: float) -> Change:
        labels = labels_of(pair for pair in self._index.labels(slot) if pair[0] != NAME)
        named = dict(labels)
        what = named.get("service") or named.get("job") or named.get("instance") or "a process"
        return Change(min(began, now), "restart", f"{what} started anew", labels)
