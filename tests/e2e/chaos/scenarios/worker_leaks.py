"""A worker leaks 400 MB within seconds: it is restarted before the kernel has to kill it."""

import signal
import sys
from pathlib import Path

from tests.e2e.chaos.playbook import library
from tests.e2e.chaos.report import Report, report
from tests.e2e.chaos.world import world
from tests.e2e.supervised import Supervised

GROUP = "chaos-worker"
MOST = 100 * 2**20
"""Bytes of memory that the worker may have."""
WORKER = """
import signal, time
leaking, held = [], []
signal.signal(signal.SIGUSR1, lambda *_: leaking.append(1))
while True:
    time.sleep(0.1)
    if leaking and len(held) < 40:
        held.append(b"1" * 10_000_000)
"""
OF_THE_WORKER = f'host_process_rss_bytes{{group="{GROUP}"}}'
OTHERS = {"match": '{__name__!="host_process_rss_bytes"}', "reason": "this host has other work"}
OTHER_GROUPS = {"match": f'{{group!="{GROUP}"}}', "reason": "this host has other work"}


def run(folder: Path) -> Report:
    with Supervised(folder, {GROUP: script(folder)}, f'FOREWARN_GROUP="{GROUP}"') as programs:
        playbook = library(folder, "restart-leaking-process", supervisor=programs.server)
        limit = {"name": "worker's memory", "match": OF_THE_WORKER, "breach": {"above": MOST}}
        config = {
            "sources": [{"kind": "host", "every": "1s", "groups": 5}],
            "limits": [limit],
            "silences": [OTHERS, OTHER_GROUPS],
        }
        with world(folder, [], [], [playbook], **config) as here:
            pid = programs.pid(GROUP)
            here.strike(lambda: programs.signal(GROUP, signal.SIGUSR1))
            here.reaches("resolved")
            here.told("resolved")
            problem = here.one_of_each()
            assert [r["state"] for r in problem["runs"]] == ["succeeded"]
            restarts = programs.starts(GROUP) - 1
            assert restarts == 1
            assert not Path(f"/proc/{pid}").exists(), "the leaking one lives"
            assert resident(programs.pid(GROUP)) < MOST
            return report(here, problem, {"restarts": restarts})


def script(folder: Path) -> list[object]:
    path = folder / "worker.py"
    path.write_text(WORKER)
    return [sys.executable, path]


def resident(pid: int) -> float:
    """Bytes of memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096.0
