"""A small file system of its own in a file, where this machine lets us mount one."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.servers import until


@contextmanager
def loop_mount(place: Path, megabytes: int = 64) -> Iterator[bool]:
    """`place` as a file system of that size; False, and a plain directory, where that is not allowed."""
    place.mkdir(parents=True)
    image = place.with_suffix(".img")
    mounted = False
    if shutil.which("mkfs.ext4") and shutil.which("mount"):
        with image.open("wb") as out:
            out.truncate(megabytes * 1_000_000)
        mounted = _done("mkfs.ext4", "-q", "-m", "0", image) and _done("mount", "-o", "loop", image, place)
    try:
        yield mounted
    finally:
        if mounted:
            until(lambda: _done("umount", place), 30, f"{place} to be let go")
        image.unlink(missing_ok=True)


def _done(*argv: str | Path) -> bool:
    return subprocess.run([str(one) for one in argv], capture_output=True, timeout=60).returncode == 0
