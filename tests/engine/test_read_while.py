"""Problems are read, by API and console, at every moment while they merge, split and end."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import cycle
from pathlib import Path

import httpx
import numpy as np

from aiops.config import Config
from aiops.engine.engine import Engine
from aiops.engine.messages import Merge, Split
from aiops.model.frame import Frame
from aiops.store import tables
from aiops.testing import FakeClock, ScriptedConnector, eventually
from aiops.web.app import create_app
from tests.engine.test_causes import CALLS, SLOW, Tiers
from tests.making import NOW
from tests.walk import SOURCE, all_of

PAGES = ("/api/v1/problems/{}", "/problems/{}", "/problems/{}.md", "/api/v1/problems/{}/playbooks")


class World:
    """A real engine on a clock that stands; rows are put into its pipeline."""

    def __init__(self, engine: Engine, clock: FakeClock, client: httpx.AsyncClient) -> None:
        self.engine, self._clock, self.client = engine, clock, client
        self._tiers = Tiers()

    async def rows(self, count: int, **slow: float) -> None:
        for _ in range(count):
            await self._clock.advance(2.0)
            values = self._tiers.row(slow)
            slots = self.engine.index.slots(values)
            row = Frame(np.array([self._clock.now()]), slots, np.array([list(values.values())]))
            await self.engine.pipeline.queue.put((SOURCE, row))
            await self.engine.pipeline.call(lambda state: None)


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    keys = {
        "store": f"sqlite:///{folder}/forewarn.db",
        "data": folder / "data",
        "sources": [ScriptedConnector(name=SOURCE, every=2.0)],
        "limits": [SLOW],
        "detection": {"detectors": []},
        "alerting": {"resolve_after": "4s"},
        "grouping": {"calls": CALLS, "reopen_within": "1s"},
    }
    clock = FakeClock(NOW)
    engine = Engine(Config.model_validate(keys), clock=clock)
    await engine.start()
    try:
        await eventually(engine.ready, 60)
        transport = httpx.ASGITransport(create_app(engine), raise_app_exceptions=True)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8750") as client:
            yield World(engine, clock, client)
    finally:
        stopping = asyncio.create_task(engine.stop())
        while not stopping.done():
            await clock.advance(1)
            await asyncio.sleep(0.005)
        await stopping


async def reading(world: World, pages: str, seen: Counter[int], stop: asyncio.Event) -> None:
    """The newest problems on one kind of page, over and over."""
    while not stop.is_set():
        for one in (await world.client.get("/api/v1/problems?limit=6")).json()["items"]:
            seen[(await world.client.get(pages.format(one["id"]))).status_code] += 1
        await asyncio.sleep(0)


async def arranging(world: World, stop: asyncio.Event) -> None:
    """People who merge and split what the engine has told apart."""
    for turn in cycle((True, False)):
        if stop.is_set():
            return
        first, *rest = (await world.client.get("/api/v1/problems?limit=2")).json()["items"] or [None]
        if first is not None:
            whole = (await world.client.get(f"/api/v1/problems/{first['id']}")).json()
            if turn and len(whole["alerts"]) > 1:
                await world.engine.tell(Split(first["id"], "ana", (whole["alerts"][0]["id"],), "another"))
            elif rest:
                await world.engine.tell(Merge(first["id"], "ana", rest[0]["id"], "the same"))
        await asyncio.sleep(0.01)


async def test_no_reader_ever_meets_half_a_merge_or_split(tmp_path: Path) -> None:
    async with world(tmp_path) as made:
        await made.rows(40)
        seen: Counter[int] = Counter()
        stop = asyncio.Event()
        readers = [asyncio.create_task(reading(made, page, seen, stop)) for page in PAGES]
        readers.append(asyncio.create_task(arranging(made, stop)))
        ties: set[str] = set()
        for upper in ("proxy", "app", "proxy", "app"):
            await made.rows(14, db=2.0, **{upper: 4.0})
            await made.rows(8)
            ties |= {row["kind"] for row in await made.engine.db.read(all_of, tables.link)}
            if ties == {"merged", "split"}:
                break
        stop.set()
        await asyncio.gather(*readers)
    assert ties == {"merged", "split"}
    assert seen[200] > 20
    assert set(seen) == {200}
