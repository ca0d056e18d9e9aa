"""Tickets on a bad day: lost, doubled and disordered messages after faults and kill -9, on real servers.

    python -m tests.bench.delivery [--server rt|roundup|webhook] [--messages 200] [--kills 10]
                                   [--store sqlite|postgresql|both]

Four messages a problem (opened, breached, remediating, resolved) go through a relay in a process of its own,
which is killed and started anew, and through a proxy that loses 25 % of all answers after the server has
acted, refuses 10 % with 503 and 10 % with 429, and hands on 5 % so late that nobody waits for them.

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
from itertools import pairwise
from pathlib import Path
from typing import Any

from aiops.store.database import Database
from aiops.store.migrate import upgrade
from tests.database import postgres
from tests.fault_proxy import FaultProxy
from tests.outboxes import STORY, queue, settled
from tests.ticket_servers import LATE, SERVERS, TicketServer


async def run(url: str, server: TicketServer, messages: int, kills: int, seed: int = 7) -> dict[str, Any]:
    """One day; what was counted in the end."""
    problems = messages // len(STORY)
    db = Database(url)
    started = time.monotonic()
    try:
        queue(db, problems, *STORY)
        proxy = FaultProxy(server.port, seed, LATE)
        async with proxy.serve():
            killed = await _relays(url, db, server.block(proxy.url), proxy, messages, kills)
        found = server.heard()
        return {
            "messages": problems * len(STORY),
            **judge(found, [f"P-{n}" for n in range(problems)], len(STORY)),
            "undone": 0 if server.all_closed() else 1,
            "kills": killed,
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


async def _relays(
    url: str, db: Database, block: dict[str, Any], proxy: FaultProxy, messages: int, kills: int
) -> int:
    """Relays one after the other until all is said; each but the last is killed at work."""
    killed = 0
    while True:
        relay = await _relay(url, block)
        try:
            if killed < kills and await _at_work(relay, proxy, max(3, messages // (kills + 1))):
                relay.kill()
            code = await asyncio.wait_for(relay.wait(), 3100)
        finally:
            if relay.returncode is None:
                relay.kill()
        if code == 0:
            assert settled(db), "the relay ended before all was sent"
            return killed
        if code != -9:
            raise RuntimeError(f"the relay ended with {code}")
        killed += 1


async def _relay(url: str, block: dict[str, Any]) -> asyncio.subprocess.Process:
    words = ["-m", "tests.relay_process", url, json.dumps(block), "--patient"]
    return await asyncio.create_subprocess_exec(sys.executable, *words, env={**os.environ})


async def _at_work(relay: asyncio.subprocess.Process, proxy: FaultProxy, requests: int) -> bool:
    """Whether `requests` more came through before the relay was done."""
    before = proxy.seen.total()
    while proxy.seen.total() < before + requests:
        if relay.returncode is not None:
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
    asking.add_argument("--store", choices=["sqlite", "postgresql", "both"], default="both")
    given = asking.parse_args()
    kinds = ["sqlite", "postgresql"] if given.store == "both" else [given.store]
    total: dict[str, Any] = {"bench": "delivery", "server": given.server}
    for kind in kinds:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fw-delivery-")))
            url = stack.enter_context(store(kind, folder))
            server = stack.enter_context(SERVERS[given.server](folder))
            found = asyncio.run(run(url, server, given.messages, given.kills))
        print(f"{kind}: {found}", file=sys.stderr)
        total[kind] = found
    for name in ("duplicates", "lost", "out_of_order", "undone"):
        total[name] = sum(total[kind][name] for kind in kinds)
    print(json.dumps(total))


if __name__ == "__main__":
    main()
