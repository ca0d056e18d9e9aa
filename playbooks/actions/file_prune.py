"""`file_prune`: delete old files of one folder until enough space is free. Never leaves the folder."""

import asyncio
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ByteSize, ConfigDict, Field, field_validator

from aiops.plugin import Action, Duration, Fatal, Outcome
from aiops.plugin.params import format_duration

_TOO_WIDE = {"/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/opt", "/proc", "/root", "/sbin"} | {
    "/sys",
    "/usr",
    "/var",
    "/var/lib",
}


@dataclass(frozen=True, slots=True)
class _Found:
    name: str
    """Below the folder, as ``sub/app.log.3``."""
    size: int
    """Bytes on the disk, not the length: a sparse file gives back what it holds."""
    modified: float
    inode: tuple[int, int]


class FilePrune(Action):
    """Delete the oldest matching files below one folder, until enough is free or the cap is reached.

    Links are neither followed nor deleted, other file systems are not entered, and a file that changes
    between being found and being deleted stays. `expect` sees ``deleted`` (files), ``freed`` (bytes),
    ``matched`` (files that might have been deleted), ``free`` and ``free_inodes`` (shares of the file system,
    0 to 1).
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"under": "/var/log/app", "files": ["*.log.*", "*.gz"], "keep": 2, "at_most": "2GB"},
                {"under": "/var/cache/thumbs", "files": ["**/*.jpg"], "older": "7d", "until_free": 0.3},
            ]
        }
    )

    under: Path = Field(description="The folder; nothing outside of it is ever touched.")
    files: list[str] = Field(
        min_length=1,
        max_length=32,
        description="Patterns below the folder, such as *.log.*; ** is any depth.",
    )
    older: Duration = Field(0.0, description="Only files that were last changed longer ago than this.")
    keep: int = Field(1, ge=0, description="The newest so many matching files stay.")
    at_most: ByteSize = Field(
        ByteSize(10 * 1024**3), gt=0, description="Cap on what one step deletes, as 2GB."
    )
    until_free: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Stop once this share of the file system is free; 1 deletes all that match.",
    )
    only_look: bool = Field(False, description="Delete nothing: for a check.")
    idempotent: bool = Field(True, description="Pruning again after a crash does no harm.")

    @field_validator("under")
    @classmethod
    def _narrow(cls, value: Path) -> Path:
        plain = os.path.normpath(value)
        if not value.is_absolute() or ".." in value.parts:
            raise ValueError("expected the whole path of a folder, without ..")
        if plain in _TOO_WIDE:
            raise ValueError(f"{plain} is too wide a folder to prune")
        return Path(plain)

    @field_validator("files")
    @classmethod
    def _below(cls, value: list[str]) -> list[str]:
        for pattern in value:
            if not pattern or pattern.startswith("/") or ".." in Path(pattern).parts or "\x00" in pattern:
                raise ValueError(f"expected a pattern below the folder, got {pattern!r}")
        return value

    @property
    def target(self) -> str:
        return f"files/{self.under}"[:512]

    def plan(self) -> str:
        if self.only_look:
            return f"look what is free and matches {' '.join(self.files)} below {self.under}"
        age = f" older than {format_duration(self.older)}" if self.older else ""
        stop = f", until {self.until_free:.0%} is free" if self.until_free < 1 else ""
        return (
            f"delete {' '.join(self.files)}{age} below {self.under}, oldest first, all but the newest "
            f"{self.keep}, at most {self.at_most.human_readable()}{stop}"
        )

    async def run(self, key: str) -> Outcome:
        try:
            return await asyncio.to_thread(self._prune, time.monotonic() + self.timeout)
        except OSError as why:
            raise Fatal(f"{self.under} cannot be pruned: {why.strerror or why}") from why

    def _prune(self, deadline: float) -> Outcome:
        root = os.open(self.under, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            found = sorted(self._matching(root), key=lambda one: one.modified, reverse=True)
            may_go = found[self.keep :][::-1]
            deleted = freed = 0
            for one in may_go:
                if freed + one.size > self.at_most or time.monotonic() > deadline:
                    break
                if self.only_look or self._free()[0] >= self.until_free:
                    break
                if _delete(root, one):
                    deleted, freed = deleted + 1, freed + one.size
        finally:
            os.close(root)
        free, free_inodes = self._free()
        said = f"deleted {deleted} of {len(may_go)} files below {self.under}, {freed / 1e6:.1f} MB"
        data = {
            "deleted": deleted,
            "freed": freed,
            "matched": len(may_go),
            "free": free,
            "free_inodes": free_inodes,
        }
        return Outcome(
            self.only_look or deleted > 0 or free >= self.until_free, f"{said}; {free:.1%} is free", data
        )

    def _free(self) -> tuple[float, float]:
        """Shares of space and of inodes that programs without privileges may still use."""
        seen = os.statvfs(self.under)
        space = seen.f_bavail / seen.f_blocks if seen.f_blocks else 1.0
        return space, seen.f_favail / seen.f_files if seen.f_files else 1.0

    def _matching(self, root: int) -> Iterator[_Found]:
        """Plain files that match a pattern and are old enough, each once."""
        device, now = os.fstat(root).st_dev, time.time()
        for folder, _, names, handle in os.fwalk(".", dir_fd=root, follow_symlinks=False):
            if os.fstat(handle).st_dev != device:
                continue
            for name in names:
                path = Path(folder, name)
                if not any(_fits(path, pattern) for pattern in self.files):
                    continue
                seen = os.stat(name, dir_fd=handle, follow_symlinks=False)
                if stat.S_ISREG(seen.st_mode) and now - seen.st_mtime >= self.older:
                    inode = seen.st_dev, seen.st_ino
                    yield _Found(str(path), seen.st_blocks * 512, seen.st_mtime, inode)


def _fits(path: Path, pattern: str) -> bool:
    """As a shell would: `*` stays within a folder, a leading ``**/`` is any depth, none included."""
    parts = Path(pattern).parts
    if parts[0] == "**":
        return path.match(str(Path(*parts[1:]))) if len(parts) > 1 else True
    return len(path.parts) == len(parts) and path.match(pattern)


def _delete(root: int, one: _Found) -> bool:
    """Delete it by way of folders that are no links, if it is still the file that was found."""
    *folders, name = Path(one.name).parts
    at = os.dup(root)
    try:
        for folder in folders:
            inner = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
            os.close(at)
            at = inner
        seen = os.stat(name, dir_fd=at, follow_symlinks=False)
        if (seen.st_dev, seen.st_ino) != one.inode or seen.st_mtime != one.modified:
            return False
        os.unlink(name, dir_fd=at)
        return True
    except OSError:
        # Gone, replaced by a link, or not ours to delete: the next one may be
        return False
    finally:
        os.close(at)
