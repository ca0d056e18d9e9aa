"""A run worker in a process of its own, to be killed.

    python -m tests.run_process URL LEASE PARALLEL [alone]

`alone`: the only one on its store, as an engine on SQLite is, so whatever is leased was left by the dead.
Says ``ready`` once it works; ends on SIGTERM after a drain.
"""

import asyncio
import logging
import signal
import sys
from typing import Any

from aiops.config import Remediation as Settings
from aiops.core.brakes import BlastRadius, Brakes, Storm
from aiops.engine.clock import SystemClock
from aiops.engine.messages import Message
from aiops.engine.run import RunWorker
from aiops.store import leases
from aiops.store.database import Database

WIDE = Brakes(blast_radius=BlastRadius(targets=10**6, per=1.0), storm=Storm(problems=10**6, within=1.0))


async def context_of(_: int) -> tuple[dict[str, Any], bool]:
    return {"title": "web is slow", "level": 2, "labels": {"service": "web"}}, True


async def tell(_: Message) -> None:
    raise AssertionError("nobody keeps problems here")


def worker(db: Database, lease: float, parallel: int, wake: asyncio.Event | None = None) -> RunWorker:
    """As an engine makes one that stands by; `wake` makes it look at once."""
    settings, wake = Settings(enabled=True, parallel=parallel, brakes=WIDE), wake or asyncio.Event()
    return RunWorker(
        db, SystemClock(), dict, context_of, tell, wake, settings, poll=0.1, lease=lease, hears=lambda: False
    )


async def main(url: str, lease: float, parallel: int, alone: bool) -> None:
    db = Database(url)
    if alone:
        await db.run(leases.let_all_go)
    one = worker(db, lease, parallel)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, one.stop)
    print("ready", flush=True)
    await one.run()
    db.close()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    asyncio.run(main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), "alone" in sys.argv[4:]))
