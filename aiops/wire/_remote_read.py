"""The compiled part of remote read: streamed XOR chunks, and sampled answers, into columns.

Chunks: https://github.com/prometheus/prometheus/blob/main/tsdb/docs/format/chunks.md (XOR chunk data), after
Pelkonen et al., "Gorilla: a fast, scalable, in-memory time series database", VLDB 2015.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from aiops.wire import _remote_write, _tracks
from aiops.wire._bytes import block, cached, compiled, float_of, load64, skip, swapped, u8, varint, version
from aiops.wire._remote_write import CUT_SAMPLE, NO_LABELS, begin, fault, labels_end, no_room, one_sample

SERIES, COUNT = 6, 2
"""In `out`, where `_remote_write` has NATIVE and SAMPLES."""
FAULTS = (
    "the answer is cut off, or no protobuf",
    "a series without labels",
    "a sample that is cut off",
    "a chunk that is cut off",
    "a frame that is cut off",
    "a frame whose checksum is wrong",
)
CUT, _, _, CUT_CHUNK, CUT_FRAME, BAD_SUM = range(6)
XOR = 1

_POLYNOMIAL = 0x82F63B78


def _table() -> NDArray[np.uint32]:
    rows = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (_POLYNOMIAL if byte & 1 else 0)
        rows.append(byte)
    return np.array(rows, np.uint32)


_SUMS = _table()


@compiled
def crc32c(buffer: NDArray[np.uint8], start: int, end: int) -> np.uint32:
    """Castagnoli's checksum of ``buffer[start:end]`` (RFC 3720)."""
    value = np.uint32(0xFFFFFFFF)
    for p in range(start, end):
        value = _SUMS[(value ^ buffer[p]) & np.uint32(255)] ^ (value >> np.uint32(8))
    return np.uint32(value ^ np.uint32(0xFFFFFFFF))


@compiled
def _bits(buffer: NDArray[np.uint8], at: int, count: int) -> np.uint64:
    """`count` (1 to 56) bits from bit `at` on, the highest first."""
    word = swapped(load64(buffer, at >> 3))
    found: np.uint64 = (word << u8(at & 7)) >> u8(64 - count)
    return found


@compiled
def _wide(buffer: NDArray[np.uint8], at: int, count: int) -> np.uint64:
    """As `_bits`, of up to 64."""
    if count <= 56:
        return _bits(buffer, at, count)
    return (_bits(buffer, at, count - 32) << u8(32)) | _bits(buffer, at + count - 32, 32)


@compiled
def _jump(buffer: NDArray[np.uint8], at: int) -> tuple[np.int64, int]:
    """(by how much the distance of times changes, the bit behind it)."""
    if not _bits(buffer, at, 1):
        return np.int64(0), at + 1
    word = _bits(buffer, at, 4)
    size = 14 if word < u8(12) else 17 if word < u8(14) else 20 if word == u8(14) else 64
    at += 2 if size == 14 else 3 if size == 17 else 4
    found = np.int64(_wide(buffer, at, size))
    if size < 64 and found > np.int64(1) << (size - 1):
        found -= np.int64(1) << size
    return found, at + size


@compiled
def _xor_chunk(
    buffer: NDArray[np.uint8],
    start: int,
    end: int,
    times: NDArray[np.int64],
    values: NDArray[np.float64],
    count: int,
) -> int:
    """How many samples there are with those of the chunk; -1 when it is cut off, -2 when there is no room."""
    total = int(buffer[start]) << 8 | int(buffer[start + 1]) if end - start >= 2 else 0
    if total == 0:
        return count if end - start >= 2 else -1
    if count + total > len(times):
        return -2
    zigzag, p = varint(buffer, start + 2, end)
    if p < 0 or p + 8 > end:
        return -1
    time = np.int64((u8(zigzag) >> u8(1)) ^ (~(u8(zigzag) & u8(1)) + u8(1)))
    value = swapped(load64(buffer, p))
    p += 8
    times[count], values[count] = time, float_of(value)
    step, lead, size = np.int64(0), 0, 0
    at, last = 8 * p, 8 * end
    for number in range(1, total):
        if number == 1:
            step, p = varint(buffer, p, end)
            if p < 0:
                return -1
            at = 8 * p
        else:
            change, at = _jump(buffer, at)
            step += change
        if at >= last:
            return -1
        time += step
        if _bits(buffer, at, 1):
            if _bits(buffer, at, 2) == u8(3):
                shape = int(_bits(buffer, at + 2, 11))
                lead, size = shape >> 6, shape & 63
                size = 64 if size == 0 else size
                at += 11
            at += 2
            if size == 0 or lead + size > 64 or at + size > last:
                return -1
            value ^= _wide(buffer, at, size) << u8(64 - lead - size)
            at += size
        else:
            at += 1
        times[count + number], values[count + number] = time, float_of(value)
    return count + total if at <= last else -1


@compiled
def _chunk(
    buffer: NDArray[np.uint8],
    p: int,
    end: int,
    times: NDArray[np.int64],
    values: NDArray[np.float64],
    out: NDArray[np.int64],
) -> int:
    """``Chunk {min = 1; max = 2; Type type = 3; bytes data = 4}``; -1 when something is wrong."""
    kind, start, stop = np.int64(0), 0, 0
    while 0 <= p < end:
        if buffer[p] == 0x18:
            kind, p = varint(buffer, p + 1, end)
        elif buffer[p] == 0x22:
            start, stop = block(buffer, p + 1, end)
            p = stop
        else:
            p = skip(buffer, p, end)
    if p < 0:
        return fault(out, end, CUT)
    if kind != XOR or stop <= start:  # native histograms
        return end
    count = _xor_chunk(buffer, start, stop, times, values, out[COUNT])
    if count == -2:
        return no_room(out)
    if count < 0:
        return fault(out, start, CUT_CHUNK)
    out[COUNT] = count
    return end


@compiled
def _series(
    buffer: NDArray[np.uint8],
    p: int,
    end: int,
    spans: NDArray[np.int64],
    times: NDArray[np.int64],
    values: NDArray[np.float64],
    out: NDArray[np.int64],
    chunked: bool,
) -> int:
    """``{repeated Label labels = 1; repeated Chunk chunks or Sample samples = 2}``; -1 when it is wrong."""
    stop = labels_end(buffer, p, end)
    if stop <= p:
        return fault(out, p, CUT if stop < 0 else NO_LABELS)
    row = out[SERIES]
    if row == len(spans):
        return no_room(out)
    spans[row, 0], spans[row, 1], spans[row, 2] = p, stop, out[COUNT]
    out[SERIES] = row + 1
    p = stop
    while 0 <= p < end:
        if buffer[p] != 0x12:
            after = skip(buffer, p, end)
            p = after if after >= 0 else fault(out, p, CUT)
            continue
        start, stop = block(buffer, p + 1, end)
        if stop < 0:
            p = fault(out, p, CUT)
        elif chunked:
            p = stop if _chunk(buffer, start, stop, times, values, out) >= 0 else -1
        else:
            after, time, value = one_sample(buffer, p + 1, end)
            if after < 0:
                p = fault(out, p, CUT_SAMPLE)
            elif out[COUNT] == len(times):
                p = no_room(out)
            else:
                times[out[COUNT]], values[out[COUNT]] = time, value
                out[COUNT] += 1
                p = after
    return p


def _build(build: int) -> Callable[..., int]:
    def walk(
        buffer: NDArray[np.uint8],
        size: int,
        chunked: bool,
        spans: NDArray[np.int64],
        times: NDArray[np.int64],
        values: NDArray[np.float64],
        out: NDArray[np.int64],
    ) -> int:
        """Series of `spans` (start and end of label messages, first sample), with `times` (ms) and `values`.

        `chunked`: frames of a length, a checksum and a ``ChunkedReadResponse``; else one ``ReadResponse``.
        """
        p = begin(buffer, size, out)
        while 0 <= p < size:
            start, end = p, size
            if chunked:
                length, start = varint(buffer, p, size)
                if start < 0 or length < 0 or length > size - start - 4:
                    p = fault(out, p, CUT_FRAME)
                    continue
                told = u8(swapped(load64(buffer, start)) >> u8(32))
                start += 4
                end = start + int(length)
                if u8(crc32c(buffer, start, end)) != told:
                    p = fault(out, p, BAD_SUM)
                    continue
            p = start
            while 0 <= p < end:
                first, stop = block(buffer, p + 1, end)
                if buffer[p] != 0x0A or stop < 0:
                    after = skip(buffer, p, end)
                    p = after if after >= 0 else fault(out, p, CUT)
                elif chunked:
                    p = _series(buffer, first, stop, spans, times, values, out, True)
                else:  # a QueryResult
                    p = first
                    while 0 <= p < stop:
                        inner, inner_end = block(buffer, p + 1, stop)
                        if buffer[p] != 0x0A or inner_end < 0:
                            after = skip(buffer, p, stop)
                            p = after if after >= 0 else fault(out, p, CUT)
                        else:
                            p = _series(buffer, inner, inner_end, spans, times, values, out, False)
        return build

    return cached(walk)


walk = _build(version(_tracks, _remote_write))
