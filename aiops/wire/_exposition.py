"""The compiled walk over exposition text: values to tracks, without reading labels met before.

Formats: https://prometheus.io/docs/instrumenting/exposition_formats/ (0.0.4) and
https://prometheus.io/docs/specs/om/open_metrics_spec/ (1.0).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiops.wire import _numbers, _remote_write, _tracks
from aiops.wire._bytes import cached, compiled, hash_span, version
from aiops.wire._numbers import number
from aiops.wire._remote_write import LAST, SAMPLES, begin, expected, fault, no_room, stranger
from aiops.wire._tracks import COUNTER, GAUGE, IGNORED, probe

FAULTS = (
    "no metric name, or labels that do not end",
    "a sample without a value",
    "something behind the value that is no time",
    "the last line is cut off",
    "no # EOF at the end",
)
NO_NAME, NO_VALUE, NO_TIME, CUT_LINE, NO_EOF = range(5)

STALE_AFTER = 300_000
"""ms: a sample whose own time is older by so much is none, as in Prometheus."""

_NEWLINE, _SPACE, _TAB, _HASH, _QUOTE, _BACKSLASH, _OPEN, _CLOSE = 10, 32, 9, 35, 34, 92, 123, 125
_UNTOLD, _COUNTED, _LEVEL, _BUCKETED, _SPREAD = range(5)
"""What a TYPE line says: nothing; counter; gauge, info, stateset; histogram, summary; gaugehistogram."""


@compiled
def blanks(buffer: NDArray[np.uint8], p: int, end: int) -> int:
    while p < end and (buffer[p] == _SPACE or buffer[p] == _TAB):
        p += 1
    return p


@compiled
def _line(buffer: NDArray[np.uint8], p: int, end: int) -> int:
    while p < end and buffer[p] != _NEWLINE:
        p += 1
    return p


@compiled
def quoted(buffer: NDArray[np.uint8], p: int, end: int) -> int:
    """The offset behind the text in quotes that begins at `p`; -1 when it does not end in its line."""
    p += 1
    while p < end and buffer[p] != _QUOTE and buffer[p] != _NEWLINE:
        p += 2 if buffer[p] == _BACKSLASH else 1
    return p + 1 if p < end and buffer[p] == _QUOTE else -1


@compiled
def _series_end(buffer: NDArray[np.uint8], p: int, end: int) -> int:
    """Where the name and labels that begin at `p` end; -1 when they are broken."""
    start = p
    while p < end and buffer[p] > _SPACE and buffer[p] != _OPEN:
        p += 1
    name = p
    p = blanks(buffer, p, end)
    if p >= end or buffer[p] != _OPEN:
        return name if name > start else -1
    while 0 <= p < end and buffer[p] != _CLOSE and buffer[p] != _NEWLINE:
        p = quoted(buffer, p, end) if buffer[p] == _QUOTE else p + 1
    return p + 1 if 0 <= p < end and buffer[p] == _CLOSE else -1


@compiled
def _spelt(
    buffer: NDArray[np.uint8], start: int, end: int, rows: NDArray[Any], ref: int, seed: np.uint64
) -> int:
    """Where the name and labels end if they are those of the track `ref`, else -1."""
    if not 0 <= ref < len(rows):
        return -1
    stop = start + rows[ref]["length"]
    if not start < stop < end or (buffer[stop] != _SPACE and buffer[stop] != _TAB):
        return -1
    if hash_span(buffer, start, stop, seed) != rows[ref]["hash"]:
        return -1
    after = blanks(buffer, stop, end)
    return stop if after >= end or buffer[after] != _OPEN else -1


@compiled
def _begins(buffer: NDArray[np.uint8], p: int, end: int, start: int, stop: int) -> bool:
    """Whether the text at `p` begins with ``buffer[start:stop]``."""
    k = 0
    while start + k < stop and p + k < end and buffer[p + k] == buffer[start + k]:
        k += 1
    return start + k == stop


@compiled
def _ends_in(buffer: NDArray[np.uint8], start: int, stop: int, letter: int, length: int) -> bool:
    """Whether ``_`` and then `letter` begin the `length` bytes before `stop`: that tells a family's parts."""
    return stop - length >= start and buffer[stop - length] == 95 and buffer[stop - length + 1] == letter


@compiled
def _kind_of(buffer: NDArray[np.uint8], p: int, end: int, family: NDArray[np.int64]) -> int:
    """What the newest TYPE line says of the series at `p`; -1 where its name has to tell."""
    p += buffer[p] == _OPEN
    start, stop, told = family[0], family[1], family[2]
    if told == _UNTOLD or stop <= start or not _begins(buffer, p, end, start, stop):
        return -1
    rest = p + stop - start
    name = rest
    while name < end and buffer[name] > _SPACE and buffer[name] != _OPEN and buffer[name] != _QUOTE:
        name += 1
    if name - rest == 8 and _ends_in(buffer, rest, name, 99, 8):  # _created
        return IGNORED if told != _LEVEL else -1
    if told == _COUNTED:
        return COUNTER
    if told == _LEVEL:
        return GAUGE if name == rest else -1
    if told == _SPREAD:
        return IGNORED if name - rest == 7 and _ends_in(buffer, rest, name, 98, 7) else GAUGE
    return -1


@compiled
def _told(buffer: NDArray[np.uint8], p: int, end: int, family: NDArray[np.int64]) -> bool:
    """Read the comment at `p`, into `family` when it is a TYPE line; true when it is ``# EOF``."""
    stop = _line(buffer, p, end)
    p = blanks(buffer, p + 1, stop)
    if stop - p >= 3 and buffer[p] == 69 and buffer[p + 1] == 79 and buffer[p + 2] == 70:
        return True
    if stop - p < 7 or buffer[p] != 84 or buffer[p + 1] != 89 or buffer[p + 4] > _SPACE:
        return False
    p = blanks(buffer, p + 4, stop)
    start = p
    p = quoted(buffer, p, stop) if buffer[p] == _QUOTE else p
    while 0 <= p < stop and buffer[p] > _SPACE:
        p += 1
    if p < 0:
        return False
    # a quoted name is compared with its first quote, as it stands in the series
    family[0], family[1] = start, p - (buffer[start] == _QUOTE)
    p = blanks(buffer, p, stop)
    first, second = buffer[p], buffer[p + 1]
    family[2] = _UNTOLD
    if first == 99:
        family[2] = _COUNTED
    elif first == 103:
        family[2] = _SPREAD if p + 5 < stop and buffer[p + 5] == 104 else _LEVEL
    elif first == 105 or (first == 115 and second == 116):
        family[2] = _LEVEL
    elif first == 104 or first == 115:
        family[2] = _BUCKETED
    return False


@compiled
def _time(buffer: NDArray[np.uint8], p: int, end: int, at: int, open_metrics: bool) -> tuple[int, int]:
    """(ms, offset of the line's end) of what stands behind a value; -1 for the offset when it is no time."""
    p = blanks(buffer, p, end)
    time = at
    if p < end and buffer[p] != _NEWLINE and buffer[p] != 13 and buffer[p] != _HASH:
        value, p = number(buffer, p, end)
        value *= 1000.0 if open_metrics else 1.0
        if p < 0 or not abs(value) < 9e18:
            return at, -1
        time = int(value)
        p = blanks(buffer, p, end)
    if p < end and buffer[p] == _HASH and open_metrics:  # an exemplar
        p = _line(buffer, p, end)
    p += p < end and buffer[p] == 13
    return time, (p if p >= end or buffer[p] == _NEWLINE else -1)


def _build(build: int) -> Callable[..., int]:
    def walk(
        buffer: NDArray[np.uint8],
        size: int,
        rows: NDArray[Any],
        cells: NDArray[np.int32],
        seed: np.uint64,
        at: int,
        open_metrics: bool,
        family: NDArray[np.int64],
        refs: NDArray[np.int32],
        times: NDArray[np.int64],
        values: NDArray[np.float64],
        strangers: NDArray[np.int64],
        out: NDArray[np.int64],
    ) -> int:
        """As `_remote_write.walk`. `at`: ms, for samples without a time. `family`: room for 3."""
        before, count, whole = out[LAST], 0, not open_metrics
        p = begin(buffer, size, out)
        family[:] = 0
        if p == 0 and size > 0 and buffer[size - 1] != _NEWLINE:
            p = fault(out, size, CUT_LINE)
        while 0 <= p < size:
            if buffer[p] == _HASH:
                whole |= _told(buffer, p, size, family)
                p = _line(buffer, p, size) + 1
                continue
            start = blanks(buffer, p, size)
            if buffer[start] == _NEWLINE or buffer[start] == 13:
                p = _line(buffer, start, size) + 1
                continue
            ref = expected(rows, before)
            p = _spelt(buffer, start, size, rows, ref, seed)
            if p < 0:
                p = _series_end(buffer, start, size)
                if p < 0:
                    p = fault(out, start, NO_NAME)
                    continue
                key = hash_span(buffer, start, p, seed)
                ref = probe(rows, cells, key)
                if ref < 0:
                    kind = _kind_of(buffer, start, size, family)
                    ref = stranger(strangers, out, start, p, key, kind)
                    if ref == 0:
                        break
                elif before >= 0:
                    rows[before]["next"] = ref
            value, after = number(buffer, blanks(buffer, p, size), size)
            if after < 0:
                p = fault(out, p, NO_VALUE)
                continue
            time, p = _time(buffer, after, size, at, open_metrics)
            if p < 0:
                p = fault(out, after, NO_TIME)
                continue
            p += 1
            before = ref
            if time <= at - STALE_AFTER:
                continue
            if count == len(refs):
                p = no_room(out)
                continue
            refs[count], times[count], values[count] = ref, time, value
            count += 1
        if p >= 0 and not whole:
            fault(out, size, NO_EOF)
        out[LAST], out[SAMPLES] = before, count
        return build

    return cached(walk)


walk = _build(version(_tracks, _remote_write, _numbers))
