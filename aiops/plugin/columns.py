"""Growable struct-of-arrays: the only place where detector state lives."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from aiops.model.rows import run_of

LANES = 16
"""Rows side by side in a block: one AVX-512 register of float32, two of AVX2."""

WRITABLE: tuple[Literal["C"], Literal["W"]] = ("C", "W")
"""For `numpy.require`: what may be written to is of another type than what may not, and for both a kernel
would compile twice."""

_SMALLEST = 64


FLOAT, SLOT, FLAG = np.dtype(np.float64), np.dtype(np.int32), np.dtype(np.bool_)
"""What kernels take: times, values and distances; slots and rows; whether to learn."""


def plain(array: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """`array` as a kernel takes it, of `dtype` and as `WRITABLE` asks; a copy where it is not so already.

    What `numpy.require` does, in a tenth of its time, of which a row of 1,000 samples has no more than 20 us.
    """
    if array.dtype == dtype and array.flags.carray:
        return array
    return np.require(array, dtype, WRITABLE)


class Layout(StrEnum):
    """Where the row (slot) axis stands: what lies next to what in memory."""

    ROWS = "rows"
    """``[capacity, *shape]``: one row together. For code that works on a row at a time."""
    BLOCKS = "blocks"
    """``[capacity / LANES, *shape, LANES]``: a block of rows together, for compiled loops over lanes."""
    LAST = "last"
    """``[*shape, capacity]``: one field of all rows together. For tables of which a step touches one line."""
    TABLE = "table"
    """``[*shape]``: not one row a slot; growth and reset pass it by. Other columns may point into it."""
    SHARED = "shared"
    """``[*shape]``: one for all rows, such as a clock; growth and reset pass it by. Nothing points into it,
    and it changes seldom: a checkpoint that is taken in parts begins again when it did."""


_ROWLESS = (Layout.TABLE, Layout.SHARED)


@dataclass(frozen=True, slots=True)
class Column:
    """One named array: for each row `shape` values of `dtype`; new rows are filled with `fill`.

    A `lazy` column takes no memory, and is in no snapshot, until `Columns.allocate`.
    """

    dtype: DTypeLike
    fill: float = 0.0
    shape: tuple[int, ...] = ()
    layout: Layout = Layout.ROWS
    lazy: bool = False

    def shape_for(self, rows: int) -> tuple[int, ...]:
        """The array's shape with `rows` rows."""
        match self.layout:
            case Layout.ROWS:
                return (rows, *self.shape)
            case Layout.BLOCKS:
                return (rows // LANES, *self.shape, LANES)
            case Layout.LAST:
                return (*self.shape, rows)
            case Layout.TABLE | Layout.SHARED:
                return self.shape

    @property
    def rowed(self) -> bool:
        """Whether it has a row a slot."""
        return self.layout not in _ROWLESS

    @property
    def axis(self) -> int:
        """The axis along which rows follow each other."""
        return -1 if self.layout is Layout.LAST else 0

    def rows_of(self, array: NDArray[Any]) -> int:
        """How many rows `array` has; 0 for a table. Raises ValueError when its shape is not this column's."""
        length = array.shape[self.axis] if array.ndim and self.rowed else 0
        rows = length * LANES if self.layout is Layout.BLOCKS else length
        if array.shape != self.shape_for(rows):
            raise ValueError(f"{array.shape} is not {self.shape} a row in layout {self.layout.value!r}")
        return rows

    def new(self, rows: int) -> NDArray[Any]:
        shape = self.shape_for(rows)
        if self.fill == 0:  # pages of zeros cost no memory until they are written
            return np.zeros(shape, self.dtype)
        return np.full(shape, self.fill, self.dtype)

    def grown(self, array: NDArray[Any], rows: int) -> NDArray[Any]:
        """A copy of `array` with `rows` rows; what has no rows itself."""
        if not self.rowed:
            return array
        bigger = self.new(rows)
        if self.layout is Layout.LAST:
            bigger[..., : array.shape[-1]] = array
        else:
            bigger[: len(array)] = array
        return bigger

    def clear(self, array: NDArray[Any], slots: NDArray[np.int32]) -> None:
        """Fill the rows `slots` as if new."""
        at = run_of(slots)
        match self.layout:
            case Layout.ROWS:
                array[at] = self.fill
            case Layout.BLOCKS:
                if isinstance(at, slice):  # new series come in runs: whole blocks are filled as they lie
                    whole = range(-(-at.start // LANES), at.stop // LANES)
                    array[whole.start : whole.stop] = self.fill
                    slots = slots[(slots // LANES < whole.start) | (slots // LANES >= whole.stop)]
                array[slots // LANES, ..., slots % LANES] = self.fill
            case Layout.LAST:
                array[..., at] = self.fill
            case Layout.TABLE | Layout.SHARED:
                pass

    def take(self, array: NDArray[Any], slots: NDArray[np.int32]) -> NDArray[Any]:
        """A copy of the rows `slots`: ``[S, *shape]``, or ``[*shape, S]`` where rows are last."""
        at = run_of(slots)
        if self.layout is Layout.BLOCKS:
            return array[slots // LANES, ..., slots % LANES]
        return (array[..., at] if self.layout is Layout.LAST else array[at]).copy()

    def give(self, array: NDArray[Any], slots: NDArray[np.int32], rows: NDArray[Any]) -> None:
        """Write what `take` took. Raises ValueError when it is of another shape."""
        at = run_of(slots)
        if self.layout is Layout.BLOCKS:
            array[slots // LANES, ..., slots % LANES] = rows
        elif self.layout is Layout.LAST:
            array[..., at] = rows
        else:
            array[at] = rows

    def place(self, row: int) -> int:
        """Where on `axis` a row is that is a multiple of `LANES`."""
        return row // LANES if self.layout is Layout.BLOCKS else row

    def part(self, array: NDArray[Any], start: int, stop: int) -> NDArray[Any]:
        """A view of the rows from `start` to `stop`, both multiples of `LANES`."""
        rows = slice(self.place(start), self.place(stop))
        return array[..., rows] if self.layout is Layout.LAST else array[rows]


class Columns:
    """Named arrays that grow together by doubling; row = slot. The capacity is a multiple of `LANES`.

    `array` hands out the live array: write into it in place, and ask again after `ensure`, which may move it.
    """

    def __init__(self, **spec: Column) -> None:
        self.spec = spec
        self.capacity = 0
        self.generation = 0
        """Counts restores: whatever was derived from the arrays before is void."""
        self._arrays = {name: column.new(0) for name, column in spec.items() if not column.lazy}

    def array(self, name: str) -> NDArray[Any]:
        """The live array, of the column's `Layout`; with no rows while a lazy column is not allocated."""
        if name not in self._arrays:
            return self.spec[name].new(0)
        return self._arrays[name]

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.array(name)

    def allocated(self, name: str) -> bool:
        """Whether the column has its rows; always so when it is not lazy."""
        return name in self._arrays

    def allocate(self, name: str) -> None:
        """Give a lazy column its rows."""
        if name not in self._arrays:
            self._arrays[name] = self.spec[name].new(self.capacity)

    def ensure(self, capacity: int) -> None:
        """Hold at least `capacity` rows; existing rows keep their values."""
        if capacity <= self.capacity:
            return
        wanted = max(capacity, 2 * self.capacity, _SMALLEST)
        rows = -(-wanted // LANES) * LANES
        for name, array in self._arrays.items():
            self._arrays[name] = self.spec[name].grown(array, rows)
        self.capacity = rows

    def reset(self, slots: NDArray[np.int32]) -> None:
        """Forget these rows: a slot was given to another series."""
        if len(slots) == 0:
            return
        self.ensure(int(slots.max()) + 1)
        for name, array in self._arrays.items():
            self.spec[name].clear(array, slots)

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Copies that later steps do not touch; ``name -> array``."""
        return {name: array.copy() for name, array in self._arrays.items()}

    def part(self, start: int, stop: int) -> dict[str, NDArray[Any]]:
        """Views of the rows from `start` to `stop`, both multiples of `LANES`, where there are rows."""
        return {
            name: self.spec[name].part(array, start, stop)
            for name, array in self._arrays.items()
            if self.spec[name].rowed
        }

    def drop(self) -> None:
        """Hold no rows any more, and nothing else either."""
        self._arrays = {name: column.new(0) for name, column in self.spec.items() if not column.lazy}
        self.capacity = 0
        self.generation += 1

    def rows(self, slots: NDArray[np.int32]) -> dict[str, NDArray[Any]]:
        """Copies of the rows `slots`, for `put` into other columns of the same kind."""
        found = self._arrays.items()
        return {name: self.spec[name].take(array, slots) for name, array in found if self.spec[name].rowed}

    def put(self, slots: NDArray[np.int32], rows: Mapping[str, NDArray[Any]]) -> None:
        """Overwrite the rows `slots` by what `rows` of others gave; ValueError when it does not fit."""
        self.reset(slots)  # a lazy column that the others have not allocated is as new
        for name, part in rows.items():
            if name not in self.spec:
                raise ValueError(f"no column {name!r}")
            self.allocate(name)
            self.spec[name].give(self._arrays[name], slots, part)

    def arrays(self) -> Iterable[tuple[str, NDArray[Any]]]:
        """The live arrays that there are."""
        return self._arrays.items()

    @property
    def pointed(self) -> bool:
        """Whether rows point into a table."""
        return any(column.layout is Layout.TABLE for column in self.spec.values())

    def rowless(self) -> dict[str, NDArray[Any]]:
        """Copies of what has no rows."""
        return {name: array.copy() for name, array in self._arrays.items() if not self.spec[name].rowed}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take over a snapshot, whose arrays are this state's from then on where they have its types.

        Raises ValueError, changing nothing, when their shape is not this state's.
        """
        required = {name for name, column in self.spec.items() if not column.lazy}
        if not required <= set(arrays) <= set(self.spec):
            raise ValueError(f"columns {sorted(arrays)} are not {sorted(self.spec)}")
        rows = set()
        for name, array in arrays.items():
            try:
                found = self.spec[name].rows_of(array)
            except ValueError as why:
                raise ValueError(f"column {name!r}: {why}") from why
            if self.spec[name].rowed:
                rows.add(found)
        if len(rows) > 1:
            raise ValueError(f"columns differ in length: {sorted(rows)}")
        if any(count % LANES for count in rows):
            raise ValueError(f"{rows.pop()} rows are no multiple of {LANES}")
        self._arrays = {name: np.require(arrays[name], self.spec[name].dtype, ["C", "W"]) for name in arrays}
        self.capacity = rows.pop() if rows else 0
        self.generation += 1

    @property
    def nbytes(self) -> int:
        return sum(array.nbytes for array in self._arrays.values())
