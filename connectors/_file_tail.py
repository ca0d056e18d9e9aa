"""One file followed to its end, through truncation and renaming."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias
from zlib import crc32

PART = 4 << 20
"""Bytes read at once."""
_HEAD = 256
_LOOK_BACK = 1 << 16
MARK = " [cut]"
"""Ends a line that was longer than the cap."""

Identity: TypeAlias = tuple[int, int]
"""(device, inode)"""


@dataclass(frozen=True, slots=True)
class Place:
    """How far a file is read. ``skipping``: inside a line whose beginning is dealt with."""

    offset: int
    skipping: bool = False


@dataclass(slots=True)
class Tail:
    """An open file. While it is open its inode cannot be given to another file."""

    name: str
    """The path under which it was found; it stays the label after a rotation."""
    fd: int
    identity: Identity
    place: Place
    head_size: int = 0
    head_crc: int = 0
    grown: float = 0.0
    """When it last had something new (epoch s)."""

    @classmethod
    def open(cls, path: str, at_end: bool = False) -> "Tail":
        """Raises OSError."""
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        stat = os.fstat(fd)
        tail = cls(path, fd, (stat.st_dev, stat.st_ino), Place(0))
        tail._remember_head()
        if at_end:
            tail.place = tail._end(stat.st_size)
        return tail

    def close(self) -> None:
        os.close(self.fd)

    def size(self) -> int:
        """Bytes now; starts over when the file was truncated or written anew."""
        size = os.fstat(self.fd).st_size
        if size < self.place.offset or size < self.head_size or self._head(self.head_size) != self.head_crc:
            self.place, self.head_size, self.head_crc = Place(0), 0, 0
        if self.head_size < min(size, _HEAD):
            self._remember_head()
        return size

    def part(self, size: int, cap: int) -> tuple[list[str], Place]:
        """The next whole lines before byte `size`, and the place after them; the same when there is none."""
        offset, skipping = self.place.offset, self.place.skipping
        data = os.pread(self.fd, min(PART, size - offset), offset)
        if skipping:
            end = data.find(b"\n")
            if end < 0:
                return [], Place(offset + len(data), True)
            data, offset = data[end + 1 :], offset + end + 1
        end = data.rfind(b"\n")
        if end < 0 and len(data) > cap:
            return [_text(data, cap)], Place(offset + len(data), True)
        if end < 0:
            return [], Place(offset)
        return _texts(data[:end], cap), Place(offset + end + 1)

    def snapshot(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "name": self.name,
            "device": self.identity[0],
            "inode": self.identity[1],
            "offset": self.place.offset,
            "skipping": self.place.skipping,
            "head_size": self.head_size,
            "head_crc": self.head_crc,
        }

    def resume(self, saved: Mapping[str, Any]) -> bool:
        """Go on where `saved` was; False when this is another file in the same inode."""
        size, crc = int(saved["head_size"]), int(saved["head_crc"])
        if os.fstat(self.fd).st_size < size or self._head(size) != crc:
            return False
        self.name, self.head_size, self.head_crc = str(saved["name"]), size, crc
        self.place = Place(int(saved["offset"]), bool(saved["skipping"]))
        return True

    def _head(self, size: int) -> int:
        return crc32(os.pread(self.fd, size, 0))

    def _remember_head(self) -> None:
        self.head_size = len(head := os.pread(self.fd, _HEAD, 0))
        self.head_crc = crc32(head)

    def _end(self, size: int) -> Place:
        """After the last whole line, so that the one being written is read whole."""
        start = max(0, size - _LOOK_BACK)
        found = os.pread(self.fd, size - start, start).rfind(b"\n")
        if found >= 0 or start == 0:
            return Place(start + found + 1)
        return Place(size, skipping=True)


def _texts(data: bytes, cap: int) -> list[str]:
    """The lines of `data` that are not empty."""
    if b"\0" not in data and b"\r" not in data:
        # all at once is six times as fast as one by one
        lines = data.decode(errors="replace").split("\n")
        if 4 * len(max(lines, key=len)) <= cap:  # a character is of four bytes at most
            return list(filter(None, lines))
    return list(filter(None, [_text(line, cap) for line in data.split(b"\n")]))


def _text(line: bytes, cap: int) -> str:
    """Without padding zeros (a writer that kept its offset through a truncation) and line ends."""
    plain = line.lstrip(b"\0").rstrip(b"\r")
    text = plain[:cap].decode(errors="replace")
    return text + MARK if len(plain) > cap else text
