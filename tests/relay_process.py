"""A relay in a process of its own, to be killed.

    python -m tests.relay_process DATABASE_URL SINK [PATIENCE]

SINK is the block of a sink named `itsm` as JSON, or the URL of a webhook whose secret is in the environment
variable ITSM_SECRET. Ends with 0 once nothing is due. PATIENCE: seconds that an
answer is waited for.
"""

import asyncio
import json
import sys
from dataclasses import replace
from typing import Any

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


def patient(patience: float) -> RelaySettings:
    """For a sink that waits for each answer that long: other waits in the proportion that they have in life.

    `lease` is longer than what a request that is handed on late can take. Half of all requests fail by
    themselves, not because the server is down, so the breaker looks at more of them than usual.
    """
    return replace(
        SETTINGS,
        lease=4 * patience,
        limit=3 * patience,
        attempts=80,
        longest_wait=patience / 3,
        settle=patience / 3,
        break_after=40,
    )


def a_webhook(url: str) -> Sink:
    """The sink `itsm`, as a configuration would build it."""
    return a_sink({"kind": "webhook", "url": url, "secret": {"env": "ITSM_SECRET"}, "timeout": "400ms"})


def a_sink(block: dict[str, Any]) -> Sink:
    kind = load("connectors", block.pop("kind"), Sink)  # type: ignore[type-abstract]
    return kind.model_validate({"name": "itsm", **block})


def _due(db: Database) -> int:
    with db.read_only() as conn:
        return backlog.counts(conn, 0.0).get("itsm", backlog.SinkCounts()).due


async def main(database: str, given: str, patience: str = "") -> None:
    db = Database(database)
    sink = a_sink(json.loads(given)) if given.startswith("{") else a_webhook(given)
    settings = patient(float(patience)) if patience else SETTINGS
    relay = Relay(db, SystemClock(), lambda: {"itsm": sink}, asyncio.Event(), settings)
    task = asyncio.create_task(relay.run())
    await eventually(lambda: not _due(db), within=3000 if patience else 60)
    relay.stop()
    await task
    await sink.close()
    db.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
