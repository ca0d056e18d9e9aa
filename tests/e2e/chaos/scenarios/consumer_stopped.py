"""A queue's consumer is stopped by SIGSTOP: it lives and takes nothing, and only a restart helps."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.chaos.gauges import Gauges
from tests.e2e.chaos.playbook import library
from tests.e2e.chaos.report import Report, report
from tests.e2e.chaos.world import world
from tests.e2e.servers import scrape_job
from tests.e2e.supervised import Supervised

QUEUE = "orders"
MOST = 20
"""Messages that may wait."""
CONSUMER = """
import sys, time
from pathlib import Path
folder = Path(sys.argv[1])
while True:
    for message in sorted(folder.glob("*.message")):
        message.unlink()
    time.sleep(0.05)
"""


def run(folder: Path) -> Report:
    spool, script = folder / "spool", folder / "consumer.py"
    spool.mkdir()
    script.write_text(CONSUMER)
    depth = f'queue_depth{{queue="{QUEUE}"}}'
    with (
        Supervised(folder, {QUEUE: [sys.executable, script, spool]}) as programs,
        Gauges({depth: lambda: float(waiting(spool))}) as gauges,
        producer(spool),
    ):
        words = {"{{ problem.labels.queue }}:*": "{{ problem.labels.queue }}"}
        playbook = library(folder, "restart-queue-consumer", words, programs.server)
        limit = {"name": "orders wait", "match": depth, "breach": {"above": MOST}}
        jobs = [scrape_job("queue", gauges.address)]
        with world(folder, jobs, [depth], [playbook], limits=[limit]) as here:
            pid = programs.pid(QUEUE)
            here.strike(lambda: programs.signal(QUEUE, signal.SIGSTOP))
            here.reaches("resolved")
            here.told("resolved")
            problem = here.one_of_each()
            assert [r["state"] for r in problem["runs"]] == ["succeeded"]
            restarts = programs.starts(QUEUE) - 1
            assert restarts == 1
            assert not Path(f"/proc/{pid}").exists(), "the stopped one lives"
            assert waiting(spool) < MOST
            return report(here, problem, {"restarts": restarts})


def waiting(spool: Path) -> int:
    return sum(1 for _ in spool.glob("*.message"))


@contextmanager
def producer(spool: Path) -> Iterator[None]:
    """Ten messages a second."""
    stop = threading.Event()

    def work() -> None:
        number = 0
        while not stop.wait(0.1):
            number += 1
            (spool / f"{number:06}.message").touch()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
