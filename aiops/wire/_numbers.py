"""Compiled reading of numbers that are written out."""

import numpy as np
from numpy.typing import NDArray

from aiops.wire._bytes import compiled, u8

_MOST, _LEAST = 308, -342
_TENS = np.array([float(f"1e{k}") for k in range(_MOST + 1)])
_DIGITS = 19
"""As many fit into 64 bits."""


@compiled
def _digits(
    buffer: NDArray[np.uint8], p: int, end: int, mantissa: np.uint64, room: int
) -> tuple[np.uint64, int, int, int]:
    """(mantissa, digits that had room, digits that had none, offset behind) of the run of digits at `p`."""
    taken, left = 0, 0
    while p < end and 48 <= buffer[p] <= 57:
        if taken < room:
            mantissa = mantissa * u8(10) + u8(buffer[p] - 48)
            # zeros before the first digit take no room
            taken += int(mantissa > u8(0))
        else:
            left += 1
        p += 1
    return mantissa, taken, left, p


@compiled
def _word(buffer: NDArray[np.uint8], p: int, end: int, first: int, second: int, third: int) -> bool:
    """Whether three letters, lower or upper case, stand at `p`."""
    if p + 3 > end:
        return False
    return bool(buffer[p] | 32 == first and buffer[p + 1] | 32 == second and buffer[p + 2] | 32 == third)


@compiled
def scaled(mantissa: np.uint64, exponent: int) -> float:
    """``mantissa * 10 ** exponent``.

    Exact to 15 digits and small exponents (Clinger, "How to read floating point numbers accurately", 1990),
    else within 2 units in the last place.
    """
    value = float(mantissa)
    if exponent == 0 or value == 0.0:
        return value
    if exponent > 0:
        return float(value * _TENS[exponent]) if exponent <= _MOST else np.inf
    if exponent < _LEAST:
        return 0.0
    if exponent < -_MOST:
        return float(value / _TENS[-exponent - _MOST] / _TENS[_MOST])
    return float(value / _TENS[-exponent])


@compiled
def number(buffer: NDArray[np.uint8], p: int, end: int) -> tuple[float, int]:
    """(value, offset behind it) of a decimal number, ``NaN`` or ``Inf``; the offset is -1 when it is none."""
    negative = p < end and buffer[p] == 45
    p += p < end and (buffer[p] == 45 or buffer[p] == 43)
    if p < end and buffer[p] > 57:
        if _word(buffer, p, end, 110, 97, 110):
            return np.nan, p + 3
        if not _word(buffer, p, end, 105, 110, 102):
            return 0.0, -1
        p += 8 if _word(buffer, p + 3, end, 105, 110, 105) and p + 8 <= end else 3
        return (-np.inf if negative else np.inf), p
    start = p
    mantissa, taken, exponent, p = _digits(buffer, p, end, u8(0), _DIGITS)
    count = p - start
    if p < end and buffer[p] == 46:
        p += 1
        start = p
        # behind the first digits that had no room none has
        room = _DIGITS - taken if exponent == 0 else 0
        mantissa, _, left, p = _digits(buffer, p, end, mantissa, room)
        count += p - start
        exponent -= p - start - left
    if count == 0:
        return 0.0, -1
    if p < end and buffer[p] | 32 == 101:
        p += 1
        back = p < end and buffer[p] == 45
        p += p < end and (buffer[p] == 45 or buffer[p] == 43)
        power, _, _, after = _digits(buffer, p, end, u8(0), 6)
        if after == p:
            return 0.0, -1
        p = after
        exponent += -int(power) if back else int(power)
    value = scaled(mantissa, exponent)
    return (-value if negative else value), p
