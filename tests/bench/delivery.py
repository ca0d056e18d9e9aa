"""Tickets on a bad day: lost, doubled and disordered messages after faults and kill -9, on real servers.

    python -m tests.bench.delivery [--server rt|roundup|webhook] [--messages 200] [--kills 10]
                                   [--store sqlite|postgresql|both] [--engines 1] [--seed 7]

Four messages a problem (opened, breached, remediating, resolved) go through a relay in a process of its own,
which is killed and started anew, and through a proxy that loses 25 % of all answers after the server has
acted, refuses 10 % with 503 and 10 % with 429, and hands on 5 % so late that nobody waits for them. With
`--engines 2` two relays share the outbox at any time, and are killed in turn.

Then the server itself is read: `lost` messages are nowhere, `duplicates` are there twice (tickets and
comments alike), `out_of_order` stand behind a later one. `undone`: tickets that are not closed in the end.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from aiops.store.database import Database
from aiops.store.migrate import upgrade
from tests.database import postgres
from tests.fault_proxy import FaultProxy
from tests.outboxes import STORY, delivery, queue, rows
from tests.ticket_servers import SERVERS, TicketServer


async def run(
    url: str, server: TicketServer, messages: int, kills: int, engines: int = 1, seed: int = 7
) -> dict[str, Any]:
    """One day; what was counted in the end."""
    problems = messages // len(STORY)
    db = Database(url)
    started = time.monotonic()
    try:
        queue(db, problems, *STORY)
        proxy = FaultProxy(server.port, seed, server.patience * 7 / 6)
        async with proxy.serve():
            relays = Relays(url, server.block(proxy.url), server.patience, proxy, messages // (kills + 1))
            await relays.run(engines, kills)
        dead = [row["error"] for row in rows(db, delivery) if row["state"] != "sent"]
        if dead:
            raise RuntimeError(f"{len(dead)} messages were not sent: {dead[0]}")
        found = server.heard()
        return {
            "messages": problems * len(STORY),
            **judge(found, [f"P-{n}" for n in range(problems)], len(STORY)),
            "undone": 0 if server.all_closed() else 1,
            "kills": relays.killed,
            "faults": dict(sorted(proxy.seen.items())),
            "seconds": round(time.monotonic() - started, 1),
        }
    finally:
        db.close()


def judge(found: dict[str, list[list[int]]], keys: list[str], story: int) -> dict[str, int]:
    """`found`: key -> of each of its tickets the numbers of the messages that it has heard, as they stand."""
    lost = doubled = disordered = 0
    for key in keys:
        tickets = found.get(key, [])
        heard = [number for ticket in tickets for number in ticket]
        doubled += len(heard) - len(set(heard))
        lost += len(set(range(1, story + 1)) - set(heard))
        disordered += sum(later < earlier for ticket in tickets for earlier, later in pairwise(ticket))
    return {"duplicates": doubled, "lost": lost, "out_of_order": disordered}


@dataclass
class Relays:
    """`engines` relays at any time, each in a process of its own, until all is said.

    One is killed at work, and another begins in its place, whenever `every` more requests have come through.
    """

    url: str
    block: dict[str, Any]
    patience: float
    proxy: FaultProxy
    every: int
    killed: int = 0

    async def run(self, engines: int, kills: int) -> None:
        """Raises RuntimeError when one ends otherwise than by our hand or with all done."""
        relays = [await self._relay() for _ in range(engines)]
        try:
            while self.killed < kills and await self._at_work(relays):
                victim = relays.pop(0)
                victim.kill()
                await victim.wait()
                self.killed += 1
                relays.append(await self._relay())
            codes = await asyncio.wait_for(asyncio.gather(*(relay.wait() for relay in relays)), 3100)
        finally:
            for relay in relays:
                if relay.returncode is None:
                    relay.kill()
        if any(codes):
            raise RuntimeError(f"relays ended with {codes}")

    async def _relay(self) -> asyncio.subprocess.Process:
        words = ["-m", "tests.relay_process", self.url, json.dumps(self.block), str(self.patience)]
        return await asyncio.create_subprocess_exec(sys.executable, *words, env={**os.environ})

    async def _at_work(self, relays: list[asyncio.subprocess.Process]) -> bool:
        """Whether `every` more requests came through before the relays were done."""
        before = self.proxy.seen.total()
        while self.proxy.seen.total() < before + max(3, self.every):
            if any(relay.returncode is not None for relay in relays):
                return False
            await asyncio.sleep(0.02)
        return True


@contextmanager
def store(kind: str, folder: Path) -> Iterator[str]:
    """The URL of a fresh, migrated database."""
    if kind == "sqlite":
        url = f"sqlite:///{folder / 'outbox.db'}"
        db = Database(url)
        upgrade(db)
        db.close()
        yield url
    else:
        with postgres() as cluster, cluster.fresh() as url:
            yield url


def main() -> None:
    asking = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    asking.add_argument("--server", choices=sorted(SERVERS), default="webhook")
    asking.add_argument("--messages", type=int, default=200)
    asking.add_argument("--kills", type=int, default=10)
    asking.add_argument("--engines", type=int, default=1)
    asking.add_argument("--seed", type=int, default=7, help="of the network's faults")
    asking.add_argument("--store", choices=["sqlite", "postgresql", "both"], default="both")
    given = asking.parse_args()
    kinds = ["sqlite", "postgresql"] if given.store == "both" else [given.store]
    total: dict[str, Any] = {
        "bench": "delivery",
        "server": given.server,
        "engines": given.engines,
        "seed": given.seed,
    }
    for kind in kinds:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fw-delivery-")))
            url = stack.enter_context(store(kind, folder))
            server = stack.enter_context(SERVERS[given.server](folder))
            found = asyncio.run(run(url, server, given.messages, given.kills, given.engines, given.seed))
        print(f"{kind}: {found}", file=sys.stderr)
        total[kind] = found
    for name in ("duplicates", "lost", "out_of_order", "undone"):
        total[name] = sum(total[kind][name] for kind in kinds)
    print(json.dumps(total))


if __name__ == "__main__":
    main()
