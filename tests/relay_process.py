"""A relay in a process of its own, to be killed: ``python -m tests.relay_process DATABASE_URL WEBHOOK_URL``.

Ends with 0 once nothing is due. The secret comes from the environment variable ITSM_SECRET.
"""

import asyncio
import sys

from aiops.engine.clock import SystemClock
from aiops.engine.deliver import Relay, RelaySettings
from aiops.plugin import Sink
from aiops.plugin.load import load
from aiops.store import backlog
from aiops.store.database import Database
from aiops.testing import eventually

SETTINGS = RelaySettings(
    poll=0.05,
    lease=1.5,
    limit=1.0,
    # half of all attempts fail here: with 10, one message in a thousand would die by bad luck
    attempts=40,
    first_wait=0.05,
    longest_wait=0.5,
    settle=0.2,
    first_pause=0.05,
    longest_pause=0.2,
)


def a_webhook(url: str) -> Sink:
    """The sink `itsm`, as a configuration would build it."""
    kind = load("connectors", "webhook", Sink)  # type: ignore[type-abstract]
    block = {"name": "itsm", "url": url, "secret": {"env": "ITSM_SECRET"}, "timeout": "400ms"}
    return kind.model_validate(block)


def _due(db: Database) -> int:
    with db.read_only() as conn:
        return backlog.counts(conn, 0.0).get("itsm", backlog.SinkCounts()).due


async def main(database: str, url: str) -> None:
    db, sink = Database(database), a_webhook(url)
    relay = Relay(db, SystemClock(), lambda: {"itsm": sink}, asyncio.Event(), SETTINGS)
    task = asyncio.create_task(relay.run())
    await eventually(lambda: not _due(db), within=60)
    relay.stop()
    await task
    await sink.close()
    db.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
