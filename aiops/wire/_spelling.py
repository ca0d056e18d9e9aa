"""Label pairs as a wire spells them -> their numbers: a new series costs no text but what is new in it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from aiops.model.pairs import Pairs
from aiops.model.series import NAME, labels_of
from aiops.wire import WireError
from aiops.wire._spell import (
    ALIEN,
    BUCKETS,
    COUNTS,
    FAULT,
    INSTEAD,
    LE,
    LEFT_OUT,
    READ,
    SPELT,
    keep_all,
    place_all,
    spell,
)
from aiops.wire._tracks import COUNTER, GAUGE

Clash: TypeAlias = Literal["ours", "rename", "theirs"]
"""What becomes of a label that has the name of one of ours: ours stands, theirs is called ``exported_...``
as Prometheus does, or theirs stands (Prometheus' ``honor_labels``)."""

_COUNTER_ENDS = ("_total", "_count", "_sum")


_LABELS = 32
"""Of a series, so many are looked for in the same place of the one before it."""
_ALIENS = 4096
"""New pairs looked up in one go."""
_NO_SYMBOLS, _NO_SPANS = np.zeros(0, np.uint64), np.zeros((0, 2), np.int64)


@dataclass(frozen=True, slots=True)
class Spelt:
    """Series in numbers of pairs: series ``k`` has ``ids[begins[k] : begins[k + 1]]`` and ``flags[k]``.

    ``sizes[k]``: bytes of all its names and values.
    """

    ids: NDArray[np.int32]
    begins: NDArray[np.int64]
    flags: NDArray[np.int32]
    sizes: NDArray[np.int64]


class Spellings:
    """The pairs that one decoder has met. `extra` labels are added; `clash`: to what has their names too."""

    def __init__(self, pairs: Pairs, extra: Mapping[str, str], clash: Clash = "ours") -> None:
        self._pairs = pairs
        self._clash = clash
        self.extra = dict(extra)
        self.types: dict[str, int] = {}
        """Metric family -> `GAUGE` or `COUNTER`, where the sender has told."""
        self.clear()

    def clear(self) -> None:
        """Forget all numbers: after an eviction they may be another pair's."""
        self.cells, self._placed = np.zeros(1024, SPELT), 0
        self._names = {name: number for number, name in enumerate(self.extra)}
        self.extra_ids = np.array(self._pairs.take(self.extra.items()), np.int32)

    def room(self, more: int) -> None:
        """Let `more` pairs be placed, at most half the cells being taken."""
        size = len(self.cells)
        while size < 2 * (self._placed + more):
            size *= 2
        if size > len(self.cells):
            old = self.cells[self.cells["hash"] != 0]
            self.cells = np.zeros(size, SPELT)
            place_all(self.cells, old)

    def learn(self, name: str, value: str) -> tuple[int, int, int]:
        """Number, name and flags of a pair, as its cell holds them."""
        clashes = name in self.extra
        if clashes and self._clash == "rename":
            name, clashes = f"exported_{name}", False
        number = self._names.setdefault(name, len(self._names))
        if not value or (clashes and self._clash == "ours"):
            return -1, number, LEFT_OUT
        flags = INSTEAD if clashes else self._flags(name, value)
        return self._pairs.take(labels_of([(name, value)]))[0], number, flags

    def _flags(self, name: str, value: str) -> int:
        if name == "le":
            return LE
        if name != NAME:
            return 0
        if value.endswith("_bucket"):
            return BUCKETS
        known = self.types.get(value, COUNTER if value.endswith(_COUNTER_ENDS) else GAUGE)
        return COUNTS if known == COUNTER else 0

    def numbers(
        self,
        buffer: NDArray[np.uint8],
        spans: NDArray[np.int64],
        seed: np.uint64,
        symbols: NDArray[np.uint64] = _NO_SYMBOLS,
        symbol_at: NDArray[np.int64] = _NO_SPANS,
    ) -> Spelt:
        """What `spans` say. Raises `WireError` at a label that is no label."""
        most = int((spans[:, 1] - spans[:, 0]).sum()) // 2 + len(spans)
        places, ends, sizes = np.empty(most, np.int32), *np.zeros((2, len(spans)), np.int64)
        aliens, out = np.empty((min(most, _ALIENS), 5), np.int64), np.zeros(4, np.int64)
        at, last = np.zeros(4, np.int64), np.zeros((_LABELS, 4), np.int64)
        while not out[READ]:
            self.room(len(aliens))
            known = symbols, symbol_at, seed, self.cells
            spell(buffer, spans, *known, places, ends, sizes, aliens, at, last, out)
            self._placed += int(out[ALIEN])
            try:
                if out[FAULT] >= 0:
                    raise WireError("a label that is cut off, or has no name", int(out[FAULT]))
                self._learn_all(buffer, aliens[: out[ALIEN]])
            except WireError:
                self.clear()  # cells that were only noted
                raise
        return self._spelt(places, ends, sizes)

    def _learn_all(self, buffer: NDArray[np.uint8], aliens: NDArray[np.int64]) -> None:
        """Say what is in the cells of pairs that were not known: each a cell and the spans of both texts."""
        learnt = []
        for begin, end, *span in aliens[:, 1:].tolist():
            name, value = text(buffer, begin, end), text(buffer, *span)
            if "\x00" in name:
                raise WireError("a label name with a NUL", begin)
            learnt.append(self.learn(name, value))
        # a column at a time: to write a field of one cell takes as long as to look up a pair
        for place, column in enumerate(("id", "name", "flags")):
            self.cells[column][aliens[:, 0]] = [pair[place] for pair in learnt]

    def _spelt(self, places: NDArray[np.int32], ends: NDArray[np.int64], sizes: NDArray[np.int64]) -> Spelt:
        most = int(ends[-1] if len(ends) else 0) + len(self.extra_ids) * len(ends)
        ids, names = np.empty(most, np.int32), np.empty(most, np.int32)
        begins, flags = np.zeros(len(ends) + 1, np.int64), np.zeros(len(ends), np.int32)
        keep_all(self.cells, places, ends, self.extra_ids, ids, names, begins, flags)
        return Spelt(ids[: begins[-1]].copy(), begins, flags, sizes)


def text(buffer: NDArray[np.uint8], start: int, end: int) -> str:
    """Raises `WireError` at the first byte that is no UTF-8."""
    try:
        return buffer[start:end].tobytes().decode()
    except UnicodeDecodeError as bad:
        raise WireError("a label that is no UTF-8", start + bad.start) from None
