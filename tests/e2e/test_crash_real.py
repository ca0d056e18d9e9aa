"""``kill -9`` at random moments of real repairs: nothing is lost, nothing is doubled, nothing is relearnt."""

import asyncio
import random
import time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from aiops.store.tables import step
from tests.e2e.repair_world import World, world

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("crash")]

KILLS = 10
SEED = 20
LONGEST = 6.0
"""A repair takes about this many seconds, so the kill falls anywhere in it."""


async def test_crashes_lose_and_double_nothing(folder: Path, db_url: str) -> None:
    chance = random.Random(SEED)
    # ten on the default store; the other one proves the same with fewer
    kills = KILLS if db_url.startswith("sqlite") else 3
    async with world(folder, db_url) as here:
        learnt = await asyncio.to_thread(samples_learnt, here)
        for crash in range(kills):
            await asyncio.to_thread(here.nginx.kill)
            await asyncio.sleep(chance.uniform(0.2, LONGEST))
            await asyncio.to_thread(here.forewarn.kill)
            await asyncio.to_thread(here.forewarn.start)
            await settled(here, crash + 1)
            now = await asyncio.to_thread(samples_learnt, here)
            assert now >= learnt, "the models were relearnt from zero"
            learnt = now
        await asyncio.to_thread(nothing_lost_nothing_doubled, here, db_url)


async def settled(here: World, faults: int) -> None:
    """Every problem over, nginx up again, and every message delivered."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        problems = await asyncio.to_thread(here.forewarn.problems)
        over = problems and all(p["state"] == "resolved" for p in problems)
        sent = all(d["state"] == "sent" for p in problems for d in p["deliveries"])
        runs = sum(len(p["runs"]) for p in problems)
        if over and sent and here.nginx.answers() and runs >= faults and not await firing(here):
            return
        await asyncio.sleep(0.2)
    raise AssertionError(here.forewarn.log.read_text()[-6000:])


async def firing(here: World) -> list[Any]:
    found: list[Any] = (await asyncio.to_thread(here.forewarn.get, "/alerts?state=firing"))["items"]
    return found


def samples_learnt(here: World) -> int:
    """Series whose models are ready."""
    return sum(1 for one in here.forewarn.get("/series?limit=200")["items"] if one["ready"])


def nothing_lost_nothing_doubled(here: World, db_url: str) -> None:
    problems = here.forewarn.problems()
    tickets = here.receiver.tickets()
    assert {p["key"] for p in problems} == set(tickets), "a ticket for each problem and for nothing else"
    assert all(len(p["tickets"]) == 1 for p in problems)
    for problem in problems:
        said = [event["type"].rsplit(".", 1)[-1] for event in tickets[problem["key"]]]
        assert said.count("opened") == 1, said
        assert said[-1] == "resolved", said
    runs = [run for p in problems for run in p["runs"]]
    assert all(run["state"] in ("succeeded", "expired") for run in runs), [r["state"] for r in runs]
    store = sa.create_engine(db_url)
    with store.connect() as db:
        twice = sa.select(step.c.run_id).group_by(step.c.run_id, step.c.number).having(sa.func.count() > 1)
        assert not db.execute(twice).all()
        assert not db.execute(sa.select(step.c.id).where(step.c.ended.is_(None))).all()
    store.dispose()
