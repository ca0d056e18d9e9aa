"""Several engines on one PostgreSQL, killed while the database is restarted: what is lost, what doubled?

    python -m tests.bench.ha [--replicas 3] [--minutes 3] [--series 2000] [--problems-per-minute 20]
                             [--kill-every 20] [--postgres-restarts 3] [--push-every 5] [--checkpoint-every 3]
                             [--folder PATH]

Replicas are ``forewarn run`` processes that share a PostgreSQL and a folder of learnt state, and are started
anew as a supervisor would when they die. Services fall one after the other; each is to become one problem,
one ticket, one repair, and to resolve. `kill -9` hits the leader every other time, else any replica.

``doubled_tickets``: further tickets of one fall (a webhook that comes again under its id is one).
``doubled_actions``: further idempotency keys under which one fall was repaired. ``lost``: falls without a
ticket or a repair. ``stuck_runs``: runs that have not ended. ``open_problems``: those not resolved.
``takeovers``: seconds from the death of each leader to the next one that is ready. ``api_errors``: requests
of a client that asks one replica after the other, for up to 15 s, and got no answer.

``lost_acknowledged_samples``: pushed samples that a replica has acknowledged, less those that are learnt
in the end, by series; ``doubled_samples``: what was learnt beyond them. ``cpu_seconds``: of the bench itself,
which sends, serves and asks, and of the replicas with PostgreSQL. ``--folder`` keeps logs and data.
"""

import argparse
import asyncio
import json
import os
import random
import resource
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa

from aiops.model.lifecycle import LIVE_RUN
from aiops.store.database import Database
from aiops.store.tables import delivery, problem, run
from aiops.testing import eventually
from tests.bench.ha_push import Pusher
from tests.database import Postgres, postgres
from tests.replicas import Replica, Services, configured

PATIENCE = 15.0
"""Seconds for which the client tries again."""


@dataclass(frozen=True, slots=True)
class Size:
    replicas: int = 3
    minutes: float = 3.0
    series: int = 2000
    """Pushed ones."""
    problems_per_minute: float = 20.0
    kill_every: float = 20.0
    postgres_restarts: int = 3
    push_every: float = 5.0
    """Seconds between two samples of a pushed series."""
    checkpoint_every: float = 3.0
    """Seconds."""
    settle: float = 150.0
    """Seconds that the last falls get at the end: a message that a dead relay held is free after 75."""

    @property
    def falls(self) -> int:
        return int(self.minutes * self.problems_per_minute)


@dataclass
class Fleet:
    """The replicas, and what happens to them."""

    replicas: list[Replica]
    kills: int = 0
    takeovers: list[float] = field(default_factory=list)
    leader: Replica | None = None
    over: bool = False
    _headless: float = 0.0

    async def supervise(self) -> None:
        """Start anew whoever has died, and see who leads."""
        while not self.over:
            for one in self.replicas:
                if not one.live:
                    one.start()
            roles = await asyncio.gather(*(asyncio.to_thread(one.role) for one in self.replicas))
            leading = [r for r, role in zip(self.replicas, roles, strict=True) if role == "leader" and r.live]
            if leading:
                self.leader = leading[0]
                if self._headless:
                    self.takeovers.append(time.monotonic() - self._headless)
                    self._headless = 0.0
            await asyncio.sleep(0.2)

    def kill(self, victim: Replica) -> None:
        if victim is self.leader:
            self.leader, self._headless = None, self._headless or time.monotonic()
        victim.kill()
        self.kills += 1

    async def stop(self) -> None:
        """In good order: the last one to lead writes a checkpoint of all."""
        self.over = True
        for one in sorted(self.replicas, key=lambda one: one is self.leader):
            if one.live:
                await asyncio.to_thread(one.stop)

    async def ready(self, within: float) -> None:
        end = time.monotonic() + within
        while time.monotonic() < end:
            roles = await asyncio.gather(*(asyncio.to_thread(one.role) for one in self.replicas))
            if all(roles) and "leader" in roles:
                return
            for one in self.replicas:
                if not one.live:
                    raise RuntimeError(f"{one.name} ended:\n{one.log.read_text()[-3000:]}")
            await asyncio.sleep(0.5)
        raise RuntimeError(f"not ready: {roles}")


@dataclass
class Client:
    """Asks for problems and for series, and tries again; counts what was not answered."""

    urls: list[str]
    asked: int = 0
    errors: list[str] = field(default_factory=list)

    async def run(self) -> None:
        async with httpx.AsyncClient(timeout=5.0, trust_env=False) as http:
            while True:
                for path in ("/api/v1/problems?limit=5", "/api/v1/series?limit=1"):
                    await self._ask(http, path)
                await asyncio.sleep(0.3)

    async def _ask(self, http: httpx.AsyncClient, path: str) -> None:
        self.asked += 1
        end, said = time.monotonic() + PATIENCE, ""
        while time.monotonic() < end:
            try:
                answer = await http.get(random.choice(self.urls) + path)
                if answer.status_code == 200:
                    return
                said = f"{answer.status_code} {answer.text[:200]}"
                wait = float(answer.headers.get("Retry-After", 0.5))
            except httpx.HTTPError as why:
                said, wait = repr(why), 0.5
            await asyncio.sleep(min(wait, 2.0))
        self.errors.append(f"{path}: {said}")


async def trouble(fleet: Fleet, size: Size) -> None:
    """Every other time the leader, else any."""
    number = 0
    while True:
        await asyncio.sleep(size.kill_every)
        number += 1
        victim = fleet.leader if number % 2 else random.choice(fleet.replicas)
        if victim is not None and victim.live:
            fleet.kill(victim)


async def restarts(server: Postgres, size: Size) -> None:
    """Spread over the time, each away for two seconds."""
    for _ in range(size.postgres_restarts):
        await asyncio.sleep(size.minutes * 60 / (size.postgres_restarts + 1))
        await asyncio.to_thread(server.stop)
        await asyncio.sleep(2.0)
        server.start()  # from this thread: the kernel ends it with the thread that began it


async def falls(world: Services, size: Size) -> None:
    for number in range(size.falls):
        world.fell(f"s{number}")
        await asyncio.sleep(60.0 / size.problems_per_minute)


async def measure(url: str, server: Postgres, folder: Path, world: Services, size: Size) -> dict[str, Any]:
    """One bout; what was counted in the end."""
    world.idle |= {f"s{number}" for number in range(size.falls)}
    config = configured(folder, url, world) | {"checkpoint_every": f"{size.checkpoint_every}s"}
    config["sources"].append({"kind": "remote_write", "name": "push"})
    fleet = Fleet([Replica(folder, f"replica{n}", config) for n in range(size.replicas)])
    for one in fleet.replicas:
        one.start()
    try:
        await fleet.ready(180)
        await asyncio.sleep(3)
        client = Client([one.url for one in fleet.replicas])
        pusher, over = Pusher(client.urls, size.series, size.push_every), asyncio.Event()
        pushing = asyncio.create_task(pusher.run(over))
        tasks = [asyncio.create_task(fleet.supervise()), asyncio.create_task(client.run())]
        killing = asyncio.create_task(trouble(fleet, size))
        await asyncio.gather(falls(world, size), restarts(server, size))
        killing.cancel()
        await asyncio.gather(killing, return_exceptions=True)
        with suppress(AssertionError):
            await eventually(lambda: len(world.closed()) >= size.falls, size.settle)
        over.set()
        await pushing
        found = judge(Database(url), world, size)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for said in client.errors:
            print(f"not answered: {said}", file=sys.stderr)
        await fleet.stop()
        return found | {
            **pusher.judge(folder / "data" / "checkpoints"),
            "kills": fleet.kills,
            "postgres_restarts": size.postgres_restarts,
            "takeovers": [round(seconds, 1) for seconds in sorted(fleet.takeovers)],
            "takeover_p95": round(_p95(fleet.takeovers), 1),
            "api_requests": client.asked,
            "api_errors": len(client.errors),
            "load": os.getloadavg()[0],
        }
    finally:
        await fleet.stop()


def judge(db: Database, world: Services, size: Size) -> dict[str, int]:
    opened, names = world.opened(), [f"s{number}" for number in range(size.falls)]
    with db.read_only() as conn:
        stuck = sa.select(sa.func.count()).select_from(run).where(run.c.state.in_(LIVE_RUN))
        still = sa.select(sa.func.count()).select_from(problem).where(problem.c.state != "resolved")
        for row in conn.execute(sa.select(problem).where(problem.c.state != "resolved")).mappings():
            said = ("id", "title", "state", "labels", "reason", "escalation")
            print(f"not resolved: { ({key: row[key] for key in said}) }", file=sys.stderr)
        for row in conn.execute(sa.select(delivery).where(delivery.c.state != "sent")).mappings():
            told = ("id", "problem_id", "reason", "state", "attempts", "due", "lease_owner", "error")
            print(f"not sent: { ({key: row[key] for key in told}) }", file=sys.stderr)
        counted = {
            "stuck_runs": int(conn.execute(stuck).scalar_one()),
            "open_problems": int(conn.execute(still).scalar_one()),
        }
    db.close()
    lost = [name for name in names if not opened.get(name) or name not in world.repaired]
    for name in lost:
        print(f"lost: {name}: tickets {opened.get(name)}, repairs {world.keys.get(name)}", file=sys.stderr)
    return {
        "falls": size.falls,
        "lost": len(lost),
        "doubled_tickets": sum(max(0, len(opened.get(name, ())) - 1) for name in names),
        "doubled_actions": sum(max(0, len(world.keys.get(name, ())) - 1) for name in names),
        **counted,
    }


def _p95(seconds: list[float]) -> float:
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))] if ordered else 0.0


def bout(size: Size, kept: Path | None = None) -> dict[str, Any]:
    """On a PostgreSQL of its own; logs and data of the replicas are in `kept`, if that is given."""
    with ExitStack() as stack:
        server = stack.enter_context(postgres())
        folder = kept or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fw-ha-")))
        folder.mkdir(parents=True, exist_ok=True)
        with server.fresh() as url, Services(filler=200).serve() as world:
            found = asyncio.run(measure(url, server, folder, world, size))
    return found | {
        "cpu_seconds": {"bench": _used(resource.RUSAGE_SELF), "others": _used(resource.RUSAGE_CHILDREN)}
    }


def _used(who: int) -> int:
    used = resource.getrusage(who)
    return round(used.ru_utime + used.ru_stime)


def main() -> None:
    asking = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    asking.add_argument("--replicas", type=int, default=3)
    asking.add_argument("--minutes", type=float, default=3.0)
    asking.add_argument("--series", type=int, default=2000)
    asking.add_argument("--problems-per-minute", type=float, default=20.0)
    asking.add_argument("--kill-every", type=float, default=20.0)
    asking.add_argument("--postgres-restarts", type=int, default=3)
    asking.add_argument("--push-every", type=float, default=5.0)
    asking.add_argument("--checkpoint-every", type=float, default=3.0)
    asking.add_argument("--seed", type=int, default=0)
    asking.add_argument("--folder", type=Path, help="Keep the replicas' logs and data here.")
    given = vars(asking.parse_args())
    random.seed(given.pop("seed"))
    kept = given.pop("folder")
    print(json.dumps({"bench": "ha", **given, **bout(Size(**given), kept)}))


if __name__ == "__main__":
    main()
