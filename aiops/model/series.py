"""Series and their slots: a label set owns one row in every columnar state."""

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from aiops.model.selector import Selector

Labels: TypeAlias = tuple[tuple[str, str], ...]
"""Sorted (name, value) pairs, the metric name under ``__name__``; hashable, so it is its own identity."""

NAME = "__name__"


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

    One owner (the engine) mutates it; readers may hold slots only within one step.
    """

    def __init__(self) -> None:
        self._slot_of: dict[Labels, int] = {}
        self._labels: list[Labels | None] = []
        self._free: list[int] = []
        self._fresh: list[int] = []
        self._asked: set[int] = set()
        self._last_seen = np.zeros(0)

    def __len__(self) -> int:
        return len(self._slot_of)

    @property
    def capacity(self) -> int:
        """Rows that a columnar state needs: the highest slot ever given + 1."""
        return len(self._labels)

    def slot(self, labels: Labels) -> int:
        """The slot of `labels`, made when it is new."""
        slot = self._slot_of.get(labels)
        if slot is None:
            slot = self._take()
            self._labels[slot] = labels
            self._slot_of[labels] = slot
            self._fresh.append(slot)
        self._asked.add(slot)
        return slot

    def slots(self, many: Iterable[Labels]) -> NDArray[np.int32]:
        return np.fromiter((self.slot(one) for one in many), np.int32)

    def find(self, labels: Labels) -> int | None:
        return self._slot_of.get(labels)

    def labels(self, slot: int) -> Labels:
        """Raises KeyError when the slot is free."""
        found = self._labels[slot] if 0 <= slot < len(self._labels) else None
        if found is None:
            raise KeyError(slot)
        return found

    def select(self, selector: Selector) -> NDArray[np.int32]:
        """The slots whose labels match, ascending."""
        hits = [slot for labels, slot in self._slot_of.items() if selector.matches(dict(labels))]
        return np.array(sorted(hits), np.int32)

    def items(self) -> Iterable[tuple[int, Labels]]:
        return ((slot, labels) for labels, slot in self._slot_of.items())

    def take_fresh(self) -> NDArray[np.int32]:
        """Slots given since the last call: every columnar state must reset these rows before use."""
        fresh, self._fresh = self._fresh, []
        return np.array(fresh, np.int32)

    def touch(self, slots: NDArray[np.int32], now: float) -> None:
        """Note that `slots` had samples at `now` (seconds since the epoch)."""
        self._grow_seen()
        self._last_seen[slots] = np.maximum(self._last_seen[slots], now)

    def last_seen(self, slot: int) -> float:
        return float(self._last_seen[slot]) if slot < len(self._last_seen) else 0.0

    def evict(self, before: float) -> list[Labels]:
        """Free every slot not seen since `before` (seconds since the epoch); returns what went.

        One that was asked for since the last call stays: its samples may still be on their way.
        """
        self._grow_seen()
        old = ((labels, s) for labels, s in self._slot_of.items() if self._last_seen[s] < before)
        gone = [(labels, s) for labels, s in old if s not in self._asked]
        self._asked.clear()
        for labels, slot in gone:
            del self._slot_of[labels]
            self._labels[slot] = None
            self._last_seen[slot] = 0.0
            self._free.append(slot)
        return [labels for labels, _ in gone]

    def snapshot(self) -> dict[str, Any]:
        """JSON-able; `restore` of it gives the same slots."""
        self._grow_seen()
        rows = [[slot, list(map(list, labels))] for labels, slot in self._slot_of.items()]
        return {"capacity": self.capacity, "rows": rows, "seen": self._last_seen.tolist()}

    @classmethod
    def restore(cls, data: Mapping[str, Any]) -> "SeriesIndex":
        index = cls()
        index._labels = [None] * int(data["capacity"])
        for slot, pairs in data["rows"]:
            labels = tuple((str(k), str(v)) for k, v in pairs)
            index._labels[slot] = labels
            index._slot_of[labels] = slot
        index._last_seen = np.array(data["seen"], float)
        index._free = [slot for slot, labels in enumerate(index._labels) if labels is None]
        return index

    def _take(self) -> int:
        if self._free:
            return self._free.pop()
        self._labels.append(None)
        return len(self._labels) - 1

    def _grow_seen(self) -> None:
        missing = self.capacity - len(self._last_seen)
        if missing > 0:
            grown = max(missing, len(self._last_seen))
            self._last_seen = np.concatenate([self._last_seen, np.zeros(grown)])
