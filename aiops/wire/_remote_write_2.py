"""The compiled walk over a remote-write 2.0 message: labels are references to symbols sent before."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiops.wire import _remote_write, _tracks
from aiops.wire._bytes import block, cached, chain, compiled, hash_span, not_zero, skip, u8, varint, version
from aiops.wire._remote_write import (
    CUT,
    LAST,
    NO_LABELS,
    NO_SYMBOL,
    ODD_LABELS,
    SYMBOLS,
    begin,
    expected,
    fault,
    no_room,
    samples,
    stranger,
)
from aiops.wire._tracks import probe


@compiled
def _symbol_chain(
    buffer: NDArray[np.uint8], p: int, end: int, symbols: NDArray[np.uint64], count: int, seed: np.uint64
) -> tuple[np.uint64, int]:
    """(hash, -1) of the series whose packed label references are ``buffer[p:end]``, or (0, the fault)."""
    key, odd = seed, False
    if p == end:
        return u8(0), NO_LABELS
    while p < end:
        number, p = varint(buffer, p, end)
        if p < 0:
            return u8(0), CUT
        if not 0 <= number < count:
            return u8(0), NO_SYMBOL
        key = chain(key, symbols[number])
        odd = not odd
    return (u8(0), ODD_LABELS) if odd else (not_zero(key), -1)


@compiled
def _type_of(buffer: NDArray[np.uint8], p: int, end: int) -> int:
    """``TimeSeries.metadata (5).type (1)``; 0 when it is not there."""
    kind = np.int64(0)
    while 0 <= p < end:
        if buffer[p] == 0x2A:
            start, stop = block(buffer, p + 1, end)
            while 0 <= start < stop:
                if buffer[start] == 0x08:
                    kind, start = varint(buffer, start + 1, stop)
                else:
                    start = skip(buffer, start, stop)
        p = skip(buffer, p, end)
    return int(kind)


def _build(build: int) -> Callable[..., int]:
    def walk(
        buffer: NDArray[np.uint8],
        size: int,
        rows: NDArray[Any],
        cells: NDArray[np.int32],
        seed: np.uint64,
        symbols: NDArray[np.uint64],
        symbol_at: NDArray[np.int64],
        refs: NDArray[np.int32],
        times: NDArray[np.int64],
        values: NDArray[np.float64],
        strangers: NDArray[np.int64],
        out: NDArray[np.int64],
    ) -> int:
        """``Request {repeated string symbols = 4; repeated TimeSeries timeseries = 5}``.

        As `_remote_write.walk`; a stranger's row has the span of its label references, and its type. The
        symbols' hashes and spans are left in `symbols` and `symbol_at`.
        """
        before, count = out[LAST], 0
        p = begin(buffer, size, out)
        while 0 <= p < size:
            start, end = block(buffer, p + 1, size)
            if buffer[p] == 0x22 and end >= 0:
                if count == len(symbols):
                    p = no_room(out)
                    continue
                symbols[count] = hash_span(buffer, start, end, seed)
                symbol_at[count, 0], symbol_at[count, 1] = start, end
                count += 1
                p = end
                continue
            if buffer[p] != 0x2A or end < 0:
                after = skip(buffer, p, size)
                p = after if after >= 0 else fault(out, p, CUT)
                continue
            if start == end or buffer[start] != 0x0A:
                p = fault(out, start, NO_LABELS)
                continue
            first, p = block(buffer, start + 1, end)
            key, why = _symbol_chain(buffer, first, p, symbols, count, seed) if p >= 0 else (u8(0), CUT)
            if why >= 0:
                p = fault(out, start, why)
                continue
            ref = expected(rows, before)
            if ref < 0 or rows[ref]["hash"] != key:
                ref = probe(rows, cells, key)
                if ref < 0:
                    ref = stranger(strangers, out, first, p, key, _type_of(buffer, p, end))
                    if ref == 0:
                        break
                elif before >= 0:
                    rows[before]["next"] = ref
            p = samples(buffer, p, end, ref, refs, times, values, out, 0x1A)
            before = ref
        out[LAST], out[SYMBOLS] = before, count
        return build

    return cached(walk)


walk = _build(version(_tracks, _remote_write))
