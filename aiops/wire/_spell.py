"""The compiled half of `_spelling`: the bytes of labels to the cells of their pairs, and those to numbers."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiops.wire._bytes import block, cached, chain, compiled, hash_span, load64, u8, varint, version

SPELT = np.dtype(
    [("hash", np.uint64), ("id", np.int32), ("name", np.int32), ("flags", np.int32), ("pad", np.int32)]
)
COUNTS, BUCKETS, LE, LEFT_OUT, INSTEAD = 1, 2, 4, 8, 16
"""The name is a counter's; it is a histogram's buckets'; the pair is a bucket's bound; it is not kept; it
stands instead of one of ours."""

READ, ALIEN, PLACES, FAULT = range(4)
"""In `out`: 1 when all was read; pairs that were not known; pairs there are; offset of a fault, or -1."""


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


@compiled
def _again(buffer: NDArray[np.uint8], start: int, end: int, last: NDArray[np.int64]) -> bool:
    """Whether these are the bytes that the label `last` has: most that neighbours say is the same."""
    if end - start != last[1] or last[1] == 0:
        return False
    other, p = last[0], start
    while p + 8 < end:
        if load64(buffer, p) != load64(buffer, other):
            return False
        p, other = p + 8, other + 8
    differ = load64(buffer, p) ^ load64(buffer, other)
    return bool(differ << u8(8 * (8 - (end - p))) == u8(0))


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
        last: NDArray[np.int64],
        out: NDArray[np.int64],
    ) -> int:
        """The cells of each span's pairs, end to end, and which of them are new; as far as there is room.

        `last`: by place, the start, length, cell and size of the label that the series before had there.
        With no `symbols` a span is label messages (remote write 1.0), else packed references (2.0).
        """
        out[:] = 0
        out[FAULT] = -1
        last[:] = 0
        for k in range(len(spans)):
            p, end, number = spans[k, 0], spans[k, 1], -1
            sizes[k] = 0
            while p < end:
                start, number = p, min(number + 1, len(last) - 1)
                if len(symbols) > 0:
                    name, p = varint(buffer, p, end)
                    value, p = varint(buffer, p, end)
                    at[0], at[1] = symbol_at[name, 0], symbol_at[name, 1]
                    at[2], at[3] = symbol_at[value, 0], symbol_at[value, 1]
                    good, key = at[1] > at[0], chain(symbols[name], symbols[value])
                else:
                    first, p = block(buffer, p + 1, end)
                    if _again(buffer, first, p, last[number]):
                        sizes[k] += last[number, 3]
                        places[out[PLACES]] = last[number, 2]
                        out[PLACES] += 1
                        continue
                    good, key = _label(buffer, first, p, at), hash_span(buffer, first, p, seed)
                    last[number, 0], last[number, 1] = first, p - first
                cell = _note(cells, key, at, aliens, out) if good else -1
                if cell < 0:
                    out[FAULT] = out[FAULT] if good else start
                    return build
                last[number, 2], last[number, 3] = cell, at[1] - at[0] + at[3] - at[2]
                sizes[k] += last[number, 3]
                places[out[PLACES]] = cell
                out[PLACES] += 1
            ends[k] = out[PLACES]
        out[READ] = 1
        return build

    return cached(spell)


spell = _build(version())
