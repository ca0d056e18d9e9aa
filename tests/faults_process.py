"""Faults of the process and its machine: a wrong clock, no descriptors, no memory."""

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from tests.bench.gen import Sender, kubelet
from tests.e2e.servers import until
from tests.fault_stand import PUSH, Missing, Stand, Unsound, need_root, stand

HERE = Path(__file__).parent.parent
HOUR = 3600.0


def clock_jumps(folder: Path) -> str:
    """An hour ahead, back, an hour behind, back, while it runs: nobody is blind, nothing is doubled."""
    told = folder / "clock"
    told.write_text("0")
    prefix = [sys.executable, "-m", "tests.shifted_process", str(told)]
    with stand(folder, prefix=prefix, env={"PYTHONPATH": str(HERE)}) as one:
        one.breach("before", within=60)
        one.all_told()
        one.from_here()
        _bear_any_time(one)
        for place, ahead in enumerate((HOUR, 0.0, -HOUR, 0.0)):
            one.ahead = ahead
            told.write_text(f"{ahead:.0f}")
            time.sleep(2)  # so that pulls and leases have met it
            one.breach(f"jump-{place}", within=60)
            one.all_told()
            one.alive()
            _host_is_heard(one)
        return one.says("clock")


def _bear_any_time(one: Stand) -> None:
    """The receiver's own clock is right, and it would refuse each signature; that is tested by itself."""
    receiver = one.itsm.receiver

    def accept(request: Any) -> bool:
        receiver.events.setdefault(request.headers["webhook-id"], request.event)
        return True

    receiver._accept = accept  # type: ignore[method-assign]


def _host_is_heard(one: Stand) -> None:
    """A pulled source yields what is acted on after the jump too, not only what is learnt from."""
    before = _rows_acted_on(one)
    until(lambda: _rows_acted_on(one) > before + 2, 30, "rows of the host to be acted on")


def _rows_acted_on(one: Stand) -> float:
    line = http.client.HTTPConnection("127.0.0.1", one.forewarn.port, timeout=10)
    line.request("GET", "/metrics")
    text = line.getresponse().read().decode()
    line.close()
    found = [row for row in text.splitlines() if row.startswith("forewarn_score_seconds_count")]
    return float(found[0].rsplit(" ", 1)[1])


def no_descriptors(folder: Path) -> str:
    """Callers take every descriptor there is: it stays, says so, and goes on when they are gone."""
    with stand(folder, prefix=["prlimit", "--nofile=96:96"]) as one:
        one.breach("before", within=60)
        one.all_told()
        one.from_here()
        callers: list[socket.socket] = []
        here = "127.0.0.1", one.forewarn.port
        try:
            callers.extend(socket.create_connection(here, timeout=2) for _ in range(200))
            line = one.says(r"too many open files|out of system resource|no more are taken", within=60)
            one.alive()
        finally:
            for caller in callers:
                caller.close()
        one.breach("after", within=90)
        one.all_told()
        one.answers_within(5)
        one.alive()
    return line


def _flood(one: Stand, series: int) -> None:
    """New series until it can hold no more, or all are in."""
    sender = Sender(kubelet(series), batch=5000)
    values = np.ones(series)
    for body in sender.requests(int(time.time() * 1000), values):
        if one.push(body) == 0 and one.forewarn.ended():
            return


def memory_ends(folder: Path) -> str:
    """No more memory is given (RLIMIT_AS): it refuses, or goes down with a line; then all is there."""
    with stand(folder) as one:
        one.breach("before", within=60)
        one.all_told()
        one.from_here()
        process = one.process
        limit = process.memory_info().vms + 120_000_000
        subprocess.run(["prlimit", f"--pid={process.pid}", f"--as={limit}:{limit}"], check=True)
        _flood(one, 400_000)
        line = one.says("MemoryError|cannot allocate|unable to allocate|out of memory", within=90)
        _again(one)
    return line


def memory_killed(folder: Path) -> str:
    """The kernel kills it (a group's limit): the next start says so, and all is there."""
    need_root()
    with _group(420_000_000) as join, stand(folder, prefix=join) as one:
        one.breach("before", within=60)
        one.all_told()
        _flood(one, 1_500_000)
        until(one.forewarn.ended, 60, "the kernel to kill it")
        one.from_here()
        _again(one)
        return one.says("without stopping|was killed")


def _again(one: Stand) -> None:
    """Started anew, without a limit, it has everything and doubles nothing."""
    if not one.forewarn.ended():
        one.forewarn.stop()
    one.forewarn.unhampered()
    one.forewarn.start(within=180)
    one.breach("after", within=90)
    one.all_told()
    if len(one.forewarn.problems()) != 2:
        raise Unsound(f"{len(one.forewarn.problems())} problems")


@contextmanager
def _group(limit: int) -> Iterator[list[str]]:
    """What a command is started through to be in a control group of so many bytes."""
    old, new = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
    name = f"forewarn-faults-{os.getpid()}"
    place, file = (old / name, "memory.limit_in_bytes") if old.exists() else (new / name, "memory.max")
    try:
        place.mkdir()
        (place / file).write_text(str(limit))
    except OSError as why:
        raise Missing(f"a memory control group: {why}") from why
    try:
        yield ["sh", "-c", f'echo $$ > {place}/cgroup.procs && exec "$@"', "sh"]
    finally:
        with suppress(TimeoutError):  # then it goes with the machine
            until(lambda: _removed(place), 10)


def _removed(place: Path) -> bool:
    try:
        place.rmdir()
    except OSError:
        return False
    return True


__all__ = ["PUSH", "clock_jumps", "memory_ends", "memory_killed", "no_descriptors"]
