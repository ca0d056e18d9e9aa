"""A ticket system that is frozen while problems queue up: nothing else may feel it, and all is made up for.

    python -m tests.bench.frozen [--problems 10000] [--frozen 600] [--faults 5]
                                 [--store sqlite|postgresql]

A whole engine watches services that break now and then, and repairs them by a playbook. Its only sink is a
webhook whose receiver takes connections and says nothing, with `problems` (two messages each) in the outbox.
Seconds from fault to problem (`detected`) and to verified repair (`repaired`) are medians of `faults` faults,
calm and frozen. Then the receiver thaws: `per_second` messages are taken from the first to the last, each
problem's in their order; `cpu_ms_each` is what one takes of a processor, engine and receiver together,
however busy the machine is with others.
"""

import argparse
import asyncio
import json
import os
import tempfile
import time
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

from aiops.config import Config
from aiops.engine.engine import Engine
from aiops.store import backlog
from aiops.store import problems as problem_rows
from aiops.store.database import Database
from aiops.testing import ScriptedConnector, eventually
from tests.bench.delivery import judge, store
from tests.outboxes import R, queue, settled
from tests.receiver import SECRET, Receiver

STORY = (R.OPENED, R.RESOLVED)
EVERY = 0.25
CHUNK = 100
"""Problems queued in one transaction."""

PLAYBOOK = """
playbook: mend
match: 'problem.labels.service != ""'
autonomy: auto
guards: {{cooldown: 0s, max_runs: {{count: 100, per: 1h}}}}
target: 'service/{{{{ problem.labels.service }}}}'
steps:
  - mend: {{action: command, argv: [/bin/rm, '{folder}/{{{{ problem.labels.service }}}}'], idempotent: true}}
verify: {{command: {{argv: [/bin/true]}}, times: 2, every: 100ms, within: 10s}}
"""


class World:
    """An engine, and services that are broken while a file with their name lies in `folder`."""

    def __init__(self, folder: Path, url: str, receiver: Receiver) -> None:
        self.folder = folder
        self.source = ScriptedConnector(name="prod", every=EVERY)
        (folder / "mend.yaml").write_text(PLAYBOOK.format(folder=folder))
        self.engine = Engine(Config.model_validate(self._config(url, receiver)))
        self._names = (f"s{n}" for n in count())
        self._services: list[str] = []

    def _config(self, url: str, receiver: Receiver) -> dict[str, Any]:
        limit = {"match": "up", "breach": {"below": 0.5}, "severity": "critical"}
        sink = {"kind": "webhook", "name": "itsm", "url": receiver.url, "secret": {"env": "ITSM_SECRET"}}
        return {
            "store": url,
            "data": self.folder / "data",
            "sources": [self.source],
            "detection": {"detectors": []},
            "limits": [limit],
            "sinks": [sink],
            "storm": {"most": 100_000},
            "playbooks": [self.folder / "mend.yaml"],
            # as many faults as are asked for, and no brake on repairing them
            "remediation": {
                "enabled": True,
                "brakes": {"blast_radius": {"targets": 100}, "storm": {"problems": 100}},
            },
            "alerting": {"fire": 1, "of": 1, "resolve_after": "500ms"},
        }

    async def feed(self) -> None:
        """For ever."""
        while True:
            at = self.engine.clock.now()
            for name in self._services:
                healthy = not (self.folder / name).exists()
                self.source.feed({"__name__": "up", "service": name}, {at: float(healthy)})
            await asyncio.sleep(EVERY)

    async def fault(self) -> tuple[float, float]:
        """Break a service; seconds until its problem was open, and until it was repaired."""
        name = next(self._names)
        self._services.append(name)
        await asyncio.sleep(4 * EVERY)
        (self.folder / name).touch()
        began = time.monotonic()
        key = await self._until(name, "", began)
        detected = time.monotonic() - began
        await self._until(name, "resolved", began)
        self._services.remove(name)
        assert key
        return detected, time.monotonic() - began

    async def _until(self, service: str, state: str, began: float) -> str:
        """Until the problem of `service` is stored, and in that state where one is given."""
        while time.monotonic() < began + 60:
            for problem in await self.engine.db.read(problem_rows.load_known, began):
                if dict(problem.labels).get("service") == service and state in ("", problem.state.value):
                    return problem.key
            await asyncio.sleep(0.02)
        raise AssertionError(f"{service} is not {state or 'a problem'} within 60 s")


async def run(folder: Path, url: str, problems: int, frozen: float, faults: int) -> dict[str, Any]:
    os.environ["ITSM_SECRET"] = SECRET
    receiver = Receiver()
    async with receiver.serve():
        world = World(folder, url, receiver)
        await world.engine.start()
        feeding = asyncio.create_task(world.feed())
        try:
            calm = [await world.fault() for _ in range(faults)]
            await eventually(lambda: settled(world.engine.db), within=30)
            heard = len(receiver.events)
            receiver.thaw.clear()
            began = time.monotonic()
            await asyncio.to_thread(_queue, url, problems)
            world.engine.outbox_wake.set()
            cold = [await world.fault() for _ in range(faults)]
            await asyncio.sleep(max(0.0, frozen - (time.monotonic() - began)))
            assert len(receiver.events) == heard, "the receiver was to say nothing"
            return {
                "problems": problems,
                "frozen_seconds": round(time.monotonic() - began, 1),
                **_seconds("calm", calm),
                **_seconds("frozen", cold),
                **await _drain(world.engine.db, receiver, problems),
            }
        finally:
            receiver.thaw.set()
            feeding.cancel()
            await world.engine.stop()


def _queue(url: str, problems: int) -> None:
    db = Database(url)
    for first in range(0, problems, CHUNK):
        queue(db, min(CHUNK, problems - first), *STORY, state="resolved", first=first)
        time.sleep(0.01)  # SQLite has one writer, and the engine is another
    db.close()


def _seconds(when: str, found: list[tuple[float, float]]) -> dict[str, float]:
    detected, repaired = zip(*found, strict=True)
    return {f"detected_{when}": round(median(detected), 2), f"repaired_{when}": round(median(repaired), 2)}


async def _drain(db: Database, receiver: Receiver, problems: int) -> dict[str, Any]:
    heard, thawed = len(receiver.events), time.monotonic()
    receiver.thaw.set()
    await eventually(lambda: len(receiver.events) > heard, within=60)
    first, busy = time.monotonic(), time.process_time()
    waiting = due = await _due(db)
    while due:
        await asyncio.sleep(0.5)
        due = await _due(db)
    seconds, busy = time.monotonic() - first, time.process_time() - busy
    found = {key: [[int(e["sequence"]) for e in events]] for key, events in receiver.tickets().items()}
    return {
        "first_after": round(first - thawed, 1),
        "drained": waiting,
        "per_second": round(waiting / seconds, 1),
        "cpu_ms_each": round(1000 * busy / waiting, 2),
        **judge(found, [f"P-{n}" for n in range(problems)], len(STORY)),
    }


async def _due(db: Database) -> int:
    return (await db.read(backlog.counts, 0.0)).get("itsm", backlog.SinkCounts()).due


def main() -> None:
    asking = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    asking.add_argument("--problems", type=int, default=10_000)
    asking.add_argument("--frozen", type=float, default=600.0)
    asking.add_argument("--faults", type=int, default=5)
    asking.add_argument("--store", choices=["sqlite", "postgresql"], default="sqlite")
    given = asking.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fw-frozen-")))
        url = stack.enter_context(store(given.store, folder))
        found = asyncio.run(run(folder, url, given.problems, given.frozen, given.faults))
    print(json.dumps({"bench": "frozen", "store": given.store, **found}))


if __name__ == "__main__":
    main()
