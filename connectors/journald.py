"""The journal of systemd on this host."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, PrivateAttr

from aiops.model.frame import Frame, Lines
from aiops.model.series import NAME, Labels, SeriesIndex, labels_of
from aiops.plugin import Connector, Duration, Fatal, Retryable

_LEVELS = ("FATAL", "CRITICAL", "CRITICAL", "ERROR", "WARNING")
_BATCH = 2000
_LONGEST = 4 << 20


class Journald(Connector):
    """Reads the journal through ``journalctl``, from where it stopped: its cursor is kept in the checkpoint.

    Lines are labelled ``host``, ``unit`` and ``app``. Also yields ``journald_lines_per_second``.
    """

    every: Duration = Field(2.0, description="How often it is pulled.", gt=0)
    units: list[str] = Field(
        default_factory=list, description="Units to read, globs allowed; all when left out."
    )
    matches: list[str] = Field(
        default_factory=list,
        description="Matches of fields as journalctl takes them: _UID=0, _TRANSPORT=kernel.",
    )
    directory: Path | None = Field(
        None,
        description="Folder of journal files, such as /host/var/log/journal; the host's own when left out.",
    )

    _index: SeriesIndex = PrivateAttr(default_factory=SeriesIndex)
    _cursor: str = PrivateAttr("")

    def open(self, index: SeriesIndex) -> None:
        self._index = index

    async def pull(self, since: float, until: float) -> AsyncIterator[Frame | Lines]:
        """What was written since the last pull; at first contact, since `since`."""
        process = await self._start(since)
        count = 0
        try:
            while entries := await self._read(process):
                for labels, part in _by_stream(entries).items():
                    own = [int(e["__REALTIME_TIMESTAMP"]) / 1e6 for e in part]
                    times = [t if since < t <= until else until for t in own]
                    yield Lines(
                        labels_of({**dict(labels), **self.labels}), np.array(times), list(map(_line, part))
                    )
                self._cursor = str(entries[-1]["__CURSOR"])  # after the yields: what is not taken comes again
                count += len(entries)
            await self._check(process)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        series = labels_of({NAME: "journald_lines_per_second"} | self.labels)
        rate = count / max(until - since, 1e-3)
        yield Frame(np.array([until]), self._index.slots([series]), np.array([[rate]]))

    def snapshot(self) -> Mapping[str, Any]:
        return {"cursor": self._cursor}

    def restore(self, data: Mapping[str, Any]) -> None:
        self._cursor = str(data.get("cursor", ""))

    async def _start(self, since: float) -> asyncio.subprocess.Process:
        binary = shutil.which("journalctl")
        if binary is None:
            raise Fatal("journalctl is not installed: give it, or read the files with `kind: file`")
        argv = ["--output=json", "--no-pager", "--all", "--quiet"]
        argv += [f"--directory={self.directory}"] if self.directory else []
        argv += [f"--after-cursor={self._cursor}"] if self._cursor else [f"--since=@{since:.6f}"]
        argv += [f"--unit={unit}" for unit in self.units] + self.matches
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(binary, *argv, stdout=pipe, stderr=pipe, limit=_LONGEST)

    async def _read(self, process: asyncio.subprocess.Process) -> list[dict[str, Any]]:
        """The next entries; none at the end."""
        assert process.stdout
        entries: list[dict[str, Any]] = []
        while len(entries) < _BATCH and (line := await _whole_line(process.stdout)):
            try:
                entries.append(json.loads(line))
            except ValueError as why:
                raise Retryable(f"journalctl printed what is no JSON: {why}") from why
        return entries

    async def _check(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr
        said = (await process.stderr.read()).decode(errors="replace").strip()
        if await process.wait() == 0:
            return
        if "cursor" in said and self._cursor:
            self._cursor = ""  # the journal was vacuumed or replaced: go on by time
            raise Retryable(f"the place in the journal is gone, going on by time: {said}")
        if "Permission" in said or "permission" in said:
            raise Fatal(f"journalctl: {said}; add our user to the group systemd-journal")
        raise Retryable(f"journalctl: {said or process.returncode}")


async def _whole_line(reader: asyncio.StreamReader) -> bytes:
    """The next line, empty at the end; one that is longer than the reader's limit is passed over."""
    passing = False
    while True:
        try:
            line = await reader.readuntil(b"\n")
        except asyncio.IncompleteReadError as end:
            return b"" if passing else end.partial
        except asyncio.LimitOverrunError as over:
            await reader.readexactly(over.consumed)
            passing = True
            continue
        if not passing:
            return line
        passing = False


def _by_stream(entries: list[dict[str, Any]]) -> dict[Labels, list[dict[str, Any]]]:
    found: dict[Labels, list[dict[str, Any]]] = {}
    for entry in entries:
        names = {"host": "_HOSTNAME", "unit": "_SYSTEMD_UNIT", "app": "SYSLOG_IDENTIFIER"}
        labels = labels_of({name: _text(entry.get(key)) for name, key in names.items()})
        found.setdefault(labels, []).append(entry)
    return found


def _line(entry: dict[str, Any]) -> str:
    """As a log line: level where it is bad, program, message."""
    priority = _text(entry.get("PRIORITY"))
    level = f"{_LEVELS[int(priority)]} " if priority in ("0", "1", "2", "3", "4") else ""
    app, message = _text(entry.get("SYSLOG_IDENTIFIER")), _text(entry.get("MESSAGE"))
    return f"{level}{app}: {message}" if app else level + message


def _text(value: Any) -> str:
    """A field: text, bytes as a list of numbers, several values, or null when it was too long."""
    if isinstance(value, list):
        if all(isinstance(one, int) for one in value):
            return bytes(value).decode("utf-8", "replace")
        return " ".join(map(_text, value))
    return "" if value is None else str(value)
