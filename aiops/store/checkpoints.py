"""Learnt state on disk: numpy files and a JSON manifest, written aside and renamed. Never pickle.

A file that would hold what it held in the last checkpoint but one is linked to that one's: most of what is
learnt, and what series are called, changes seldom. Of the last but one, so that the two that are kept share
no file, and damage to one leaves the other.
"""

import json
import logging
import os
import shutil
import zlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from aiops.store.checkpoint_files import HEADER, Growing, Written, load, size

log = logging.getLogger("aiops.store")

FORMAT = 3
MANIFEST, FACTS = "manifest.json", "facts.json"
KEEP = 2
"""Checkpoints kept: when the newest is damaged, the one before it serves."""
THREADS = 2

Arrays = Mapping[str, Mapping[str, NDArray[Any]]]
Columns: TypeAlias = dict[str, NDArray[Any]]


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
        self._former = _former(folder, number)
        self._files: dict[str, Growing] = {}
        self._lock = Lock()

    def put(self, name: str, array: NDArray[Any], axis: int = 0, at: int = 0, of: int | None = None) -> None:
        """One part of array `name`: its place `at` along `axis` (0 or -1), which `of` are long altogether.

        `of` may be left out along the first axis. Parts neither overlap nor leave gaps.
        """
        with self._lock:
            if name not in self._files:
                path = self._aside / f"{name}.npy"
                self._files[name] = Growing(path, self._former.get(name))
        self._files[name].put(np.ascontiguousarray(array), axis, at, of)

    def finish(self, facts: Mapping[str, Any]) -> Path:
        """Write JSON-able `facts` and the manifest, and put it all in its place."""
        with ThreadPoolExecutor(THREADS) as pool:
            entries = dict(zip(self._files, pool.map(Growing.close, self._files.values()), strict=True))
        text = json.dumps(facts).encode()
        _write(self._aside / FACTS, text)
        body = {"format": FORMAT, "number": self._number, "facts": zlib.crc32(text), "arrays": entries}
        text = json.dumps(body).encode()
        _write(self._aside / MANIFEST, b"%s\n%08x\n" % (text, zlib.crc32(text)))
        _sync_folder(self._aside)
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


def read(
    folder: Path, number: int, first: str = "", use: Callable[[Columns], None] = lambda _: None
) -> tuple[dict[str, Columns], dict[str, Any]]:
    """(arrays, facts) of one checkpoint. Raises `Damaged`.

    `use` is given what part `first` has while the others are being read; they may still be damaged.
    """
    place = folder / f"{number:010d}"
    manifest = _manifest(place / MANIFEST)
    arrays: dict[str, Columns] = {}

    def load_all(wanted: bool) -> None:
        for name, entry in manifest["arrays"].items():
            part, column = name.rsplit(".", 1)
            if (part == first) is wanted:
                with _naming(place / f"{name}.npy"):
                    arrays.setdefault(part, {})[column] = load(place / f"{name}.npy", entry, pool)

    with ThreadPoolExecutor(THREADS) as pool, ThreadPoolExecutor(1) as aside:
        with _naming(place / MANIFEST):
            load_all(True)
        others = aside.submit(load_all, False)
        if first in arrays:
            use(arrays[first])
        with _naming(place / MANIFEST):
            others.result()
    with _naming(place / FACTS):
        text = (place / FACTS).read_bytes()
        if zlib.crc32(text) != manifest["facts"]:
            raise ValueError("its checksum does not match")
        return arrays, json.loads(text)


def newest(
    folder: Path, first: str = "", use: Callable[[Columns], None] = lambda _: None
) -> tuple[dict[str, Columns], dict[str, Any]] | None:
    """The newest checkpoint that can be used; damaged ones are named in the log and passed over.

    `first` and `use` as for `read`; `use` is called anew for each that is tried.
    """
    for number in reversed(numbers(folder)):
        try:
            return read(folder, number, first, use)
        except Damaged as why:
            log.warning("checkpoint passed over: %s", why)
    return None


def _former(folder: Path, number: int) -> dict[str, Written]:
    """What checkpoint `number` may link to: files of the last but one before it, if whole in length."""
    before = [known for known in numbers(folder) if known < number][-2:-1]
    found = {}
    for place in [folder / f"{known:010d}" for known in before]:
        try:
            for name, entry in _manifest(place / MANIFEST)["arrays"].items():
                path = place / f"{name}.npy"
                if HEADER < path.stat().st_size == size(entry):
                    found[name] = Written(path, entry)
        except (Damaged, OSError, LookupError, TypeError, ValueError) as why:
            log.info("nothing is shared with a former checkpoint: %s", why)
    return found


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


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
