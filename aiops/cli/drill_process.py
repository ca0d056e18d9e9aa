"""Starting, finding and stopping the drill's child, and no other process."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from aiops.cli import drill_child
from aiops.cli.failure import Failure

GROUP = drill_child.NAME
MARK = f"FOREWARN_GROUP={GROUP}".encode()
NEEDED = 600 * drill_child.MIB
"""Free memory without which the drill does not begin: twice what it takes."""


@dataclass(frozen=True, slots=True)
class Child:
    """A living drill process; ``born`` (ticks since boot) tells it from a later one of the same pid."""

    pid: int
    born: int


def start(steady: float) -> subprocess.Popen[str]:
    """A leaking child of ours. Raises `Failure` when the host has no memory to spare."""
    free = _available()
    if free < NEEDED:
        raise Failure(
            f"only {free >> 20} MiB of memory are free; the drill wants {NEEDED >> 20} to be harmless"
        )
    return subprocess.Popen(
        [sys.executable, "-I", "-S", drill_child.__file__, str(steady), str(os.getpid()), GROUP],
        env={"FOREWARN_GROUP": GROUP, "PATH": os.defpath},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )


def living() -> list[Child]:
    """Every drill process of this user and working directory, by its environment and its command line.

    The directory tells installations apart: one's playbook never ends the drill of another.
    """
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [child for pid in pids if (child := _ours(pid))]


def stop(patience: float = 5.0) -> list[int]:
    """End every living drill process: asks, then insists after `patience` seconds. Returns their pids."""
    children = living()
    for sign in (signal.SIGTERM, signal.SIGKILL):
        left = [one for one in children if _ours(one.pid) == one]
        for one in left:
            _signal(one, sign)
        until = time.monotonic() + patience
        while time.monotonic() < until and any(_ours(one.pid) == one for one in children):
            time.sleep(0.02)
    return [one.pid for one in children]


def _signal(child: Child, sign: signal.Signals) -> None:
    """By pidfd: between the look and the signal the pid cannot come to mean another process."""
    try:
        handle = os.pidfd_open(child.pid)
    except ProcessLookupError:
        return
    try:
        if _ours(child.pid) == child:
            signal.pidfd_send_signal(handle, sign)
    except ProcessLookupError:
        pass
    finally:
        os.close(handle)


def _ours(pid: int) -> Child | None:
    folder = Path("/proc") / str(pid)
    try:
        if pid <= 1 or folder.stat().st_uid != os.getuid() or (folder / "cwd").readlink() != Path.cwd():
            return None
        if MARK not in (folder / "environ").read_bytes().split(b"\0"):
            return None
        arguments = (folder / "cmdline").read_bytes().split(b"\0")
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    script = Path(drill_child.__file__).name.encode()
    if not any(os.path.basename(argument) == script for argument in arguments) or fields[0] in "ZX":
        return None
    return Child(pid, int(fields[19]))


def _available() -> int:
    with open("/proc/meminfo") as lines:
        for line in lines:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return 0
