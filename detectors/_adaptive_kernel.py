"""The compiled half of `adaptive`: scatter a frame into blocks, step each block, gather its answers.

One pass over the frame: a block stays in the first-level cache from its inputs to its outputs, for all times.
"""

from collections.abc import Callable
from hashlib import blake2b
from inspect import getsource
from types import ModuleType
from typing import Any, TypeAlias, cast

import numba
import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from aiops.plugin.columns import LANES
from detectors import _adaptive_fields, _adaptive_judge, _adaptive_learn
from detectors._adaptive_fields import f
from detectors._adaptive_judge import Block, compiled, f32, i32, view
from detectors._adaptive_learn import step

k = _adaptive_fields
SIZE = k.FIELDS * LANES
AHEAD = 3
"""Blocks from the one at work to the one that is fetched: a step takes as long as 2 or 3 trips to memory."""
QUARTER = k.FIELDS // 4
"""Fields, each a cache line, that are fetched at once: a processor has some 20 places for what is under way,
and a whole block would hold up the step: 1/20 slower."""
Matrix: TypeAlias = NDArray[np.float32]
Cube: TypeAlias = NDArray[np.float64]
Slots: TypeAlias = NDArray[np.int32]
_floats: Any = cast(Any, numba).carray
_POINTER: Any = cast(Any, types).CPointer(types.float32)


@intrinsic(prefer_literal=True)
def prefetch(_context: Any, array: Any, index: Any, lines: Any) -> Any:
    """Ask for cache lines before they are needed; an address outside the array does no harm.

    The fields of a block are not read in their order, which the processor's own prefetcher does not foresee;
    and answers have to be fetched as well, since what is written is a part of a line.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        byte = builder.bitcast(builder.gep(data, [args[1]]), ir.IntType(8).as_pointer())
        word, name = ir.IntType(32), "llvm.prefetch.p0"
        kind = ir.FunctionType(ir.VoidType(), [byte.type, word, word, word])
        fetch = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
        for line in range(lines.literal_value):
            place = builder.gep(byte, [ir.Constant(ir.IntType(64), 64 * line)])
            builder.call(fetch, [place, word(1), word(3), word(1)])
        return context.get_dummy_value()

    return types.void(array, index, lines), codegen


@intrinsic
def own_room(_context: Any) -> Any:
    """ROOM floats on the stack: no array is a part of them, so the vectorised loops are those that run."""

    def codegen(_context: Any, builder: Any, _signature: Any, _args: Any) -> Any:
        kind = ir.ArrayType(ir.FloatType(), k.ROOM)
        with builder.goto_entry_block():
            room = builder.alloca(kind)
        room.align = 4 * LANES
        return builder.bitcast(room, ir.FloatType().as_pointer())

    return _POINTER(), codegen


def _at(context: Any, builder: Any, kind: Any, array: Any, place: Any, unit: Any) -> Any:
    """The address of LANES values of type `unit` in an array, as one vector."""
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [place]), ir.VectorType(unit, LANES).as_pointer())


@intrinsic
def put_all(_context: Any, block: Any, at: Any, values: Any, learn: Any, place: Any) -> Any:
    """`put` of LANES samples that lie side by side, as vectors: the compiler cannot know that no array is
    part of another, and would take one after the other."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        floats, kinds = ir.VectorType(ir.FloatType(), LANES), signature.args
        value = builder.load(_at(context, builder, kinds[2], args[2], args[4], ir.DoubleType()), align=8)
        wanted = builder.load(_at(context, builder, kinds[3], args[3], args[4], ir.IntType(8)), align=1)
        high = builder.fptrunc(value, floats)
        low = builder.fptrunc(builder.fsub(value, builder.fpext(high, value.type)), floats)
        for field, vector in (
            (k.RAW_HIGH, high),
            (k.RAW_LOW, low),
            (k.LEARN, builder.uitofp(wanted, floats)),
        ):
            place = builder.add(args[1], ir.Constant(args[1].type, field))
            builder.store(vector, _at(context, builder, kinds[0], args[0], place, ir.FloatType()), align=4)
        return context.get_dummy_value()

    return types.void(block, at, values, learn, place), codegen


@intrinsic
def get_all(_context: Any, block: Any, at: Any, score: Any, band: Any, place: Any, points: Any) -> Any:
    """`get` of LANES answers that lie side by side, in the same way; a part of the band has `points`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        doubles, kinds = ir.VectorType(ir.DoubleType(), LANES), signature.args

        def field(number: int) -> Any:
            where = builder.add(args[1], ir.Constant(args[1].type, number))
            return builder.load(_at(context, builder, kinds[0], args[0], where, ir.FloatType()), align=4)

        def wide(number: int) -> Any:
            return builder.fpext(field(number), doubles)

        middle = builder.fadd(builder.fadd(wide(k.ANCHOR_HIGH), wide(k.ANCHOR_LOW)), wide(k.EXPECTED))
        reach, where = wide(k.REACH), args[4]
        builder.store(
            field(k.SCORE), _at(context, builder, kinds[2], args[2], where, ir.FloatType()), align=4
        )
        for part in (middle, builder.fsub(middle, reach), builder.fadd(middle, reach)):
            builder.store(part, _at(context, builder, kinds[3], args[3], where, ir.DoubleType()), align=8)
            where = builder.add(where, args[5])
        return context.get_dummy_value()

    return types.void(block, at, score, band, place, points), codegen


@intrinsic
def any_above(_context: Any, block: Any, place: Any, limit: Any) -> Any:
    """Whether any of LANES values is; the compiler would look at one after the other."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value = builder.load(
            _at(context, builder, signature.args[0], args[0], args[1], ir.FloatType()), align=4
        )
        limits = ir.Constant(value.type, ir.Undefined)
        for lane in range(LANES):
            limits = builder.insert_element(limits, args[2], ir.Constant(ir.IntType(32), lane))
        bits = builder.bitcast(builder.fcmp_ordered(">", value, limits), ir.IntType(LANES))
        return builder.icmp_unsigned("!=", bits, ir.Constant(bits.type, 0))

    return types.boolean(block, place, limit), codegen


@compiled
def fetch(block: Block, at: int, part: int) -> None:
    """A quarter of the block that is AHEAD of the one at `at`."""
    prefetch(block, at + AHEAD * SIZE + part * QUARTER * LANES, QUARTER)  # type: ignore[call-arg]


@compiled
def fetch_answers(score: Matrix, band: Cube, place: int, points: int) -> None:
    """The lines in which the answers of the block AHEAD will stand; `place` and `points` as in `get_all`."""
    place = place + AHEAD * LANES
    prefetch(score, place, 1)  # type: ignore[call-arg]
    for part in range(3):
        prefetch(band, place + part * points, 2)


@compiled
def tick(block: Block, at: int, lanes: int, warmup: f32, time_high: f32, time_low: f32) -> None:
    """One step of a block; one with nothing rare in it takes a third less.

    `lanes`: LANES, which the compiler must not know: it would unroll so short a loop before it vectorises.
    """
    at, room = at & k.PLACES, _floats(own_room(), k.ROOM)  # type: ignore[call-arg]
    fetch(block, at, 1)
    for lane in range(lanes & 63 * LANES):  # a multiple, and small: no loop for what is left over
        view(block, at + lane, room, lane, time_high, time_low)
    fetch(block, at, 2)
    if any_above(room, k.RARE, k.ZERO):
        step(block, at, room, warmup, True)
    else:
        step(block, at, room, warmup, False)


@compiled
def put(block: Block, j: int, value: float, learn: bool) -> None:
    high = f(value)
    block[k.RAW_HIGH + j] = high
    block[k.RAW_LOW + j] = f(value - np.float64(high))
    block[k.LEARN + j] = k.ONE if learn else k.ZERO


@compiled
def get(block: Block, j: int, t: int, i: int, score: Matrix, band: Cube) -> None:
    middle = np.float64(block[k.ANCHOR_HIGH + j]) + block[k.ANCHOR_LOW + j] + block[k.EXPECTED + j]
    score[t, i] = block[k.SCORE + j]
    band[0, t, i] = middle
    band[1, t, i] = middle - block[k.REACH + j]
    band[2, t, i] = middle + block[k.REACH + j]


@compiled
def _survey(slots: Slots) -> tuple[int, int, bool]:
    """The lowest, the highest, and whether they ascend; in one pass, which is a tenth of a step at rest."""
    low, high, falls = slots[0], slots[0], i32(0)
    for i in range(1, len(slots)):
        slot = slots[i]
        low, high = min(low, slot), max(high, slot)
        falls += i32(1) if slot <= slots[i - 1] else i32(0)
    return low, high, falls == 0


@compiled
def _behind(buckets: Slots, bucket: int, slots: Slots, low: int, high: int, ascending: bool) -> bool:
    """Whether a block must turn to `bucket` first; one that is a bucket further takes in late samples."""
    behind = i32(0)
    if ascending and high - low == len(slots) - 1:
        for block in range(low // LANES, high // LANES + 1):
            behind += i32(0) if 0 <= buckets[block * LANES & k.PLACES] - bucket <= 1 else i32(1)
    else:
        for slot in slots:
            behind += i32(0) if 0 <= buckets[slot // LANES * LANES & k.PLACES] - bucket <= 1 else i32(1)
    return bool(behind > 0)


@compiled
def _run(slots: Slots, start: int, ascending: bool) -> int:
    """The end of the run of ascending slots of one block."""
    first, last = slots[start], start + LANES - 1
    if ascending and first % LANES == 0 and last < len(slots) and slots[last] == first + LANES - 1:
        return start + LANES
    limit = (first // LANES + 1) * LANES
    end = start + 1
    while end < len(slots) and slots[end - 1] < slots[end] < limit:
        end += 1
    return end


def _build(_version: int) -> Callable[..., int]:
    """numba's cache looks at this file alone: `_version` in its key lets it see the others change."""

    def advance(
        block: Block,
        buckets: Slots,
        bucket: int,
        times: NDArray[np.float64],
        slots: Slots,
        values: NDArray[np.float64],
        learn: NDArray[np.bool_],
        lanes: int,
        warmup: f32,
        score: Matrix,
        band: Cube,
    ) -> int:
        """Step a frame ``values[T, S]``, learning where ``learn[T, S]``; `block` is the flat state.

        ``score[T, S]`` and ``band[3, T, S]`` (expected, lower, upper) are written unless they have no rows.
        Returns 0; or, having done nothing, the rows that the state must have, NEGATIVE for slots that are, or
        BEHIND where ``buckets[slot]`` is not `bucket`, unless that is ANY.
        """
        lowest, highest, ascending = _survey(slots)
        if lowest < 0:
            return k.NEGATIVE
        if highest // LANES * SIZE + SIZE > len(block):
            return highest + 1
        if bucket != k.ANY and _behind(buckets, bucket, slots, lowest, highest, ascending):
            return k.BEHIND
        start, points = 0, len(times) * len(slots)
        while start < len(slots):
            start = start & k.PLACES
            end = _run(slots, start, ascending)
            at, whole = slots[start] // LANES * SIZE & k.PLACES, end - start == LANES
            for t in range(len(times)):
                fetch(block, at, 0)
                if whole:
                    put_all(block, at, values, learn, t * len(slots) + start)  # type: ignore[call-arg]
                else:
                    for lane in range(LANES):
                        block[k.RAW_HIGH + at + lane] = k.NAN
                    for i in range(start, end):
                        put(block, at + slots[i] % LANES, values[t, i], learn[t, i])
                tick(block, at, lanes, warmup, f(times[t]), f(times[t] - np.float64(f(times[t]))))
                fetch(block, at, 3)
                if len(score) > 0 and whole:
                    fetch_answers(score, band, t * len(slots) + start, points)
                    get_all(block, at, score, band, t * len(slots) + start, points)
                elif len(score) > 0:
                    for i in range(start, end):
                        get(block, at + slots[i] % LANES, t, i, score, band)
            for place in range(k.INPUTS):
                block[at + place] = k.ZERO
            start = end
        return _version * 0

    return cast(Callable[..., int], njit(advance, error_model="numpy", nogil=True, cache=True))


def _version_of(*modules: ModuleType) -> int:
    source = "".join(map(getsource, modules))
    return int.from_bytes(blake2b(source.encode(), digest_size=7).digest(), "big")


advance = _build(_version_of(_adaptive_fields, _adaptive_judge, _adaptive_learn))
