"""Growable struct-of-arrays: the only place where detector state lives."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


@dataclass(frozen=True, slots=True)
class Column:
    """One named array: ``[capacity, *shape]`` of `dtype`, new rows filled with `fill`."""

    dtype: DTypeLike
    fill: float = 0.0
    shape: tuple[int, ...] = ()


class Columns:
    """Named arrays that grow together by doubling; row = slot.

    `array` hands out the live array: write into it in place, and ask again after `ensure`, which may move it.
    """

    def __init__(self, **spec: Column) -> None:
        self.spec = spec
        self.capacity = 0
        self._arrays = {name: self._new(column, 0) for name, column in spec.items()}

    def array(self, name: str) -> NDArray[Any]:
        return self._arrays[name]

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._arrays[name]

    def ensure(self, capacity: int) -> None:
        """Hold at least `capacity` rows; existing rows keep their values."""
        if capacity <= self.capacity:
            return
        grown = max(capacity, 2 * self.capacity, 64)
        for name, column in self.spec.items():
            bigger = self._new(column, grown)
            bigger[: self.capacity] = self._arrays[name]
            self._arrays[name] = bigger
        self.capacity = grown

    def reset(self, slots: NDArray[np.int32]) -> None:
        """Forget these rows: a slot was given to another series."""
        if len(slots) == 0:
            return
        self.ensure(int(slots.max()) + 1)
        for name, column in self.spec.items():
            self._arrays[name][slots] = column.fill

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Copies that later steps do not touch."""
        return {name: array.copy() for name, array in self._arrays.items()}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take over a snapshot. Raises ValueError, changing nothing, when its shape is not this state's."""
        if set(arrays) != set(self.spec):
            raise ValueError(f"columns {sorted(arrays)} are not {sorted(self.spec)}")
        capacities = {len(array) for array in arrays.values()}
        if len(capacities) > 1:
            raise ValueError(f"columns differ in length: {sorted(capacities)}")
        for name, column in self.spec.items():
            if arrays[name].shape[1:] != column.shape:
                raise ValueError(f"column {name!r} has rows of {arrays[name].shape[1:]}, not {column.shape}")
        self._arrays = {
            name: np.array(arrays[name], dtype=column.dtype) for name, column in self.spec.items()
        }
        self.capacity = capacities.pop() if capacities else 0

    @property
    def nbytes(self) -> int:
        return sum(array.nbytes for array in self._arrays.values())

    @staticmethod
    def _new(column: Column, rows: int) -> NDArray[Any]:
        return np.full((rows, *column.shape), column.fill, column.dtype)
