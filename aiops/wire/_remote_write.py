"""The compiled walk over a remote-write 1.0 message: samples to tracks, without reading labels met before.

Each track knows which one followed it last time, and how long and of what hash its labels are: a sender's
order hardly changes, so one hash of the predicted bytes says which series it is.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiops.wire import _tracks
from aiops.wire._bytes import (
    PAD,
    block,
    cached,
    compiled,
    hash_span,
    load64,
    load_float,
    skip,
    u8,
    varint,
    version,
)
from aiops.wire._tracks import probe

# What a walk leaves in `out`
STATUS, FAULT, SAMPLES, STRANGERS, LAST, METADATA, NATIVE, SYMBOLS = range(8)
OUT = 8
DONE, MORE_ROOM = -1, -2
"""In STATUS; 0 or more is the offset of a fault, and FAULT says which of `FAULTS`."""
FAULTS = (
    "the message is cut off, or no protobuf",
    "a series without labels",
    "a sample that is cut off",
    "a sample without a time",
    "labels that are not written before the samples",
    "an odd number of label references",
    "a reference to a symbol that was not sent before",
)
CUT, NO_LABELS, CUT_SAMPLE, NO_TIME, LATE_LABELS, ODD_LABELS, NO_SYMBOL = range(7)


@compiled
def begin(buffer: NDArray[np.uint8], size: int, out: NDArray[np.int64]) -> int:
    """Where to begin: behind the end when the buffer is not padded, so that nothing is read."""
    out[:] = 0
    padded = len(buffer) >= size + PAD
    out[STATUS], out[METADATA] = DONE if padded else size, -1
    return 0 if padded else size


@compiled
def fault(out: NDArray[np.int64], offset: int, which: int) -> int:
    out[STATUS], out[FAULT] = offset, which
    return -1


@compiled
def no_room(out: NDArray[np.int64]) -> int:
    out[STATUS] = MORE_ROOM
    return -1


@compiled
def one_sample(buffer: NDArray[np.uint8], p: int, end: int) -> tuple[int, np.int64, float]:
    """(offset behind, ms, value) of the sample whose length stands at `p`; the offset is -1 when broken.

    ``Sample {double value = 1; int64 timestamp = 2}``: as a rule 16 bytes with a 6-byte time.
    """
    wide = load64(buffer, p + 11)
    usual = buffer[p] == 16 and buffer[p + 1] == 0x09 and buffer[p + 10] == 0x10
    if usual and end - p >= 17 and wide & u8(0x808080808080) == u8(0x008080808080):
        time = (wide & u8(0x7F)) | ((wide >> u8(1)) & u8(0x3F80)) | ((wide >> u8(2)) & u8(0x1FC000))
        time |= ((wide >> u8(3)) & u8(0xFE00000)) | ((wide >> u8(4)) & u8(0x7F0000000))
        time |= (wide >> u8(5)) & u8(0x3F800000000)
        return p + 17, np.int64(time), load_float(buffer, p + 2)
    start, stop = block(buffer, p, end)
    time, value = np.int64(0), 0.0
    while 0 <= start < stop:
        if buffer[start] == 0x09 and start + 9 <= stop:
            value = load_float(buffer, start + 1)
            start += 9
        elif buffer[start] == 0x10:
            time, start = varint(buffer, start + 1, stop)
        else:
            start = skip(buffer, start, stop)
    return (stop if start >= 0 else -1), time, value


@compiled
def labels_end(buffer: NDArray[np.uint8], p: int, end: int) -> int:
    """Where the run of label messages that starts at `p` ends; -1 when one is broken."""
    while 0 <= p < end and buffer[p] == 0x0A:
        p = block(buffer, p + 1, end)[1]
    return p


@compiled
def samples(
    buffer: NDArray[np.uint8],
    p: int,
    end: int,
    ref: int,
    refs: NDArray[np.int32],
    times: NDArray[np.int64],
    values: NDArray[np.float64],
    out: NDArray[np.int64],
    native: int,
) -> int:
    """Write down the samples of one series, which are field 2 in both versions. -1 when something is wrong.

    `native`: the tag of native histograms, which are counted.
    """
    count = out[SAMPLES]
    while p < end:
        if buffer[p] == 0x12:
            after, time, value = one_sample(buffer, p + 1, end)
            if after < 0 or time <= 0:
                return fault(out, p, CUT_SAMPLE if after < 0 else NO_TIME)
            if count == len(refs):
                return no_room(out)
            refs[count], times[count], values[count] = ref, time, value
            count += 1
        else:
            if buffer[p] == 0x0A:
                return fault(out, p, LATE_LABELS)
            out[NATIVE] += buffer[p] == native
            after = skip(buffer, p, end)
            if after < 0:
                return fault(out, p, CUT)
        p = after
    out[SAMPLES] = count
    return end


@compiled
def stranger(
    strangers: NDArray[np.int64], out: NDArray[np.int64], start: int, end: int, key: np.uint64, kind: int
) -> int:
    """Write a stranger down; its ref, or 0 when there is no room."""
    number = out[STRANGERS]
    if number == len(strangers):
        no_room(out)
        return 0
    strangers[number, 0], strangers[number, 1] = start, end
    strangers[number, 2], strangers[number, 3] = np.int64(key), kind
    out[STRANGERS] = number + 1
    return -1 - int(number)


@compiled
def expected(rows: NDArray[Any], ref: int) -> int:
    """The track that followed `ref` last time."""
    return int(rows[ref]["next"]) if 0 <= ref < len(rows) else -1


@compiled
def _spelt(
    buffer: NDArray[np.uint8], start: int, end: int, rows: NDArray[Any], ref: int, seed: np.uint64
) -> int:
    """Where the labels end if they are those of the track `ref`, else -1."""
    if not 0 <= ref < len(rows):
        return -1
    stop = start + rows[ref]["length"]
    if start < stop <= end and (stop == end or buffer[stop] != 0x0A):
        return stop if hash_span(buffer, start, stop, seed) == rows[ref]["hash"] else -1
    return -1


def _build(build: int) -> Callable[..., int]:
    def walk(
        buffer: NDArray[np.uint8],
        size: int,
        rows: NDArray[Any],
        cells: NDArray[np.int32],
        seed: np.uint64,
        refs: NDArray[np.int32],
        times: NDArray[np.int64],
        values: NDArray[np.float64],
        strangers: NDArray[np.int64],
        out: NDArray[np.int64],
    ) -> int:
        """``WriteRequest {repeated TimeSeries timeseries = 1; repeated MetricMetadata metadata = 3}``.

        One ref, time (ms) and value a sample; ref ``-1 - k`` is stranger ``k``, whose row has the start,
        end and hash of its label bytes. ``out[LAST]``: the track that came last in the message before.
        """
        before = out[LAST]
        p = begin(buffer, size, out)
        while 0 <= p < size:
            if buffer[p] != 0x0A:
                if buffer[p] == 0x1A and out[METADATA] < 0:
                    out[METADATA] = p
                after = skip(buffer, p, size)
                p = after if after >= 0 else fault(out, p, CUT)
                continue
            start, end = block(buffer, p + 1, size)
            if end < 0:
                p = fault(out, p, CUT)
                continue
            ref = expected(rows, before)
            p = _spelt(buffer, start, end, rows, ref, seed)
            if p < 0:
                p = labels_end(buffer, start, end)
                if p <= start:
                    p = fault(out, start, CUT if p < 0 else NO_LABELS)
                    continue
                key = hash_span(buffer, start, p, seed)
                ref = probe(rows, cells, key)
                if ref < 0:
                    ref = stranger(strangers, out, start, p, key, 0)
                    if ref == 0:
                        break
                elif before >= 0:
                    rows[before]["next"] = ref
            p = samples(buffer, p, end, ref, refs, times, values, out, 0x22)
            before = ref
        out[LAST] = before
        return build

    return cached(walk)


walk = _build(version(_tracks))
