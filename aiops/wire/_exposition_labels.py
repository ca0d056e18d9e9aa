"""Exposition text's names and labels -> label messages, which `Spellings` reads."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from aiops.wire import _exposition, _numbers, _remote_write, _tracks
from aiops.wire._bytes import cached, compiled, version
from aiops.wire._exposition import blanks, quoted

PAIR = 24
"""Bytes that a pair takes in a message beside its texts: two tags and three lengths of four bytes, and
the metric's own label name."""
_NAME = np.frombuffer(b"__name__", np.uint8)
_QUOTE, _BACKSLASH, _OPEN, _CLOSE, _COMMA, _EQUAL = 34, 92, 123, 125, 44, 61


@compiled
def _plain(byte: int, first: bool) -> bool:
    """Whether a name without quotes may have it; no digit is its `first`."""
    letter = 97 <= byte | 32 <= 122 or byte == 95 or byte == 58
    return letter or (48 <= byte <= 57 and not first)


@compiled
def _bare(buffer: NDArray[np.uint8], p: int, end: int) -> int:
    """The offset behind the name without quotes at `p`."""
    start = p
    while p < end and _plain(int(buffer[p]), p == start):
        p += 1
    return p


@compiled
def _length(made: NDArray[np.uint8], at: int, size: int) -> None:
    """Four bytes of a varint that could do with fewer."""
    for k in range(4):
        made[at + k] = (size >> (7 * k)) & 127 | (128 if k < 3 else 0)


@compiled
def _copy(buffer: NDArray[np.uint8], start: int, end: int, made: NDArray[np.uint8], at: int) -> int:
    """A tag's length and the text ``buffer[start:end]``, its escapes undone; the offset behind it."""
    begin = at + 4
    to = begin
    p = start
    while p < end:
        byte = buffer[p]
        if byte == _BACKSLASH and p + 1 < end and buffer[p + 1] in (_BACKSLASH, _QUOTE, 110):
            p += 1
            byte = np.uint8(10) if buffer[p] == 110 else buffer[p]
        made[to] = byte
        to += 1
        p += 1
    _length(made, at, to - begin)
    return to


@compiled
def _pair(
    buffer: NDArray[np.uint8],
    name: int,
    name_end: int,
    value: int,
    value_end: int,
    made: NDArray[np.uint8],
    at: int,
) -> int:
    """One label message; the name of an empty span is ``__name__``. The offset behind it."""
    made[at], made[at + 5] = 0x0A, 0x0A
    if name == name_end:
        to = _copy(_NAME, 0, len(_NAME), made, at + 6)
    else:
        to = _copy(buffer, name, name_end, made, at + 6)
    made[to] = 0x12
    to = _copy(buffer, value, value_end, made, to + 1)
    _length(made, at + 1, to - at - 5)
    return to


@compiled
def _labels(buffer: NDArray[np.uint8], p: int, end: int, made: NDArray[np.uint8], at: int) -> tuple[int, int]:
    """(offset behind what was made, -1) for the labels in ``buffer[p:end]``; or (-1, offset of the fault)."""
    p = blanks(buffer, p, end)
    while p < end and buffer[p] != _CLOSE:
        start = p
        if buffer[p] == _QUOTE:
            p = quoted(buffer, p, end)
            name, name_end = start + 1, p - 1
        else:
            p = _bare(buffer, p, end)
            name, name_end = start, p
        if name_end <= name:
            return -1, start
        p = blanks(buffer, p, end)
        if buffer[p] == _EQUAL:
            value = blanks(buffer, p + 1, end)
            p = quoted(buffer, value, end) if buffer[value] == _QUOTE else -1
            if p < 0:
                return -1, value
            at = _pair(buffer, name, name_end, value + 1, p - 1, made, at)
        elif buffer[start] == _QUOTE:
            at = _pair(buffer, name, name, name, name_end, made, at)
        else:
            return -1, p
        p = blanks(buffer, p, end)
        if buffer[p] == _COMMA:
            p = blanks(buffer, p + 1, end)
        elif buffer[p] != _CLOSE:
            return -1, p
    return at, -1


def _build(build: int) -> Callable[..., int]:
    def spell(
        buffer: NDArray[np.uint8],
        spans: NDArray[np.int64],
        made: NDArray[np.uint8],
        places: NDArray[np.int64],
        out: NDArray[np.int64],
    ) -> int:
        """Each span as label messages in `made`, from ``places[k, 0]`` to ``places[k, 1]``.

        ``out[0]``: offset of a fault, or -1.
        """
        at = 0
        out[0] = -1
        for k in range(len(spans)):
            p, end = spans[k, 0], spans[k, 1]
            places[k, 0] = at
            name = _bare(buffer, p, end)
            if name > p:
                at = _pair(buffer, p, p, p, name, made, at)
            p = blanks(buffer, name, end)
            if p < end:
                wrong = p
                if buffer[p] == _OPEN:
                    at, wrong = _labels(buffer, p + 1, end, made, at)
                if wrong >= 0:
                    out[0] = wrong
                    return build
            places[k, 1] = at
        return build

    return cached(spell)


spell = _build(version(_exposition, _tracks, _remote_write, _numbers))
