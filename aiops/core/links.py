"""Links that series speak of by their labels: calls (``client``, ``server``), and what runs on what."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aiops.core.topology import Topology
from aiops.model.frame import Frame
from aiops.model.rows import grown
from aiops.model.selector import Matcher, Selector
from aiops.model.series import SeriesIndex

WITNESSES = 3
"""Series that speak of one link; further ones would only say the same."""

Pair = Sequence[str]
"""Two label names: the value of the first needs that of the second."""


class Links:
    """Keeps a topology up to date from what series are there.

    Service graphs (Tempo, the OpenTelemetry collector, meshes) name both ends of a call; Kubernetes series
    name a pod, its owner, its service and its node. A link counts as seen with each sample that is not 0.
    """

    def __init__(self, index: SeriesIndex, topology: Topology, pairs: Sequence[Pair]) -> None:
        self._index, self.topology = index, topology
        self._pairs = [(one, other) for one, other in pairs]
        self._selectors = [Selector((Matcher(a, "!=", ""), Matcher(b, "!=", ""))) for a, b in self._pairs]
        self._witness = np.zeros(index.capacity, bool)
        self._says: dict[int, list[tuple[str, str]]] = {}
        self._count: dict[tuple[str, str], int] = {}
        self.welcome(index.live())

    def welcome(self, fresh: NDArray[np.int32]) -> None:
        """New or reused slots: what their labels say."""
        if len(self._witness) < self._index.capacity:
            self._witness = grown(self._witness, self._index.capacity)
        for slot in fresh[self._witness[fresh]].tolist():
            self._forget(slot)
        for (one, other), selector in zip(self._pairs, self._selectors, strict=True):
            for slot in fresh[self._index.matches(fresh, selector)].tolist():
                labels = dict(self._index.labels(slot))
                self._take(slot, (labels[one], labels[other]))

    def see(self, row: Frame) -> None:
        """One row of samples (T = 1)."""
        if not self._says:
            return
        spoken = self._witness[row.slots] & (row.values[0] > 0)
        for slot in row.slots[spoken].tolist():
            for caller, callee in self._says[slot]:
                self.topology.see(caller, callee, float(row.times[0]))

    def _take(self, slot: int, link: tuple[str, str]) -> None:
        if link[0] == link[1] or self._count.get(link, 0) >= WITNESSES:
            return
        self._count[link] = self._count.get(link, 0) + 1
        self._says.setdefault(slot, []).append(link)
        self._witness[slot] = True

    def _forget(self, slot: int) -> None:
        self._witness[slot] = False
        for link in self._says.pop(slot):
            self._count[link] -= 1
            if not self._count[link]:
                del self._count[link]
