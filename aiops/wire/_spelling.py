"""Label pairs as a wire spells them -> their numbers: a new series costs no text but what is new in it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from aiops.model.pairs import Pairs
from aiops.model.series import NAME, labels_of
from aiops.wire import WireError
from aiops.wire._bytes import block, cached, chain, compiled, hash_span, u8, varint, version
from aiops.wire._tracks import COUNTER, GAUGE

SPELT = np.dtype(
    [("hash", np.uint64), ("id", np.int32), ("name", np.int32), ("flags", np.int32), ("pad", np.int32)]
)
COUNTS, BUCKETS, LE, LEFT_OUT, INSTEAD = 1, 2, 4, 8, 16
"""The name is a counter's; it is a histogram's buckets'; the pair is a bucket's bound; it is not kept; it
stands instead of one of ours."""

Clash: TypeAlias = Literal["ours", "rename", "theirs"]
"""What becomes of a label that has the name of one of ours: ours stands, theirs is called ``exported_...``
as Prometheus does, or theirs stands (Prometheus' ``honor_labels``)."""

READ, ALIEN, PLACES, FAULT = range(4)
"""In `out`: 1 when all was read; pairs that were not known; pairs there are; offset of a fault, or -1."""

_COUNTER_ENDS = ("_total", "_count", "_sum")


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
        self.cells = np.zeros(1024, SPELT)
        self._names = {name: number for number, name in enumerate(self.extra)}
        self.extra_ids = np.array(self._pairs.take(self.extra.items()), np.int32)

    def room(self, more: int) -> None:
        """Let `more` pairs be placed, at most half the cells being taken."""
        old = self.cells[self.cells["hash"] != 0]
        size = len(self.cells)
        while size < 2 * (len(old) + more):
            size *= 2
        if size > len(self.cells):
            self.cells = np.zeros(size, SPELT)
            place_all(self.cells, old)

    def learn(self, cell: int, name: str, value: str) -> None:
        """Say what the pair in `cell` is."""
        row = self.cells[cell]
        clashes = name in self.extra
        if clashes and self._clash == "rename":
            name, clashes = f"exported_{name}", False
        row["name"] = self._names.setdefault(name, len(self._names))
        if not value or (clashes and self._clash == "ours"):
            row["flags"] = LEFT_OUT
        else:
            row["flags"] = INSTEAD if clashes else self._flags(name, value)
        row["id"] = -1 if row["flags"] & LEFT_OUT else self._pairs.take(labels_of([(name, value)]))[0]

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
        at = np.zeros(4, np.int64)
        while not out[READ]:
            self.room(len(aliens))
            spell(buffer, spans, symbols, symbol_at, seed, self.cells, places, ends, sizes, aliens, at, out)
            try:
                if out[FAULT] >= 0:
                    raise WireError("a label that is cut off, or has no name", int(out[FAULT]))
                for cell, *spans_of in aliens[: out[ALIEN]].tolist():
                    name, value = text(buffer, *spans_of[:2]), text(buffer, *spans_of[2:])
                    if "\x00" in name:
                        raise WireError("a label name with a NUL", spans_of[0])
                    self.learn(cell, name, value)
            except WireError:
                self.clear()  # cells that were only noted
                raise
        return self._spelt(places, ends, sizes)

    def _spelt(self, places: NDArray[np.int32], ends: NDArray[np.int64], sizes: NDArray[np.int64]) -> Spelt:
        most = int(ends[-1] if len(ends) else 0) + len(self.extra_ids) * len(ends)
        ids, names = np.empty(most, np.int32), np.empty(most, np.int32)
        begins, flags = np.zeros(len(ends) + 1, np.int64), np.zeros(len(ends), np.int32)
        keep_all(self.cells, places, ends, self.extra_ids, ids, names, begins, flags)
        return Spelt(ids[: begins[-1]].copy(), begins, flags, sizes)


@compiled
def place(cells: NDArray[Any], key: np.uint64) -> int:
    """The cell of hash `key`, or the empty one where it belongs."""
    mask = u8(len(cells) - 1)
    cell = key & mask
    while cells[cell]["hash"] != u8(0) and cells[cell]["hash"] != key:
        cell = (cell + u8(1)) & mask
    return np.int64(cell)  # type: ignore[return-value]


@cached
def place_all(cells: NDArray[Any], rows: NDArray[Any]) -> None:
    for row in rows:
        cells[place(cells, row["hash"])] = row


@compiled
def _note(
    cells: NDArray[Any],
    key: np.uint64,
    at: NDArray[np.int64],
    aliens: NDArray[np.int64],
    out: NDArray[np.int64],
) -> int:
    """The cell of a pair; one that is not known is written down. -1 when there is no room for it."""
    cell = place(cells, key)
    if cells[cell]["hash"] == u8(0):
        number = out[ALIEN]
        if number == len(aliens):
            return -1
        cells[cell]["hash"] = key
        aliens[number, 0] = cell
        for k in range(4):
            aliens[number, k + 1] = at[k]
        out[ALIEN] = number + 1
    return cell


@compiled
def _keep(row: Any, ids: NDArray[np.int32], names: NDArray[np.int32], begin: int, end: int) -> int:
    """Add a pair to the numbers from `begin` to `end`: the new end; -1 when its name is there already."""
    for other in range(begin, end):
        if names[other] == row["name"]:
            ids[other] = row["id"] if row["flags"] & INSTEAD else ids[other]
            return end if row["flags"] & INSTEAD else -1
    ids[end], names[end] = row["id"], row["name"]
    return end + 1


@cached
def keep_all(
    cells: NDArray[Any],
    places: NDArray[np.int32],
    ends: NDArray[np.int64],
    extra: NDArray[np.int32],
    ids: NDArray[np.int32],
    names: NDArray[np.int32],
    begins: NDArray[np.int64],
    flags: NDArray[np.int32],
) -> None:
    """The numbers of each series' pairs and the flags of all of them; `places` of those up to ``ends[k]``."""
    at, end = 0, 0
    for k in range(len(ends)):
        for number in range(len(extra)):
            ids[end], names[end] = extra[number], number
            end += 1
        for place_ in range(at, ends[k]):
            row = cells[places[place_]]
            flags[k] |= row["flags"] & ~LEFT_OUT
            if row["flags"] & LEFT_OUT == 0:
                kept = _keep(row, ids, names, begins[k], end)
                flags[k] |= 0 if kept >= 0 else LEFT_OUT
                end = kept if kept >= 0 else end
        at, begins[k + 1] = ends[k], end


@compiled
def _label(buffer: NDArray[np.uint8], p: int, end: int, at: NDArray[np.int64]) -> bool:
    """``Label {string name = 1; string value = 2}``: the spans of both into `at`."""
    at[:] = p
    if p < end and buffer[p] == 0x0A:
        at[0], p = block(buffer, p + 1, end)
        at[1] = p
    if 0 <= p < end and buffer[p] == 0x12:
        at[2], p = block(buffer, p + 1, end)
        at[3] = p
    return p == end and at[1] > at[0]


def _build(build: int) -> Callable[..., int]:
    def spell(
        buffer: NDArray[np.uint8],
        spans: NDArray[np.int64],
        symbols: NDArray[np.uint64],
        symbol_at: NDArray[np.int64],
        seed: np.uint64,
        cells: NDArray[Any],
        places: NDArray[np.int32],
        ends: NDArray[np.int64],
        sizes: NDArray[np.int64],
        aliens: NDArray[np.int64],
        at: NDArray[np.int64],
        out: NDArray[np.int64],
    ) -> int:
        """The cells of each span's pairs, end to end, and which of them are new; as far as there is room.

        With no `symbols` a span is label messages (remote write 1.0), else packed references (2.0).
        """
        out[:] = 0
        out[FAULT] = -1
        for k in range(len(spans)):
            p, end = spans[k, 0], spans[k, 1]
            sizes[k] = 0
            while p < end:
                start = p
                if len(symbols) > 0:
                    name, p = varint(buffer, p, end)
                    value, p = varint(buffer, p, end)
                    at[0], at[1] = symbol_at[name, 0], symbol_at[name, 1]
                    at[2], at[3] = symbol_at[value, 0], symbol_at[value, 1]
                    good, key = at[1] > at[0], chain(symbols[name], symbols[value])
                else:
                    first, p = block(buffer, p + 1, end)
                    good, key = _label(buffer, first, p, at), hash_span(buffer, first, p, seed)
                cell = _note(cells, key, at, aliens, out) if good else -1
                if cell < 0:
                    out[FAULT] = out[FAULT] if good else start
                    return build
                sizes[k] += at[1] - at[0] + at[3] - at[2]
                places[out[PLACES]] = cell
                out[PLACES] += 1
            ends[k] = out[PLACES]
        out[READ] = 1
        return build

    return cached(spell)


spell = _build(version())


def text(buffer: NDArray[np.uint8], start: int, end: int) -> str:
    """Raises `WireError` at the first byte that is no UTF-8."""
    try:
        return buffer[start:end].tobytes().decode()
    except UnicodeDecodeError as bad:
        raise WireError("a label that is no UTF-8", start + bad.start) from None
