"""The relay against a real HTTP receiver that loses answers, refuses and stalls; and under kill -9."""

import asyncio
import os
import random
import sys
from collections import Counter

import pytest

from aiops.engine.clock import SystemClock
from aiops.engine.deliver import Relay
from aiops.store.database import Database
from aiops.testing import eventually
from tests.outboxes import STORY, attempt, queue, rows, settled, ticket
from tests.receiver import SECRET, Fault, Receiver, Request
from tests.relay_process import SETTINGS, a_webhook

ODDS = {Fault.LOST: 25, Fault.BUSY: 10, Fault.TOO_MANY: 10, Fault.LATE: 5, Fault.NONE: 50}
"""In percent; as bad a day as was measured with naive retries, which gave 22 duplicates of 36 messages."""


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ITSM_SECRET", SECRET)


def a_bad_day(seed: int) -> tuple[Receiver, Counter[Fault]]:
    """A receiver that fails by `ODDS`, and how often it did."""
    dice, seen = random.Random(seed), Counter[Fault]()

    def fault(_request: Request) -> Fault:
        (hit,) = dice.choices(list(ODDS), list(ODDS.values()))
        seen[hit] += 1
        return hit

    return Receiver(fault=fault, late_by=0.6, retry_after="0"), seen


def assert_nothing_lost_doubled_or_out_of_order(db: Database, itsm: Receiver, problems: int) -> None:
    assert itsm.unsigned == []
    heard = {key: [e["data"]["n"] for e in events] for key, events in itsm.tickets().items()}
    assert heard == {f"P-{n}": [str(reason) for reason in STORY] for n in range(problems)}
    assert {t["ref"] for t in rows(db, ticket)} == {f"INC-P-{n}" for n in range(problems)}
    assert len(rows(db, ticket)) == problems


async def test_on_a_bad_day_nothing_is_lost_doubled_or_out_of_order(db: Database) -> None:
    problems = 12
    queue(db, problems, *STORY)
    itsm, seen = a_bad_day(seed=7)
    async with itsm.serve():
        sink = a_webhook(itsm.url)
        relay = Relay(db, SystemClock(), lambda: {"itsm": sink}, asyncio.Event(), SETTINGS)
        task = asyncio.create_task(relay.run())
        await eventually(lambda: settled(db), within=60)
        relay.stop()
        await task
        await sink.close()
    assert min(seen[fault] for fault in ODDS) > 0, seen
    assert_nothing_lost_doubled_or_out_of_order(db, itsm, problems)
    assert len(rows(db, attempt)) >= len(STORY) * problems + seen[Fault.LOST]


async def test_kill_9_of_the_relay_loses_and_doubles_nothing(db_url: str) -> None:
    problems, kills = 12, 3
    db = Database(db_url)
    queue(db, problems, *STORY)
    itsm, _ = a_bad_day(seed=11)
    try:
        async with itsm.serve(), asyncio.timeout(120):
            for kill in range(kills + 1):
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "tests.relay_process", db_url, itsm.url, env={**os.environ}
                )
                if kill < kills:
                    before = len(itsm.requests)
                    await eventually(lambda: len(itsm.requests) > before + 6, within=30)  # noqa: B023
                    process.kill()
                    assert await process.wait() == -9, "it was to be killed at work, not after it"
            assert await process.wait() == 0
        assert settled(db)
        assert_nothing_lost_doubled_or_out_of_order(db, itsm, problems)
    finally:
        if process.returncode is None:
            process.kill()
        db.close()
