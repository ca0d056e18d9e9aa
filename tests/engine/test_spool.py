"""What senders were told is taken survives the engine that took it, and takes effect once."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy.engine import Connection
from starlette.applications import Starlette

from aiops.config import Config
from aiops.engine import receive as receive_module
from aiops.engine import spool as spool_module
from aiops.engine.engine import Engine
from aiops.engine.items import Kept
from aiops.engine.leadership import Leadership
from aiops.engine.receive import Front
from aiops.engine.spans import Spans
from aiops.engine.spool import Spool, StoreShelf
from aiops.store import checkpoints, problems
from aiops.store import spool as rows
from aiops.store.database import Database
from aiops.store.leaders import Deposed
from aiops.store.spool import Entry
from aiops.store.tables_duty import spool
from aiops.testing import FakeClock, eventually
from tests.bench import gen
from tests.bench.ha_push import counts
from tests.database import Postgres

START = 1_767_225_600
WRITE = "/receive/push/api/v1/write"
LIMIT = {"name": "up", "match": "pushed_level", "breach": {"below": 0.5}}


@contextlib.asynccontextmanager
async def leading(
    url: str, folder: Path, **keys: Any
) -> AsyncIterator[tuple[Engine, httpx.AsyncClient, FakeClock]]:
    """An engine that leads on a PostgreSQL, and that dies at the end without a word."""
    config = Config.model_validate(
        {
            "store": url,
            "data": str(folder),
            "sources": [{"kind": "remote_write", "name": "push"}],
            "checkpoint_every": "1h",
        }
        | keys
    )
    clock = FakeClock(START)
    engine = Engine(config, clock=clock)
    engine.leadership = Leadership(engine.db, clock, "http://127.0.0.1:1")
    await engine.start()
    app = Front(Starlette(), engine.receiving)
    try:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://127.0.0.1"
        ) as client:
            yield engine, client, clock
    finally:
        await engine._tasks.close()
        await asyncio.to_thread(engine.leadership.close)
        for unused in engine._upkeep.values():
            unused.close()
        engine.db.close()


def body(at: float, value: float = 1.0, series: str = "a") -> bytes:
    pairs = [("__name__", "pushed_level"), ("series", series)]
    return gen.pack(gen.message([(pairs, [(int(at * 1000), value)])]))


async def push(client: httpx.AsyncClient, *ticks: int, value: float = 1.0) -> None:
    for tick in ticks:
        assert (await client.post(WRITE, content=body(START + tick, value))).status_code == 204


def learnt(folder: Path) -> dict[str, int]:
    found = checkpoints.newest(folder / "checkpoints")
    assert found
    return counts(found[0])


async def test_the_next_leader_learns_what_was_acknowledged_and_nothing_twice(
    cluster: Postgres, tmp_path: Path
) -> None:
    with cluster.fresh() as url:
        async with leading(url, tmp_path) as (engine, client, _):
            await push(client, *range(5))
            await engine.checkpointer.write()
            await push(client, *range(5, 12))
        assert learnt(tmp_path) == {"a": 5}
        async with leading(url, tmp_path) as (engine, client, _):
            assert (await client.post(WRITE, content=body(START + 11))).status_code == 204, "sent again"
            await push(client, 12)
            await engine.checkpointer.write()
            assert learnt(tmp_path) == {"a": 13}


async def test_what_was_acted_on_before_the_crash_is_not_acted_on_again(
    cluster: Postgres, tmp_path: Path
) -> None:
    with cluster.fresh() as url:
        quick = {"limits": [LIMIT], "alerting": {"resolve_after": "1s"}}
        async with leading(url, tmp_path, **quick) as (engine, client, _):
            await push(client, 0, 1, 2, value=0.0)
            await push(client, *range(3, 8), value=1.0)
            await eventually(lambda: not engine.pipeline.state.alerting.live)
            known = engine.pipeline.state.problems.known
            assert [str(p.state) for p in known] == ["resolved"]
            trail = _alerts(url)
        async with leading(url, tmp_path, **quick) as (engine, client, _):
            await push(client, 8)
            assert not engine.pipeline.state.alerting.live
            assert _alerts(url) == trail == 1


async def test_a_decoder_knows_the_counters_of_before(cluster: Postgres, tmp_path: Path) -> None:
    """The increase over the crash is watched as well: entries that are covered warm the decoder."""
    pairs = [("__name__", "asked_total")]
    with cluster.fresh() as url:
        async with leading(url, tmp_path) as (engine, client, _):
            raw = gen.pack(gen.message([(pairs, [(START * 1000, 100.0)])]))
            assert (await client.post(WRITE, content=raw)).status_code == 204
            await engine.checkpointer.write()
        async with leading(url, tmp_path) as (engine, client, _):
            raw = gen.pack(gen.message([(pairs, [((START + 10) * 1000, 150.0)])]))
            assert (await client.post(WRITE, content=raw)).status_code == 204
            await eventually(lambda: len(engine.index) == 1)
            await eventually(lambda: engine.recent.points(0)["observed"].tolist() == [5.0])


async def test_only_senders_wait_until_what_was_pushed_before_is_in(
    cluster: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, entries = asyncio.Event(), StoreShelf.entries

    async def late(shelf: StoreShelf) -> AsyncIterator[Entry]:
        await gate.wait()
        async for one in entries(shelf):
            yield one

    with cluster.fresh() as url:
        async with leading(url, tmp_path) as (engine, client, _):
            await push(client, 0, 1)
        monkeypatch.setattr(StoreShelf, "entries", late)
        async with leading(url, tmp_path) as (engine, client, _):
            assert engine.leads
            monkeypatch.setattr(receive_module, "PATIENCE", 0.01)
            refused = await client.post(WRITE, content=body(START + 2))
            assert (refused.status_code, "retry-after" in refused.headers) == (429, True)
            monkeypatch.setattr(receive_module, "PATIENCE", 60.0)
            waiting = asyncio.create_task(push(client, 2))
            await asyncio.sleep(0.05)
            assert not waiting.done()
            gate.set()
            await waiting
            await engine.checkpointer.write()
        assert learnt(tmp_path) == {"a": 3}


def _alerts(url: str) -> int:
    db = Database(url)
    with db.read_only() as conn:
        found = sum(len(p.alerts) for p in problems.load_known(conn, 0.0))
    db.close()
    return found


# -- the spool itself


def no_fence(_conn: Connection) -> None:
    pass


class Belt:
    """A pipeline's queue, of which nothing is taken until the test does."""

    def __init__(self, acted_before: float = 0.0) -> None:
        self.queue: asyncio.Queue[Any] = asyncio.Queue(8)
        self.put, self.spans = self.queue.put, Spans(FakeClock(START))
        self.state = self
        self.acted_before = acted_before

    def taken(self) -> list[float]:
        found = []
        while not self.queue.empty():
            item = self.queue.get_nowait()
            assert isinstance(item, Kept)
            found.append(item.place)
        return found


class Saved:
    def __init__(self) -> None:
        self.facts: dict[str, Any] = {}
        self.soon = asyncio.Event()


def entry(size: int = 1) -> Entry:
    return Entry(0, "push", "api/v1/write", {"content-encoding": "snappy"}, b"x" * size)


async def nothing(_entry: Entry) -> list[Any]:
    return []


@contextlib.asynccontextmanager
async def running(keeping: Spool, covered: int = 0) -> AsyncIterator[asyncio.Task[None]]:
    await keeping.replay(nothing, covered)
    task = asyncio.create_task(keeping.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_batches_go_on_once_their_entry_is_stored_and_say_where_they_stand(db: Database) -> None:
    belt = Belt()
    keeping = Spool(StoreShelf(db, no_fence), belt, 1000)  # type: ignore[arg-type]
    async with running(keeping):
        await keeping.put(entry(), ["one", "two"])  # type: ignore[list-item]
        await keeping.put(entry(), ["three"])  # type: ignore[list-item]
    assert belt.taken() == [1.5, 2.0, 3.0]
    assert [e.number for e in await db.read(rows.some_after, 0)] == [2, 3]


async def test_numbers_go_on_where_effects_or_entries_ended(db: Database) -> None:
    await db.run(rows.append, [Entry(7, "push", "p", {}, b"x")])
    for acted, covered, first in ((3.5, 0, 9), (9.0, 0, 11), (3.0, 20, 22)):
        belt = Belt(acted)
        async with running(keeping := Spool(StoreShelf(db, no_fence), belt, 1000), covered):  # type: ignore[arg-type]
            await keeping.put(entry(), ["one"])  # type: ignore[list-item]
        assert belt.taken() == [first]
        await db.run(lambda conn: conn.execute(spool.delete().where(spool.c.number > 7)))


async def test_others_have_their_turn_between_two_entries_that_are_taken_in_again(db: Database) -> None:
    await db.run(rows.append, [Entry(number, "push", "p", {}, b"x") for number in range(1, 6)])
    turns, seen = 0, []

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def again(_entry: Entry) -> list[Any]:
        seen.append(turns)
        return []

    other = asyncio.create_task(turn())
    await Spool(StoreShelf(db, no_fence), Belt(), 1000).replay(again, 0)  # type: ignore[arg-type]
    other.cancel()
    assert len(set(seen)) == 5


async def test_a_full_spool_asks_for_a_checkpoint_and_empties_when_it_is_covered(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "LOOK", 0.01)
    keeping, saved = Spool(StoreShelf(db, no_fence), Belt(), 100), Saved()  # type: ignore[arg-type]
    async with running(keeping):
        following = asyncio.create_task(keeping.follow(saved, 0))
        for _ in range(2):
            await keeping.put(entry(50), [])
        assert keeping.full
        await asyncio.wait_for(saved.soon.wait(), 5)
        saved.facts = {"spooled": 3}
        await asyncio.sleep(0.1)
        assert keeping.full, "the checkpoint before serves when the newest is damaged"
        saved.facts = {"spooled": 3, "later": True}
        await eventually(lambda: not keeping.full)
        assert await db.read(rows.sizes) == []
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def test_what_an_overtaken_leader_takes_is_not_acknowledged(db: Database) -> None:
    def overtaken(_conn: Connection) -> None:
        raise Deposed("leader 2 has taken over")

    belt = Belt()
    keeping = Spool(StoreShelf(db, overtaken), belt, 1000)  # type: ignore[arg-type]
    async with running(keeping) as task:
        with pytest.raises(Deposed):
            await keeping.put(entry(), ["one"])  # type: ignore[list-item]
        with pytest.raises(Deposed):
            keeping.put(entry(), [])
        with pytest.raises(Deposed):
            await task
    assert belt.taken() == []
    assert await db.read(rows.sizes) == []
