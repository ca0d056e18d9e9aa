"""Protobuf fields one at a time, for what is too rare to be compiled."""

from collections.abc import Iterator

from aiops.wire import WireError


def varint(data: memoryview, p: int, end: int) -> tuple[int, int]:
    """(value, offset behind it). Raises `WireError`."""
    value = shift = 0
    start = p
    while p < end and shift < 70:
        byte = data[p]
        p += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & ((1 << 64) - 1), p
        shift += 7
    raise WireError("a number that does not end", start)


def fields(data: memoryview, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """(number, value, start, end) of each field: the value of a varint, the span of everything else.

    Raises `WireError`.
    """
    p = start
    while p < end:
        tag, at = varint(data, p, end)
        value = 0
        match tag & 7:
            case 0:
                value, stop = varint(data, at, end)
            case 1:
                stop = at + 8
            case 2:
                length, at = varint(data, at, end)
                stop = at + length
            case 5:
                stop = at + 4
            case _:
                raise WireError("no protobuf field", p)
        if stop > end or tag < 8:
            raise WireError("a field that is cut off", p)
        yield tag >> 3, value, at, stop
        p = stop
