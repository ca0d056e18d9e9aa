"""Log files on this host."""

import asyncio
import logging
import os
import re
from collections.abc import AsyncIterator, Mapping
from glob import glob
from stat import S_ISREG
from typing import Any

import numpy as np
from pydantic import Field, PrivateAttr, field_validator

from aiops.model.frame import Frame, Lines
from aiops.model.series import NAME, SeriesIndex, labels_of
from aiops.plugin import Connector, Duration
from connectors._file_lines import ERRORS, ErrorCount, times_of
from connectors._file_tail import Identity, Place, Tail

log = logging.getLogger("aiops.connectors")

_PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip")
_LINGER = 60.0
"""A renamed or deleted file is read until it has been quiet this long: its writer may still hold it."""


class File(Connector):
    """Follows log files through rotation, truncation and restarts; its place is kept in the checkpoint.

    Yields the lines, labelled ``filename``, and per file the series ``file_lines_per_second`` and
    ``file_error_lines_per_second``. A line bears the ISO 8601 time it begins with, if within the pull.
    """

    every: Duration = Field(2.0, description="How often it is pulled.", gt=0)
    path: str = Field(
        description="Path or glob; ** crosses folders. Compressed files are left out.", min_length=1
    )
    from_start: bool = Field(
        False,
        description="On first contact read files from the start, not from their end. Later ones always are.",
    )
    errors: str = Field(ERRORS, description="Regular expression of the lines that count as errors.")
    max_line: int = Field(
        1 << 20, ge=80, le=1 << 21, description="Bytes after which a line is cut and so marked."
    )
    max_files: int = Field(100, ge=1, description="Files followed at one time, the latest written.")

    _index: SeriesIndex = PrivateAttr(default_factory=SeriesIndex)
    _tails: dict[Identity, Tail] = PrivateAttr(default_factory=dict)
    _saved: dict[Identity, Mapping[str, Any]] = PrivateAttr(default_factory=dict)
    _beyond: set[Identity] = PrivateAttr(default_factory=set)
    _first: bool = PrivateAttr(True)
    _said: set[str] = PrivateAttr(default_factory=set)

    @field_validator("errors")
    @classmethod
    def _is_pattern(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as bad:
            raise ValueError(f"bad regular expression: {bad}") from bad
        return value

    def open(self, index: SeriesIndex) -> None:
        self._index = index

    async def close(self) -> None:
        for tail in self._tails.values():
            tail.close()
        self._tails.clear()

    async def pull(self, since: float, until: float) -> AsyncIterator[Frame | Lines]:
        """What was written since the last pull; a file that may not be read is left out."""
        found = await asyncio.to_thread(self._follow, until)
        errors = ErrorCount(self.errors)
        count = {tail.name: (0, 0) for tail in self._tails.values() if tail.identity in found}
        for tail in list(self._tails.values()):
            size = self._size(tail)
            while tail.place.offset < size:
                lines, place = await asyncio.to_thread(self._part, tail, size)
                if place == tail.place:
                    break
                if lines:
                    yield self._lines(tail.name, lines, since, until)
                # after the yield: a batch that is not taken is read again
                tail.place, tail.grown = place, until
                whole, bad = count.get(tail.name, (0, 0))
                count[tail.name] = whole + len(lines), bad + errors.of(lines)
        self._let_go(found, until)
        if count and until > since:
            yield self._frame(count, since, until)

    def snapshot(self) -> Mapping[str, Any]:
        files = [tail.snapshot() for tail in self._tails.values()]
        return {"contact": not self._first, "files": files + [dict(one) for one in self._saved.values()]}

    def restore(self, data: Mapping[str, Any]) -> None:
        self._first = not data.get("contact", False)
        self._saved = {(int(one["device"]), int(one["inode"])): one for one in data.get("files", ())}

    def _lines(self, name: str, lines: list[str], since: float, until: float) -> Lines:
        return Lines(labels_of({"filename": name} | self.labels), times_of(lines, since, until), lines)

    def _frame(self, count: dict[str, tuple[int, int]], since: float, until: float) -> Frame:
        values = {}
        for name, (whole, bad) in count.items():
            at = {"filename": name} | self.labels
            values[labels_of(at | {NAME: "file_lines_per_second"})] = whole / (until - since)
            values[labels_of(at | {NAME: "file_error_lines_per_second"})] = bad / (until - since)
        return Frame(np.array([until]), self._index.slots(values), np.array([list(values.values())]))

    def _follow(self, now: float) -> set[Identity]:
        """Open what is new; the identities that the path finds."""
        found = self._found()
        for identity in [one for one in self._saved if one not in found]:  # renamed while we were away
            path = _path_of(identity, os.path.dirname(str(self._saved[identity]["name"])))
            if path:
                self._open(path, identity, now)
        for identity, path in found.items():
            if identity not in self._tails:
                self._open(path, identity, now)
        self._saved.clear()
        self._first = False
        return set(found)

    def _let_go(self, found: set[Identity], now: float) -> None:
        """Close what has gone and fallen quiet; after a look at it, however far the clock has jumped."""
        for identity, tail in list(self._tails.items()):
            if identity not in found and now - tail.grown > _LINGER:
                tail.close()
                del self._tails[identity]

    def _size(self, tail: Tail) -> int:
        try:
            return tail.size()
        except OSError as why:
            self._say(f"{tail.name} cannot be read: {why.strerror}")
            return 0

    def _part(self, tail: Tail, size: int) -> tuple[list[str], Place]:
        try:
            return tail.part(size, self.max_line)
        except OSError as why:
            self._say(f"{tail.name} cannot be read: {why.strerror}")
            return [], tail.place

    def _found(self) -> dict[Identity, str]:
        """What the path finds: files already followed, then the latest written, up to `max_files`."""
        stats = []
        for path in glob(self.path, recursive=True):
            if path.endswith(_PACKED):
                continue
            try:
                stat = os.stat(path)
            except OSError:
                continue  # gone since the listing
            if S_ISREG(stat.st_mode):
                identity = stat.st_dev, stat.st_ino
                known = identity in self._tails or identity in self._saved
                stats.append((known, stat.st_mtime, path, identity))
        stats.sort(reverse=True)
        over = stats[self.max_files :]
        self._beyond |= {identity for *_, identity in over}
        if over:
            self._say(f"{len(stats)} files match {self.path}; {self.max_files} (max_files) are followed")
        return {identity: path for _, _, path, identity in stats[: self.max_files]}

    def _open(self, path: str, identity: Identity, now: float) -> None:
        saved = self._saved.pop(identity, None)
        old = identity in self._beyond or (self._first and not self.from_start)
        try:
            tail = Tail.open(path, at_end=old)
        except OSError as why:
            self._say(f"{path} cannot be read: {why.strerror}")
            return
        if tail.identity in self._tails:  # renamed since the listing
            tail.close()
            return
        if saved is not None and tail.identity == identity:
            tail.resume(saved)
        tail.grown = now
        self._beyond.discard(identity)
        self._tails[tail.identity] = tail

    def _say(self, text: str) -> None:
        """Warn once: a pull comes every few seconds."""
        if text not in self._said and len(self._said) < 100:
            self._said.add(text)
            log.warning("source %s: %s", self.name, text)


def _path_of(identity: Identity, folder: str) -> str:
    """Where in `folder` the file is now; empty when it is not there."""
    try:
        with os.scandir(folder or ".") as entries:
            for entry in entries:
                stat = entry.stat(follow_symlinks=False)
                if (stat.st_dev, stat.st_ino) == identity and not entry.name.endswith(_PACKED):
                    return entry.path
    except OSError:
        pass  # the folder has gone, and with it the rest of the file
    return ""
