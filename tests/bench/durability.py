"""Runs that survive: kill -9 of the workers at random moments, and what became of every effect.

    python -m tests.bench.durability [--runs 200] [--kills 40] [--replicas 1|2]
                                     [--store sqlite|postgresql|both] [--parallel 8]

A third of the runs acts by an idempotent command, a third by an action that can be asked whether it has
happened, a third by a command that is never to be repeated. Every act leaves a line with its idempotency key
in a file, written by a process that outlives the worker which asked for it. Workers are processes of their
own; while runs are under way one of them is killed at a random moment, and another begins in its place.

``double_effects``: keys that stand there twice. ``lost_effects``: runs that call themselves done and left
nothing, or are neither done nor escalated. ``escalated``: runs of the third kind that were cut off and handed
to a person. ``stuck``: runs that did not end. Without kills it is then measured how many runs a second go
through (each waits for 100 ms), and what a run takes beyond its act.
"""

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from aiops.config.playbooks import read_playbook
from aiops.core.playbook import Playbook
from aiops.model.lifecycle import LIVE_RUN, RunState
from aiops.model.problem import EscalationReason, Run
from aiops.store import runs
from aiops.store.database import Database
from aiops.store.tables import problem
from aiops.store.tables import run as run_table
from aiops.testing import eventually
from tests.bench.delivery import store
from tests.ledger_action import register
from tests.run_process import worker

KINDS = ("idempotent", "probed", "never_retry")
LEASE = 2.0
"""Seconds; 8 in an engine. What is measured here is whether, not when."""
WAIT, PROOF = 0.09, 0.01


def playbooks(folder: Path) -> dict[str, Playbook]:
    """One of each kind; what it does goes to the file ``<kind>`` in `folder`."""
    once = "grep -qx $FOREWARN_KEY {0} || echo $FOREWARN_KEY >> {0}"
    file = {kind: folder / kind for kind in KINDS}
    add = f'sleep 0.2; flock {file["idempotent"]}.lock /bin/sh -c "{once.format(file["idempotent"])}"'
    acts: dict[str, dict[str, Any]] = {
        "idempotent": {"action": "command", "argv": ["/bin/sh", "-c", add], "idempotent": True},
        "probed": {"action": "ledger", "path": str(file["probed"]), "after": "200ms", "timeout": "1s"},
        "never_retry": {
            "action": "command",
            "argv": ["/bin/sh", "-c", f"sleep 0.1; echo $FOREWARN_KEY >> {file['never_retry']}; sleep 0.1"],
            "never_retry": True,
        },
        "wait": {"action": "wait", "seconds": f"{WAIT}s"},
    }
    proofs: dict[str, dict[str, Any]] = {
        kind: {"command": {"argv": ["/bin/sh", "-c", "sleep 0.1"]}} for kind in KINDS
    }
    proofs["wait"] = {"wait": {"seconds": f"{PROOF}s"}}
    return {kind: _playbook(kind, act, proofs[kind]) for kind, act in acts.items()}


def _playbook(name: str, act: dict[str, Any], proof: dict[str, Any]) -> Playbook:
    whole = {
        "playbook": name.replace("_", "-"),
        "match": "true",
        "target": "svc/web",
        "autonomy": "auto",
        "guards": {
            "cooldown": "0s",
            "max_runs": {"count": 10**6, "per": "1h"},
            "breaker": {"count": 10**6, "per": "1h"},
        },
        "steps": [{"act": act}],
        "verify": {**proof, "times": 1, "every": "100ms", "within": "5s"},
    }
    return read_playbook(json.dumps(whole), f"{name}.yaml")


def queue(db: Database, books: list[Playbook], count: int, first: int = 0) -> list[int]:
    """`count` problems with a run each, of `books` in turn and on targets of their own."""

    def write(conn: Connection) -> list[int]:
        made = []
        for n in range(first, first + count):
            book, now = books[n % len(books)], time.time()
            values = {"key": f"P-{n}", "title": "x", "state": "open", "stage": "active", "severity": "major"}
            done = conn.execute(problem.insert().values(**values, labels={}, opened=now, updated=now))
            ident = int((done.inserted_primary_key or (0,))[0])
            one = Run(ident, book.name, book.revision, f"svc/{n}", RunState.QUEUED, "auto", False, now)
            made.append(runs.insert(conn, one, book.text).id)
        return made

    with db.begin() as conn:
        return write(conn)


@dataclass
class Workers:
    """`count` worker processes at any time."""

    url: str
    count: int
    parallel: int
    path: str
    log: Path
    killed: int = 0
    live: list[asyncio.subprocess.Process] = field(default_factory=list)

    async def __aenter__(self) -> "Workers":
        self.live = list(await asyncio.gather(*(self._start() for _ in range(self.count))))
        return self

    async def __aexit__(self, *_: object) -> None:
        for one in self.live:
            if one.returncode is None:
                one.terminate()
        await asyncio.gather(*(one.wait() for one in self.live))

    async def kill(self) -> None:
        """One of them, at once; another begins in its place."""
        victim = self.live.pop(random.randrange(len(self.live)))
        if victim.returncode is not None:
            raise RuntimeError(f"a worker ended by itself:\n{self.log.read_text()[-3000:]}")
        assert victim.pid > 1
        victim.kill()
        await victim.wait()
        self.killed += 1
        self.live.append(await self._start())

    async def _start(self) -> asyncio.subprocess.Process:
        words = ["-m", "tests.run_process", self.url, str(LEASE), str(self.parallel)]
        alone = ["alone"] if self.count == 1 else []
        with self.log.open("ab") as log:
            made = await asyncio.create_subprocess_exec(
                sys.executable,
                *words,
                *alone,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env={**os.environ, "PYTHONPATH": self.path},
            )
        assert made.stdout
        if await asyncio.wait_for(made.stdout.readline(), 60) != b"ready\n":
            raise RuntimeError(f"a worker did not start; see {self.log}:\n{self.log.read_text()[-2000:]}")
        return made


def ended(db: Database) -> int:
    with db.read_only() as conn:
        over = sa.select(sa.func.count()).where(run_table.c.state.not_in(LIVE_RUN))
        return int(conn.execute(over).scalar_one())


async def until_ended(db: Database, count: float, within: float) -> None:
    await eventually(lambda: ended(db) >= count, within)


async def chaos(
    db: Database, workers: Workers, books: list[Playbook], count: int, kills: int, within: float
) -> None:
    """A portion of the runs for each kill, which comes while they are under way; then time for the rest."""
    queued = 0
    for number in range(1, kills + 2):
        portion = count * number // (kills + 1) - queued
        queue(db, books, portion, first=queued)
        queued += portion
        if number > kills:
            break
        await eventually(lambda: _under_way(db), within)
        await asyncio.sleep(random.uniform(0, 0.5))
        await workers.kill()
    with suppress(AssertionError):  # then they are counted as stuck
        await until_ended(db, count, within)


def _under_way(db: Database) -> bool:
    with db.read_only() as conn:
        holding = sa.select(run_table.c.id).where(run_table.c.state.in_(runs.HOLDING)).limit(1)
        return conn.execute(holding).first() is not None


def judge(db: Database, folder: Path) -> dict[str, int]:
    """What became of every run and of every effect."""
    found: Counter[str] = Counter(stuck=0, lost_effects=0, double_effects=0, escalated=0)
    with db.read_only() as conn:
        rows = conn.execute(sa.select(run_table)).mappings().all()
    left = {kind: Counter(_lines(folder / kind)) for kind in KINDS}
    for row in rows:
        kind, key = row["playbook"].replace("-", "_"), f"{row['id']}:act"
        times = left[kind][key]
        found["double_effects"] += max(0, times - 1)
        cut_off = row["reason"].startswith(EscalationReason.INTERRUPTED.value)
        if row["state"] in LIVE_RUN:
            found["stuck"] += 1
        elif row["state"] == RunState.SUCCEEDED:
            found["lost_effects"] += times == 0
        elif kind == "never_retry" and row["state"] == RunState.INTERRUPTED and cut_off:
            found["escalated"] += 1
        else:
            found["lost_effects"] += 1
            print(f"run {row['id']} ({kind}): {row['state']}: {row['reason']}", file=sys.stderr)
    return dict(found)


def _lines(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


async def throughput(db: Database, workers: Workers, book: Playbook, count: int) -> float:
    """Runs a second, from the first that begins to the last that ends."""
    before = ended(db)
    ids = queue(db, [book], count, first=10**6)
    await until_ended(db, before + count, 300)
    with db.read_only() as conn:
        mine = run_table.c.id.in_(ids)
        first, last = conn.execute(
            sa.select(sa.func.min(run_table.c.started), sa.func.max(run_table.c.ended)).where(mine)
        ).one()
    return count / float(last - first)


async def overhead(db: Database, book: Playbook, count: int) -> float:
    """Median milliseconds from queued to ended beyond the act, in an engine that is woken by its pipeline."""
    wake = asyncio.Event()
    one = worker(db, LEASE, 8, wake)
    working = asyncio.create_task(one.run())
    beyond, before = [], ended(db)
    for n in range(count):
        (run_id,) = queue(db, [book], 1, first=2 * 10**6 + n)
        wake.set()
        await until_ended(db, before + n + 1, 60)
        run = await db.read(runs.get, run_id)
        assert run
        beyond.append(run.ended - run.queued - WAIT - PROOF)
    one.stop()
    await working
    return median(beyond) * 1000


async def run(
    url: str, folder: Path, count: int, kills: int, replicas: int, parallel: int, measured: int
) -> dict[str, Any]:
    """One store's part; `measured` runs for each figure of speed."""
    path, log = register(folder / "site"), folder / "workers.log"
    sys.path.insert(0, str(folder / "site"))
    books = playbooks(folder)
    db, started = Database(url), time.monotonic()
    try:
        async with Workers(url, replicas, parallel, path, log) as workers:
            await chaos(db, workers, [books[kind] for kind in KINDS], count, kills, within=120)
        found: dict[str, Any] = {"runs": count, "kills": workers.killed, **judge(db, folder)}
        found["seconds"] = round(time.monotonic() - started, 1)
        if measured:
            async with Workers(url, replicas, 32, path, log) as quick:
                found["runs_per_s"] = round(await throughput(db, quick, books["wait"], measured), 1)
            found["overhead_ms_median"] = round(await overhead(db, books["wait"], min(40, measured)), 1)
        return found
    finally:
        sys.path.remove(str(folder / "site"))
        db.close()


@contextmanager
def place(kind: str) -> Iterator[tuple[str, Path]]:
    """The URL of a fresh store, and a folder."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fw-durability-")))
        yield stack.enter_context(store(kind, folder)), folder


def main() -> None:
    asking = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    asking.add_argument("--runs", type=int, default=200)
    asking.add_argument("--kills", type=int, default=40)
    asking.add_argument("--replicas", type=int, choices=[1, 2], default=1)
    asking.add_argument("--store", choices=["sqlite", "postgresql", "both"], default="both")
    asking.add_argument("--parallel", type=int, default=8, help="Runs at one time of each worker.")
    asking.add_argument("--measured", type=int, default=200, help="Runs for the figures of speed; 0: none.")
    asking.add_argument("--seed", type=int, default=0)
    given = asking.parse_args()
    random.seed(given.seed)
    kinds = ["sqlite", "postgresql"] if given.store == "both" else [given.store]
    total: dict[str, Any] = {"bench": "durability", "replicas": given.replicas}
    for kind in kinds:
        with place(kind) as (url, folder):
            made = run(url, folder, given.runs, given.kills, given.replicas, given.parallel, given.measured)
            total[kind] = asyncio.run(made)
        print(f"{kind}: {total[kind]}", file=sys.stderr)
    for name in ("kills", "stuck", "double_effects", "lost_effects", "escalated"):
        total[name] = sum(total[kind][name] for kind in kinds)
    print(json.dumps(total))


if __name__ == "__main__":
    main()
