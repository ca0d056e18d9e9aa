"""Links that series speak of by their labels: calls (``client``, ``server``), and what runs on what."""

from collections.abc import Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from aiops.core.topology import Topology
from aiops.model.frame import Frame
from aiops.model.rows import chunks, grown, run_of
from aiops.model.series import SeriesIndex

WITNESSES = 3
"""Series that speak of one link; further ones would only say the same."""
AGAIN = 60.0
"""Seconds, in each of which a link is heard once: links are kept for a day, and gaps are told by the hour."""
MUTE, UNHEARD = -(1 << 31), -1
"""In place of when a slot was heard: it is no witness; it was not heard yet."""

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
        self._heard = np.full(index.capacity, MUTE, np.int32)
        """Per slot: the minute, counted from the epoch, in which it was heard last."""
        self._says: dict[int, list[tuple[str, str]]] = {}
        self._told: dict[tuple[str, str], int] = {}
        """The minute in which each link was heard last, whoever spoke."""
        self._count: dict[tuple[str, str], int] = {}
        self.welcome(index.live())

    def welcome(self, fresh: NDArray[np.int32]) -> None:
        """New or reused slots: what their labels say."""
        had = len(self._heard)
        if had < self._index.capacity:
            self._heard = grown(self._heard, self._index.capacity)
            self._heard[had:] = MUTE
        for slot in fresh[self._heard[fresh] != MUTE].tolist():
            self._forget(slot)
        for part in chunks(fresh):
            self._hear_of(part)

    def forget(self, gone: NDArray[np.int32]) -> None:
        """Slots that the index has freed: when a witness was among them, others are looked for."""
        witnesses = gone[self._heard[gone] != MUTE].tolist()
        for slot in witnesses:
            self._forget(slot)
        if witnesses:
            for part in chunks(self._index.live()):
                self._hear_of(part)

    def _hear_of(self, fresh: NDArray[np.int32]) -> None:
        pairs = [ends for ends in self._pairs if all(map(self._index.pairs.named, ends))]
        named = sorted({*chain.from_iterable(pairs)})
        bearing = dict(zip(named, self._index.bearing(fresh, named), strict=True))
        for labels in pairs:
            one, other = (bearing[label] for label in labels)
            both = np.flatnonzero((one >= 0) & (other >= 0))
            which = both[_first((one[both].astype(np.int64) << 32) | other[both], WITNESSES)]
            ends = (self._index.pairs.pairs(end[which].tolist()) for end in (one, other))
            for slot, (_, needs), (_, needed) in zip(fresh[which].tolist(), *ends, strict=True):
                self._take(slot, (needs, needed))

    def see(self, row: Frame) -> None:
        """One row of samples (T = 1)."""
        if not self._says:
            return
        at = float(row.times[0])
        minute, heard = int(at // AGAIN), self._heard[run_of(row.slots)]
        here = np.flatnonzero((heard != MUTE) & (heard != minute))
        slots = row.slots[here[row.values[0, here] > 0]]
        self._heard[slots] = minute
        for slot in slots.tolist():
            for link in self._says[slot]:
                if self._told.get(link) != minute:
                    self._told[link] = minute
                    self.topology.see(*link, at)

    def _take(self, slot: int, link: tuple[str, str]) -> None:
        if link[0] == link[1] or self._count.get(link, 0) >= WITNESSES or link in self._says.get(slot, ()):
            return
        self._count[link] = self._count.get(link, 0) + 1
        self._says.setdefault(slot, []).append(link)
        self._heard[slot] = UNHEARD

    def _forget(self, slot: int) -> None:
        self._heard[slot] = MUTE
        for link in self._says.pop(slot):
            self._count[link] -= 1
            if not self._count[link]:
                del self._count[link]
                self._told.pop(link, None)


def _first(keys: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """The places of the first `most` of each of `keys`, ascending."""
    # neighbours are often alike, and sorting takes long
    same, late = keys[1:] == keys[:-1], np.zeros(len(keys), np.bool_)
    if len(keys) > most:
        late[most:] = np.logical_and.reduce([same[k : len(keys) - most + k] for k in range(most)])
    places = np.flatnonzero(~late)
    order = places[np.argsort(keys[places], kind="stable")]
    return np.sort(order[_rank(keys[order]) < most])


def _rank(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many of the same key stand right before each."""
    place = np.arange(len(keys))
    new = np.append(True, keys[1:] != keys[:-1])[: len(keys)]
    return place - np.maximum.accumulate(np.where(new, place, 0))
