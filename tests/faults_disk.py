"""Faults of what is written: a full disk, one that takes no writes, damaged files."""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests.e2e.servers import until
from tests.fault_stand import Missing, Stand, Unsound, need_root, stand

FULL = r"no space left|disk is full|disk I/O error"
READ_ONLY = r"readonly|read-only|disk I/O error|not permitted"


@contextmanager
def small_disk(place: Path, megabytes: int = 40) -> Iterator[Path]:
    """A file system of that size."""
    need_root()
    place.mkdir(parents=True)
    made = _done("mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", place)
    if not made:
        raise Missing("a mount of tmpfs")
    try:
        yield place
    finally:
        until(lambda: _done("umount", place), 30, f"{place} to be let go")


def _done(*argv: str | Path) -> bool:
    return subprocess.run([str(one) for one in argv], capture_output=True, timeout=60).returncode == 0


def disk_full(folder: Path) -> str:
    """Everything is taken; then there is room again, and all goes on by itself."""
    with small_disk(folder / "disk") as disk:
        keys = {"store": f"sqlite:///{disk}/data/forewarn.db", "data": str(disk / "data")}
        with stand(folder, **keys) as one:
            one.breach("before", within=60)
            one.all_told()
            one.from_here()
            _fill(disk / "ballast")
            for name in ("first", "second", "third"):
                one.breach(name, within=8)
            line = one.says(FULL, within=90)
            one.alive()
            one.answers_within(5)
            (disk / "ballast").unlink()
            for name in ("first", "second", "third", "after"):
                one.breach(name, within=90)
            one.all_told()
            one.alive()
    return line


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue


def disk_read_only(folder: Path) -> str:
    """The database's files can no longer be written; a start on a read-only disk fails in one line."""
    need_root()
    with stand(folder) as one:
        one.breach("before", within=60)
        one.all_told()
        one.from_here()
        data = folder / "data"
        files = [data / "forewarn.db", data / "forewarn.db-wal"]
        if not _done("chattr", "+i", *files):
            raise Missing("chattr on this file system")
        try:
            one.breach("during", within=5)
            line = one.says(READ_ONLY, within=90)
            one.alive()
            one.answers_within(5)
        finally:
            _done("chattr", "-i", *files)
        one.breach("during", within=90)
        one.all_told()
        one.forewarn.stop()
        return f"{line} | {_start_on_read_only(one, folder)}"


def _start_on_read_only(one: Stand, folder: Path) -> str:
    data = folder / "data"
    if not _done("mount", "--bind", data, data):
        raise Missing("a bind mount")
    try:
        if not _done("mount", "-o", "remount,ro,bind", data):
            raise Missing("a read-only remount")
        return one.fails_to_start(r"^error: .*(cannot|read-only|readonly)")
    finally:
        until(lambda: _done("umount", data), 30, f"{data} to be let go")


def checkpoint_corrupted(folder: Path) -> str:
    """The newest is damaged: the one before serves. All are: detectors begin anew, problems stand."""
    with stand(folder, checkpoint_every="1s") as one:
        one.breach("before", within=60)
        one.all_told()
        place = folder / "data" / "checkpoints"
        until(lambda: len([p for p in place.glob("[0-9]*") if p.name.isdigit()]) >= 2, 20, "two checkpoints")
        one.forewarn.kill()
        kept = sorted(path for path in place.glob("[0-9]*") if path.name.isdigit())
        _damage(kept[-1])
        one.from_here()
        one.forewarn.start(within=180)
        line = one.says("checkpoint passed over")
        one.says("took up what was learnt")
        one.forewarn.kill()
        for path in (path for path in place.glob("[0-9]*") if path.name.isdigit()):
            _damage(path)
        one.forewarn.start(within=180)
        one.breach("after", within=60)
        one.all_told()
        if len(one.forewarn.problems()) != 2:
            raise Unsound(f"{len(one.forewarn.problems())} problems")
    return line


def _damage(folder: Path) -> None:
    """Every file: cut, flipped, or empty."""
    for place, path in enumerate(sorted(folder.iterdir())):
        content = bytearray(path.read_bytes())
        if place % 3 == 0:
            content = content[: len(content) // 2]
        elif content:
            for at in range(0, len(content), max(1, len(content) // 7)):
                content[at] ^= 0xFF
        path.write_bytes(content)


def sqlite_page_corrupted(folder: Path) -> str:
    """It refuses to go on with a damaged file in one line; `forewarn restore` brings all back."""
    with stand(folder) as one:
        one.breach("before", within=60)
        one.all_told()
        until(lambda: all(t["state"] for p in one.forewarn.problems() for t in p["tickets"]), 20)
        backup = folder / "backup.tar.gz"
        _forewarn(one, "backup", backup)
        one.forewarn.kill()
        file = folder / "data" / "forewarn.db"
        with closing(sqlite3.connect(file)) as conn:
            conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        content = bytearray(file.read_bytes())
        for page in range(1, len(content) // 4096):
            content[page * 4096 : page * 4096 + 64] = os.urandom(64)
        file.write_bytes(content)
        line = one.fails_to_start(r"^error: .*(malformed|damaged).*restore")
        _forewarn(one, "restore", backup, "--replace")
        one.forewarn.start(within=180)
        one.breach("after", within=60)
        one.all_told()
        if len(one.forewarn.problems()) != 2:
            raise Unsound(f"{len(one.forewarn.problems())} problems after the restore")
    return line


def _forewarn(one: Stand, *words: str | Path) -> None:
    argv = [one.forewarn.argv()[0], *map(str, words), "--config", str(one.forewarn.config)]
    done = subprocess.run(argv, cwd=one.folder, capture_output=True, text=True, timeout=90)
    if done.returncode:
        raise Unsound(f"forewarn {words[0]}: {done.stderr}")


def has_mounts() -> bool:
    return os.geteuid() == 0 and shutil.which("mount") is not None
