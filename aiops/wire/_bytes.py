"""Compiled reading of bytes: what every decoder's inner loop is made of.

A buffer is ``uint8`` with `PAD` readable bytes behind its end: wide loads may look there, and what they
find is masked. Nothing reads before the offset that it is given, or further behind the end.
"""

from collections.abc import Callable
from hashlib import blake2b
from inspect import getsource
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

F = TypeVar("F", bound=Callable[..., Any])

_intrinsic: Callable[[Callable[..., Any]], Any] = cast(Any, intrinsic)
_njit: Callable[..., Any] = njit

PAD = 64
u8 = np.uint64

# Odd constants of wyhash (Wang Yi, public domain)
_K0, _K1 = u8(0xA0761D6478BD642F), u8(0xE7037ED1A0B428DB)
_K2, _K3 = u8(0x8EBC6AF09C88C6E3), u8(0x589965CC75374CC3)


def compiled(function: F) -> F:
    """No runtime: such functions cannot make arrays, and do not count who holds them.

    Counting costs two locked operations an array a call: 70 ns a sample against 16 (measured).
    """
    return cast(F, _njit(function, error_model="numpy", nogil=True, _nrt=False))


def cached(function: F) -> F:
    """As `compiled`, and kept on disk: keyed by its own file and what it closes over, see `version`."""
    return cast(F, _njit(function, error_model="numpy", nogil=True, _nrt=False, cache=True))


def version(*modules: Any) -> int:
    """Of the sources that a cached function includes beside its own; it has to close over this number."""
    sources = [Path(__file__).read_text(), *map(getsource, modules)]
    return int.from_bytes(blake2b("".join(sources).encode(), digest_size=7).digest(), "big")


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, offset: Any) -> Any:
    made = cast(Any, cgutils).create_struct_proxy(array_type)(context, builder, value=array)
    return builder.gep(made.data, [offset])


@_intrinsic
def load64(_typing: Any, buffer: Any, offset: Any) -> Any:
    """The little-endian unsigned 64 bits at any byte offset."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = _pointer(context, builder, signature.args[0], *args)
        return builder.load(builder.bitcast(at, ir.IntType(64).as_pointer()), align=1)

    return types.uint64(buffer, types.intp), generate


@_intrinsic
def load_float(_typing: Any, buffer: Any, offset: Any) -> Any:
    """The little-endian float64 at any byte offset."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = _pointer(context, builder, signature.args[0], *args)
        return builder.load(builder.bitcast(at, ir.DoubleType().as_pointer()), align=1)

    return types.float64(buffer, types.intp), generate


@_intrinsic
def bits_of(_typing: Any, number: Any) -> Any:
    """A float64 as its 64 bits."""

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.IntType(64))

    return types.uint64(types.float64), generate


@_intrinsic
def float_of(_typing: Any, bits: Any) -> Any:
    """64 bits as the float64 that they are."""

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.DoubleType())

    return types.float64(types.uint64), generate


@_intrinsic
def swapped(_typing: Any, word: Any) -> Any:
    """64 bits with their bytes in the other order."""

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.bswap(args[0])

    return types.uint64(types.uint64), generate


@_intrinsic
def fold(_typing: Any, one: Any, other: Any) -> Any:
    """The two halves of a 128-bit product, xored: wyhash's mixing step."""

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        wide, narrow = ir.IntType(128), ir.IntType(64)
        product = builder.mul(builder.zext(args[0], wide), builder.zext(args[1], wide))
        high = builder.lshr(product, ir.Constant(wide, 64))
        return builder.xor(builder.trunc(product, narrow), builder.trunc(high, narrow))

    return types.uint64(types.uint64, types.uint64), generate


@compiled
def hash_span(buffer: NDArray[np.uint8], start: int, end: int, seed: np.uint64) -> np.uint64:
    """64 bits of ``buffer[start:end]``, never 0. wyhash's scheme: four chains of 16 bytes a multiplication.

    A link takes 6 cycles, in which the processor can begin as many others.
    """
    one, other, p = seed ^ u8(end - start) * _K3, seed ^ _K2, start
    if p + 64 <= end:
        third, fourth = seed ^ _K0, seed ^ _K1
        while p + 64 <= end:
            one = fold(load64(buffer, p) ^ _K0, load64(buffer, p + 8) ^ one)
            other = fold(load64(buffer, p + 16) ^ _K1, load64(buffer, p + 24) ^ other)
            third = fold(load64(buffer, p + 32) ^ _K2, load64(buffer, p + 40) ^ third)
            fourth = fold(load64(buffer, p + 48) ^ _K3, load64(buffer, p + 56) ^ fourth)
            p += 64
        one, other = one ^ third, other ^ fourth
    while p + 32 <= end:
        one = fold(load64(buffer, p) ^ _K0, load64(buffer, p + 8) ^ one)
        other = fold(load64(buffer, p + 16) ^ _K1, load64(buffer, p + 24) ^ other)
        p += 32
    if p + 16 <= end:
        one = fold(load64(buffer, p) ^ _K0, load64(buffer, p + 8) ^ one)
        p += 16
    rest = end - p
    if rest > 0:
        low, high = load64(buffer, p), u8(0)
        if rest < 8:
            low &= (u8(1) << u8(8 * rest)) - u8(1)
        elif rest > 8:
            high = load64(buffer, p + 8) & ((u8(1) << u8(8 * (rest - 8))) - u8(1))
        other = fold(low ^ _K1, high ^ other)
    return not_zero(fold(fold(one ^ _K2, other ^ _K0) ^ _K3, other ^ one ^ _K1))


@compiled
def chain(state: np.uint64, part: np.uint64) -> np.uint64:
    """Add a hash to a hash of hashes, in order."""
    mixed: np.uint64 = fold(state ^ part ^ _K0, part ^ _K1)
    return mixed


@compiled
def not_zero(value: np.uint64) -> np.uint64:
    """0 stands for "no hash"."""
    return value if value != u8(0) else u8(1)


@compiled
def varint(buffer: NDArray[np.uint8], p: int, end: int) -> tuple[np.int64, int]:
    """(value, the offset behind it) of a protobuf varint; the offset is -1 when it does not end before `end`.

    Values of 2^63 and more come out negative.
    """
    if p < end and buffer[p] < 128:
        return np.int64(buffer[p]), p + 1
    value, shift = u8(0), u8(0)
    while p < end and shift < u8(70):
        byte = u8(buffer[p])
        p += 1
        value |= (byte & u8(127)) << shift
        if byte < u8(128):
            return np.int64(value), p
        shift += u8(7)
    return np.int64(0), -1


@compiled
def block(buffer: NDArray[np.uint8], p: int, end: int) -> tuple[int, int]:
    """(start, end) of the bytes whose length stands at `p`; the end is -1 when they pass `end`."""
    length, start = varint(buffer, p, end)
    if start < 0 or length < 0 or length > end - start:
        return start, -1
    return start, start + int(length)


@compiled
def skip(buffer: NDArray[np.uint8], p: int, end: int) -> int:
    """The offset behind the protobuf field whose tag stands at `p`; -1 when it is broken."""
    tag, after = varint(buffer, p, end)
    if after < 0 or tag < 8:
        return -1
    wire = tag & 7
    if wire == 0:
        return varint(buffer, after, end)[1]
    if wire == 1:
        return after + 8 if after + 8 <= end else -1
    if wire == 2:
        return block(buffer, after, end)[1]
    if wire == 5:
        return after + 4 if after + 4 <= end else -1
    return -1
