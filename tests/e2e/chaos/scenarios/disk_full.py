"""A file system of its own runs full of rotated logs: the oldest are deleted, and nothing else."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.chaos.playbook import library
from tests.e2e.chaos.report import Report, report
from tests.e2e.chaos.world import world
from tests.e2e.servers import node_exporter, scrape_job, until

SIZE = 64 * 2**20
LOG = 2 * 2**20
LEAST = 8 * 2**20
"""Bytes that have to be available."""
DAY = 86400.0


def run(folder: Path) -> Report:
    with loop_filesystem(folder) as mount, node_exporter(folder) as node:
        (mount / "app.log").write_bytes(b"1" * LOG)
        (mount / "data.db").write_bytes(b"1" * LOG)
        playbook = library(folder, "prune-logs", {"/var/log": str(mount)})
        series = f'node_filesystem_avail_bytes{{mountpoint="{mount}"}}'
        limit = {"name": "space for logs", "match": series, "breach": {"below": LEAST}}
        with world(folder, [scrape_job("node", node.address)], [series], [playbook], limits=[limit]) as here:
            here.strike(lambda: fill(mount))
            written = rotated(mount)
            here.reaches("resolved")
            here.told("resolved")
            problem = here.one_of_each()
            (only,) = problem["runs"]
            assert only["state"] == "succeeded"
            seen, left = os.statvfs(mount), rotated(mount)
            assert seen.f_bavail / seen.f_blocks >= 0.3
            assert left == written[: len(left)], "the newest have to stay"
            assert {"app.log", "data.db"} <= set(os.listdir(mount)), "what is no rotated log has to stay"
            deleted = len(written) - len(left)
            return report(
                here,
                problem,
                {"logs deleted": deleted, "logs kept": len(left)},
                f"loop ext4, {SIZE >> 20} MB",
            )


@contextmanager
def loop_filesystem(folder: Path) -> Iterator[Path]:
    """An ext4 in a file. Skips where it may not be mounted."""
    if os.geteuid() != 0 or not shutil.which("mkfs.ext4"):
        pytest.skip("a loop file system takes root and mkfs.ext4")
    # node_exporter tells nothing of what is mounted where only root may look
    mount, image = Path(tempfile.mkdtemp(prefix="fw-disk-", dir="/tmp")), folder / "disk.img"
    with image.open("wb") as file:
        file.truncate(SIZE)
    try:
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True, capture_output=True)
        mounted = subprocess.run(["mount", "-o", "loop", image, mount], capture_output=True, text=True)
        if mounted.returncode:
            pytest.skip(f"no loop file system can be mounted here: {mounted.stderr.strip()}")
        try:
            yield mount
        finally:
            until(
                lambda: subprocess.run(["umount", mount], capture_output=True).returncode == 0, what="umount"
            )
    finally:
        mount.rmdir()


def fill(mount: Path) -> None:
    """Rotated logs, each a day older than the one before, until nothing fits."""
    number, now = 0, time.time()
    while os.statvfs(mount).f_bavail * os.statvfs(mount).f_frsize > LOG:
        number += 1
        path = mount / f"app.log.{number}"
        path.write_bytes(b"1" * LOG)
        os.utime(path, (now - (number + 1) * DAY,) * 2)


def rotated(mount: Path) -> list[str]:
    """The newest first."""
    return sorted((p.name for p in mount.glob("app.log.*")), key=lambda name: int(name.rpartition(".")[2]))
