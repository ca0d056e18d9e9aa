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

FORMAT = 1
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
                file = aside / f"{part}.{name}.npy"
                with file.open("wb") as out:
                    np.save(out, array, allow_pickle=False)
                    _sync(out.fileno(), out)
                sums[file.name] = zlib.crc32(np.ascontiguousarray(array).data)
        manifest = {"format": FORMAT, "number": number, "sums": sums, "facts": facts}
        with (aside / "manifest.json").open("w") as out:
            json.dump(manifest, out)
            _sync(out.fileno(), out)
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
    try:
        manifest = json.loads((place / "manifest.json").read_text())
    except (OSError, ValueError) as why:
        raise Damaged(f"{place / 'manifest.json'}: {why}") from why
    if manifest.get("format") != FORMAT:
        raise Damaged(f"{place}: format {manifest.get('format')}, this version reads {FORMAT}")
    arrays: dict[str, dict[str, NDArray[Any]]] = {}
    for name, expected in manifest["sums"].items():
        part, column, _ = name.rsplit(".", 2)
        try:
            array = np.load(place / name, allow_pickle=False)
        except (OSError, ValueError, EOFError) as why:
            raise Damaged(f"{place / name}: {why}") from why
        if zlib.crc32(np.ascontiguousarray(array).data) != expected:
            raise Damaged(f"{place / name}: its checksum does not match")
        arrays.setdefault(part, {})[column] = array
    return arrays, manifest["facts"]


def newest(folder: Path) -> tuple[dict[str, dict[str, NDArray[Any]]], dict[str, Any]] | None:
    """The newest checkpoint that can be used; damaged ones are named in the log and passed over."""
    for number in reversed(numbers(folder)):
        try:
            return read(folder, number)
        except Damaged as why:
            log.warning("checkpoint passed over: %s", why)
    return None


def _sync(fd: int, out: Any) -> None:
    out.flush()
    os.fsync(fd)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
