"""Learnt state on disk: numpy files and a JSON manifest, written aside and renamed. Never pickle."""

import json
import logging
import os
import shutil
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

log = logging.getLogger("aiops.store")

FORMAT = 2
MANIFEST, FACTS = "manifest.json", "facts.json"
KEEP = 2
"""Checkpoints kept: when the newest is damaged, the one before it serves."""

Arrays = Mapping[str, Mapping[str, NDArray[Any]]]


class Damaged(Exception):
    """A checkpoint cannot be used; the message names the file."""


def write(folder: Path, number: int, arrays: Arrays, facts: Mapping[str, Any]) -> Path:
    """Write checkpoint `number`: ``arrays[part][column]`` and JSON-able `facts`.

    Raises OSError, leaving the old one.

    Durable when it returns: every file and the folder are synced before the rename.
    """
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder / f"{number:010d}.writing"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    sums: dict[str, int] = {}
    try:
        for part, columns in arrays.items():
            for name, array in columns.items():
                with _Summed(aside / f"{part}.{name}.npy", sums) as out:
                    np.save(out, array, allow_pickle=False)
        with _Summed(aside / FACTS, sums) as out:
            out.write(json.dumps(facts).encode())
        with _Summed(aside / MANIFEST, {}) as out:
            out.write(json.dumps({"format": FORMAT, "number": number, "sums": sums}).encode())
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    final = folder / f"{number:010d}"
    shutil.rmtree(final, ignore_errors=True)
    aside.rename(final)
    _sync_folder(folder)
    for old in numbers(folder)[:-KEEP]:
        shutil.rmtree(folder / f"{old:010d}", ignore_errors=True)
    return final


def numbers(folder: Path) -> list[int]:
    """The checkpoints there are, oldest first."""
    return sorted(int(p.name) for p in folder.glob("[0-9]*") if p.name.isdigit())


def read(folder: Path, number: int) -> tuple[dict[str, dict[str, NDArray[Any]]], dict[str, Any]]:
    """(arrays, facts) of one checkpoint. Raises `Damaged`."""
    place = folder / f"{number:010d}"
    sums = _sums_of(place / MANIFEST)
    arrays: dict[str, dict[str, NDArray[Any]]] = {}
    facts: dict[str, Any] = {}
    for name, expected in sums.items():
        try:
            # before anything is read into it: a damaged header makes numpy raise whatever comes to hand
            if _sum(place / name) != expected:
                raise ValueError("its checksum does not match")
            if name == FACTS:
                facts = json.loads((place / name).read_bytes())
            else:
                part, column, _ = name.rsplit(".", 2)
                arrays.setdefault(part, {})[column] = np.load(place / name, allow_pickle=False)
        except (OSError, ValueError) as why:
            raise Damaged(f"{place / name}: {why}") from why
    return arrays, facts


def _sums_of(manifest: Path) -> dict[str, int]:
    try:
        found = json.loads(manifest.read_bytes())
        if found["format"] != FORMAT:
            raise ValueError(f"format {found['format']}, this version reads {FORMAT}")
        if FACTS not in found["sums"]:
            raise ValueError("it is not whole")
        return dict(found["sums"])
    except (OSError, ValueError, TypeError, LookupError) as why:
        raise Damaged(f"{manifest}: {why}") from why


def newest(folder: Path) -> tuple[dict[str, dict[str, NDArray[Any]]], dict[str, Any]] | None:
    """The newest checkpoint that can be used; damaged ones are named in the log and passed over."""
    for number in reversed(numbers(folder)):
        try:
            return read(folder, number)
        except Damaged as why:
            log.warning("checkpoint passed over: %s", why)
    return None


class _Summed:
    """A new file that is synced when it is closed; its checksum goes into `sums`.

    numpy writes arrays into real files by C's own means, whose errors say neither why nor where.
    """

    def __init__(self, path: Path, sums: dict[str, int]) -> None:
        self._path, self._sums, self._sum = path, sums, 0

    def __enter__(self) -> "_Summed":
        self._file = self._path.open("wb")
        return self

    def write(self, data: bytes) -> int:
        self._sum = zlib.crc32(data, self._sum)
        return self._file.write(data)

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        with self._file:
            if kind is None:
                self._file.flush()
                os.fsync(self._file.fileno())
        self._sums[self._path.name] = self._sum


def _sum(path: Path) -> int:
    found = 0
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            found = zlib.crc32(chunk, found)
    return found


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
