"""Learnt state on disk: numpy files and a JSON manifest, written aside and renamed. Never pickle."""

import io
import json
import logging
import os
import shutil
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from math import prod
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

log = logging.getLogger("aiops.store")

FORMAT = 3
MANIFEST, FACTS = "manifest.json", "facts.json"
KEEP = 2
"""Checkpoints kept: when the newest is damaged, the one before it serves."""
HEADER = 128
"""Bytes before the numbers of a numpy file."""
SYNC_EVERY = 1 << 25
"""Bytes of a file after which they are sent to the disk, so that little is left to wait for at the end."""
THREADS = 2

Arrays = Mapping[str, Mapping[str, NDArray[Any]]]


class Damaged(Exception):
    """A checkpoint cannot be used; the message names the file."""


class Writer:
    """Checkpoint `number` in the making: arrays come a part at a time, from any thread.

    Durable once `finish` returns: every file and the folder are synced before the rename.
    """

    def __init__(self, folder: Path, number: int) -> None:
        """Raises OSError, as every method does; the former checkpoint stays."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._number = folder, number
        self._aside = folder / f"{number:010d}.writing"
        shutil.rmtree(self._aside, ignore_errors=True)
        self._aside.mkdir()
        self._files: dict[str, _Growing] = {}
        self._lock = Lock()

    def put(self, name: str, array: NDArray[Any], axis: int = 0, at: int = 0, of: int | None = None) -> None:
        """One part of array `name`: its place `at` along `axis` (0 or -1), which `of` are long altogether.

        `of` may be left out along the first axis. Parts neither overlap nor leave gaps.
        """
        with self._lock:
            if name not in self._files:
                self._files[name] = _Growing(self._aside / f"{name}.npy")
        self._files[name].put(np.ascontiguousarray(array), axis, at, of)

    def finish(self, facts: Mapping[str, Any]) -> Path:
        """Write JSON-able `facts` and the manifest, and put it all in its place."""
        with ThreadPoolExecutor(THREADS) as pool:
            entries = dict(zip(self._files, pool.map(_Growing.close, self._files.values()), strict=True))
        text = json.dumps(facts).encode()
        _write(self._aside / FACTS, text)
        body = {"format": FORMAT, "number": self._number, "facts": zlib.crc32(text), "arrays": entries}
        text = json.dumps(body).encode()
        _write(self._aside / MANIFEST, b"%s\n%08x\n" % (text, zlib.crc32(text)))
        final = self._folder / f"{self._number:010d}"
        shutil.rmtree(final, ignore_errors=True)
        self._aside.rename(final)
        _sync_folder(self._folder)
        for old in numbers(self._folder)[:-KEEP]:
            shutil.rmtree(self._folder / f"{old:010d}", ignore_errors=True)
        return final

    def drop(self) -> None:
        """Leave nothing behind of what was not finished."""
        for file in self._files.values():
            file.abandon()
        shutil.rmtree(self._aside, ignore_errors=True)


@contextmanager
def writing(folder: Path, number: int) -> Iterator[Writer]:
    """A `Writer` that is dropped if something is raised."""
    writer = Writer(folder, number)
    try:
        yield writer
    except BaseException:
        writer.drop()
        raise


def write(folder: Path, number: int, arrays: Arrays, facts: Mapping[str, Any]) -> Path:
    """Write checkpoint `number` at once: ``arrays[part][column]`` and JSON-able `facts`. Raises OSError."""
    with writing(folder, number) as writer:
        for part, columns in arrays.items():
            for name, array in columns.items():
                writer.put(f"{part}.{name}", array)
        return writer.finish(facts)


def numbers(folder: Path) -> list[int]:
    """The checkpoints there are, oldest first."""
    return sorted(int(p.name) for p in folder.glob("[0-9]*") if p.name.isdigit())


def read(folder: Path, number: int) -> tuple[dict[str, dict[str, NDArray[Any]]], dict[str, Any]]:
    """(arrays, facts) of one checkpoint. Raises `Damaged`."""
    place = folder / f"{number:010d}"
    manifest = _manifest(place / MANIFEST)
    arrays: dict[str, dict[str, NDArray[Any]]] = {}
    with ThreadPoolExecutor(THREADS) as pool:
        for name, entry in manifest["arrays"].items():
            part, column = name.rsplit(".", 1)
            with _naming(place / f"{name}.npy"):
                arrays.setdefault(part, {})[column] = _load(place / f"{name}.npy", entry, pool)
    with _naming(place / FACTS):
        text = (place / FACTS).read_bytes()
        if zlib.crc32(text) != manifest["facts"]:
            raise ValueError("its checksum does not match")
        return arrays, json.loads(text)


def newest(folder: Path) -> tuple[dict[str, dict[str, NDArray[Any]]], dict[str, Any]] | None:
    """The newest checkpoint that can be used; damaged ones are named in the log and passed over."""
    for number in reversed(numbers(folder)):
        try:
            return read(folder, number)
        except Damaged as why:
            log.warning("checkpoint passed over: %s", why)
    return None


class _Growing:
    """A numpy file of an array whose parts come one after the other."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        self._parts: list[tuple[int, int, int]] = []
        self._shape: tuple[int, ...] = ()
        self._dtype: np.dtype[Any] = np.dtype(np.float64)
        self._axis, self._unsynced = 0, 0

    def put(self, array: NDArray[Any], axis: int, at: int, of: int | None) -> None:
        length = array.shape[axis] if array.ndim else 1
        if not self._parts:
            self._shape, self._dtype, self._axis = array.shape, array.dtype, axis
        total = 0
        for place, row in _runs(array, axis, at, of if of is not None else length):
            total = zlib.crc32(row, total)
            _write_all(self._fd, row, HEADER + place)
        self._parts.append((at, length, total))
        self._unsynced += array.nbytes
        if self._unsynced > SYNC_EVERY:
            self._unsynced = 0
            os.fdatasync(self._fd)

    def close(self) -> dict[str, Any]:
        """Complete and synced; its entry in the manifest."""
        parts = sorted(self._parts)
        shape = list(self._shape)
        if shape:
            shape[self._axis] = sum(length for _, length, _ in parts)
        head = io.BytesIO()
        described = {"descr": self._dtype.str, "fortran_order": False, "shape": tuple(shape)}
        np.lib.format.write_array_header_1_0(head, described)
        _write_all(self._fd, memoryview(head.getvalue()), 0)
        os.fsync(self._fd)
        self.abandon()
        return {"dtype": self._dtype.str, "shape": shape, "axis": self._axis, "parts": parts}

    def abandon(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _runs(array: NDArray[Any], axis: int, at: int, of: int) -> Iterator[tuple[int, memoryview]]:
    """What of a contiguous `array` stands together in the file: where, in bytes, and what."""
    if axis == 0:
        row = array.itemsize * prod(array.shape[1:])
        yield at * row, array.reshape(-1).view(np.uint8).data
        return
    for number, row_ in enumerate(array.reshape(-1, array.shape[-1])):
        yield (number * of + at) * array.itemsize, row_.view(np.uint8).data


def _load(path: Path, entry: dict[str, Any], pool: ThreadPoolExecutor) -> NDArray[Any]:
    shape, axis = tuple(entry["shape"]), int(entry["axis"])
    dtype = np.dtype(entry["dtype"])
    if path.stat().st_size != HEADER + dtype.itemsize * prod(shape):
        raise ValueError("it is not as long as it was written")
    whole = np.empty(shape, dtype)
    flat = whole.reshape(-1, shape[-1]) if axis else whole.reshape(shape or (1,))
    with path.open("rb", buffering=0) as file:

        def fill(part: tuple[int, int, int]) -> bool:
            at, length, total = part
            found = 0
            for row in flat[:, at : at + length] if axis else flat[None, at : at + length]:
                data = row.reshape(-1).view(np.uint8)
                _read_all(file.fileno(), memoryview(data), HEADER + data.ctypes.data - whole.ctypes.data)
                found = zlib.crc32(data, found)
            return found == total

        if not all(list(pool.map(fill, entry["parts"]))):
            raise ValueError("its checksum does not match")
    return whole


def _manifest(path: Path) -> dict[str, Any]:
    with _naming(path):
        text, _, rest = path.read_bytes().partition(b"\n")
        found = json.loads(text)
        if found["format"] != FORMAT:
            raise ValueError(f"format {found['format']}, this version reads {FORMAT}")
        if rest != b"%08x\n" % zlib.crc32(text):
            raise ValueError("its checksum does not match")
        return dict(found)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """What goes wrong inside is damage to `path`."""
    try:
        yield
    except (OSError, ValueError, TypeError, LookupError) as why:
        raise Damaged(f"{path}: {why}") from why


def _write(path: Path, text: bytes) -> None:
    with path.open("wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _write_all(fd: int, data: memoryview, place: int) -> None:
    """A disk that fills up takes a part first, and refuses only the rest."""
    while len(data):
        taken = os.pwrite(fd, data, place)
        data, place = data[taken:], place + taken


def _read_all(fd: int, data: memoryview, place: int) -> None:
    while len(data):
        taken = os.preadv(fd, [data], place)
        if not taken:
            raise ValueError("it ends too soon")
        data, place = data[taken:], place + taken


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
