"""Series of one metric and one workload: a new pod is an old acquaintance.

Siblings agree on all labels but those that tell one instance of a thing from another. A new series is given
what its siblings know once it has `ENOUGH` samples of its own, by which detectors see whether it is alike.
"""

import re

import numpy as np
from numpy.typing import NDArray

from aiops.model.pairs import Pairs, digest
from aiops.model.rows import grown
from aiops.model.series import Labels, SeriesIndex
from aiops.plugin import Column, Columns

INSTANCE = (
    "pod",
    "pod_name",
    "pod_ip",
    "instance",
    "host",
    "hostname",
    "host_name",
    "host_ip",
    "node",
    "replica",
    "uid",
    "id",
    "container_id",
    "service_instance_id",
)
"""Labels that tell one instance from another."""
PODS = ("pod", "pod_name")
"""Of these, what all pods of one workload have in common counts: not every series names its workload."""
_RANDOM = "[bcdfghjklmnpqrstvwxz2456789]"
"""What Kubernetes makes suffixes of: without vowels, so that they are no words."""
_SUFFIX = re.compile(rf"(-{_RANDOM}{{6,10}})?-{_RANDOM}{{5}}$|-\d+(-{_RANDOM}{{5}})?$")
ENOUGH = 10
"""Samples of its own before a series is compared with its siblings."""
MOST = 4096
"""New series that wait at a time: more at once are a first contact, and have no elder siblings."""
ASKED = 8
"""Siblings whose knowledge is taken together."""
EVERY = 5.0
"""Seconds between two looks at those that wait."""


class Siblings:
    """Which series are of one kind; and those that are new."""

    def __init__(self, index: SeriesIndex) -> None:
        self._index = index
        self.columns = Columns(kind=Column(np.uint64))
        self._weighed, self._weights = np.zeros(0, np.uint64), np.zeros(0, np.uint64)
        self._waiting = np.zeros(0, np.int32)
        self._look_at = -np.inf
        self._note(index.live())

    def welcome(self, fresh: NDArray[np.int32]) -> None:
        """New or reused slots."""
        self._note(fresh)
        few = len(fresh) <= MOST
        waiting = np.union1d(self._waiting, fresh).astype(np.int32) if few else fresh
        self._waiting = waiting if len(waiting) <= MOST else self._waiting[:0]

    def adopt(self, old: "Siblings") -> None:
        """After a reload: those that were new still are."""
        self._waiting = old._waiting

    def due(self, seen: NDArray[np.uint32], now: float) -> NDArray[np.int32]:
        """Slots that were new and have `ENOUGH` samples by now (``seen[slot]``), each once."""
        if not len(self._waiting) or self._look_at - EVERY <= now < self._look_at:
            return self._waiting[:0]
        self._look_at = now + EVERY
        enough = seen[self._waiting] >= ENOUGH
        due, self._waiting = self._waiting[enough], self._waiting[~enough]
        return due

    def of(self, slots: NDArray[np.int32], ready: NDArray[np.bool_]) -> dict[int, NDArray[np.int32]]:
        """Slot -> up to `ASKED` others of its kind that are ``ready[slot]``; nothing where there are none."""
        kinds = self.columns["kind"][: self._index.capacity]
        wanted = np.unique(kinds[slots])
        place = np.minimum(np.searchsorted(wanted, kinds), len(wanted) - 1)
        elder = np.flatnonzero((wanted[place] == kinds) & ready[: len(kinds)])
        elder = np.setdiff1d(elder, slots)
        order = elder[np.argsort(kinds[elder], kind="stable")]
        starts = np.searchsorted(kinds[order], kinds[slots])
        ends = np.searchsorted(kinds[order], kinds[slots], "right")
        return {
            int(slot): order[start : min(end, start + ASKED)].astype(np.int32)
            for slot, start, end in zip(slots.tolist(), starts.tolist(), ends.tolist(), strict=True)
            if end > start
        }

    def bearing(self, kind: int) -> NDArray[np.int32]:
        """The slots of one kind, which is given as 64 bits."""
        kinds = self.columns["kind"][: self._index.capacity]
        return np.flatnonzero(kinds == np.uint64(kind)).astype(np.int32)

    def _note(self, slots: NDArray[np.int32]) -> None:
        self.columns.ensure(self._index.capacity)
        if len(slots):
            self._weigh()
            self.columns["kind"][slots] = self._index.sums(slots, self._weights)

    def _weigh(self) -> None:
        """What each pair of labels adds to 64 bits of a kind; told by its hash whether that is known."""
        pairs = self._index.pairs
        hashes = pairs.hashes(np.arange(len(pairs), dtype=np.int32))
        if len(self._weighed) < len(hashes):
            self._weighed, self._weights = (
                grown(self._weighed, len(hashes)),
                grown(self._weights, len(hashes)),
            )
        new = np.flatnonzero(hashes != self._weighed[: len(hashes)]).astype(np.int32)
        which = pairs.which(new, INSTANCE)
        self._weighed[new] = hashes[new]
        self._weights[new] = np.where(which < 0, hashes[new], np.uint64(0))
        pods = new[np.isin(which, [INSTANCE.index(label) for label in PODS])]
        digests = (_digest(workload_of(pod)) for _, pod in pairs.pairs(pods.tolist()))
        self._weights[pods] = np.fromiter(digests, np.uint64, len(pods))


def workload_of(pod: str) -> str:
    """A pod's name without what makes it one of several: those of deployments, sets and jobs."""
    return _SUFFIX.sub("", pod)


def kind_of(labels: Labels) -> int:
    """64 bits: what `Siblings.columns` has for a series with these labels."""
    same = Pairs([pair for pair in labels if pair[0] not in INSTANCE])
    pods = (_digest(workload_of(value)) for name, value in labels if name in PODS)
    return (same.hash(range(len(same))) + sum(pods)) % (1 << 64)


def _digest(workload: str) -> int:
    return digest(("workload", workload))
