"""The numpy files of a checkpoint: written a part at a time, shared with a former one's, and read."""

import io
import logging
import os
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import prod
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

log = logging.getLogger("aiops.store")

HEADER = 128
"""Bytes before the numbers of a numpy file."""
READ = 1 << 22
"""Bytes read at a time of a file whose parts do not lie together."""
SYNC_EVERY = 1 << 25
"""Bytes of a file after which they are sent to the disk, so that little is left to wait for at the end."""


@dataclass(frozen=True, slots=True)
class Written:
    """A file of a former checkpoint, and its entry in that one's manifest."""

    path: Path
    entry: dict[str, Any]


class Growing:
    """A numpy file of an array whose parts come one after the other.

    It is begun with the first part that is not as `former` has it, by its sum: once in 4 billion a part that
    has changed is taken for the one of two checkpoints ago.
    """

    def __init__(self, path: Path, former: Written | None) -> None:
        self._path, self._former, self._fd = path, former, -1
        self._parts: list[tuple[int, int, int]] = []
        self._shape: tuple[int, ...] = ()
        self._dtype: np.dtype[Any] = np.dtype(np.float64)
        self._axis, self._unsynced = 0, 0
        self._of: int | None = None
        self._lock = Lock()

    def put(self, array: NDArray[Any], axis: int, at: int, of: int | None) -> None:
        length = array.shape[axis] if array.ndim else 1
        runs = list(_runs(array, axis, at, of if of is not None else length))
        total = 0
        for _, row in runs:
            total = zlib.crc32(row, total)
        with self._lock:
            if not self._parts:
                self._shape, self._dtype, self._axis, self._of = array.shape, array.dtype, axis, of
            if not self._as_former(at, length, total):
                self._begin()
            self._parts.append((at, length, total))
            if self._fd < 0:
                return
        for place, row in runs:
            write_all(self._fd, row, HEADER + place)
        self._unsynced += array.nbytes
        if self._unsynced > SYNC_EVERY:
            self._unsynced = 0
            os.fdatasync(self._fd)

    def close(self) -> dict[str, Any]:
        """Complete and synced; its entry in the manifest."""
        parts = [list(part) for part in sorted(self._parts)]
        shape = list(self._shape)
        if shape:
            shape[self._axis] = sum(length for _, length, _ in parts)
        entry = {"dtype": self._dtype.str, "shape": shape, "axis": self._axis, "parts": parts}
        if self._fd < 0 and self._linked(entry):
            return entry
        self._begin()
        head = io.BytesIO()
        described = {"descr": self._dtype.str, "fortran_order": False, "shape": tuple(shape)}
        np.lib.format.write_array_header_1_0(head, described)
        write_all(self._fd, memoryview(head.getvalue()), 0)
        os.fsync(self._fd)
        self.abandon()
        return entry

    def abandon(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _as_former(self, *part: int) -> bool:
        known = self._former.entry if self._former else {}
        alike = (known.get("dtype"), known.get("axis")) == (self._dtype.str, self._axis)
        return alike and list(part) in known["parts"]

    def _linked(self, entry: dict[str, Any]) -> bool:
        """Whether all of it is what `former` has, and is now that file."""
        if self._former is None or entry != self._former.entry:
            return False
        try:
            os.link(self._former.path, self._path)
        except OSError as why:  # not every file system has links
            log.debug("%s cannot be shared: %s", self._former.path, why)
            return False
        return True

    def _begin(self) -> None:
        """Write from now on; first what `former` has of it."""
        if self._fd >= 0:
            return
        self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        if self._former is None or not self._parts:
            return
        shape = tuple(self._former.entry["shape"]) or (1,)
        whole = np.memmap(self._former.path, self._dtype, "r", HEADER, shape)
        for at, length, _ in self._parts:
            part = whole[..., at : at + length] if self._axis else whole[at : at + length]
            for place, row in _runs(np.ascontiguousarray(part), self._axis, at, self._of or length):
                write_all(self._fd, row, HEADER + place)


def load(path: Path, entry: Mapping[str, Any], pool: ThreadPoolExecutor) -> NDArray[Any]:
    """The array of a file. Raises OSError, and ValueError when it is not what `entry` says was written."""
    shape, axis = tuple(entry["shape"]), int(entry["axis"])
    dtype = np.dtype(entry["dtype"])
    if path.stat().st_size != size(entry):
        raise ValueError("it is not as long as it was written")
    whole = np.empty(shape, dtype)
    flat = whole.reshape(-1, shape[-1]) if axis else whole.reshape(shape or (1,))
    # a part's rows stand far from each other in the file, which is read as it lies
    runs = [(a, b, 0) for a, b in _stretches(whole.nbytes)] if axis else entry["parts"]
    data = whole.reshape(-1).view(np.uint8)
    row = 1 if axis else dtype.itemsize * prod(shape[1:])
    with path.open("rb", buffering=0) as file:

        def fill(run: tuple[int, int, int]) -> bool:
            at, length, total = run
            part = data[at * row : (at + length) * row]
            _read_all(file.fileno(), part.data, HEADER + at * row)
            return bool(axis) or zlib.crc32(part.data) == total

        def agrees(part: tuple[int, int, int]) -> bool:
            at, length, total = part
            # one sum over a copy: a sum a row would ask for the interpreter a hundred times as often
            return zlib.crc32(np.ascontiguousarray(flat[:, at : at + length]).data.cast("B")) == total

        found = list(pool.map(fill, runs))
        found += pool.map(agrees, entry["parts"]) if axis else []
        if not all(found):
            raise ValueError("its checksum does not match")
    return whole


def _stretches(length: int) -> Iterator[tuple[int, int]]:
    """(place, length) of what is read at a time of so many bytes."""
    return ((at, min(READ, length - at)) for at in range(0, length, READ))


def size(entry: Mapping[str, Any]) -> int:
    """Bytes of a file, by its entry in the manifest."""
    return HEADER + int(np.dtype(entry["dtype"]).itemsize * prod(entry["shape"]))


def _runs(array: NDArray[Any], axis: int, at: int, of: int) -> Iterator[tuple[int, memoryview]]:
    """What of a contiguous `array` stands together in the file: where, in bytes, and what."""
    if axis == 0:
        row = array.itemsize * prod(array.shape[1:])
        yield at * row, array.reshape(-1).view(np.uint8).data
        return
    for number, row_ in enumerate(array.reshape(-1, array.shape[-1])):
        yield (number * of + at) * array.itemsize, row_.view(np.uint8).data


def write_all(fd: int, data: memoryview, place: int) -> None:
    """Raises OSError; a disk that fills up takes a part first, and refuses only the rest."""
    while len(data):
        taken = os.pwrite(fd, data, place)
        data, place = data[taken:], place + taken


def _read_all(fd: int, data: memoryview, place: int) -> None:
    while len(data):
        taken = os.preadv(fd, [data], place)
        if not taken:
            raise ValueError("it ends too soon")
        data, place = data[taken:], place + taken
