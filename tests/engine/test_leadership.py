"""Of several engines on one PostgreSQL one leads; it is known when it no longer does, and by whom."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
import sqlalchemy as sa

from aiops.engine import leadership
from aiops.engine.clock import SystemClock
from aiops.engine.leadership import Leadership
from aiops.store import leaders
from aiops.store.database import Database
from aiops.store.leaders import Deposed
from aiops.testing import eventually
from tests.database import Postgres

CLOCK = SystemClock()


@pytest.fixture
def pg(cluster: Postgres) -> Iterator[str]:
    with cluster.fresh() as url:
        yield url


class Two:
    """Two engines' parts that lead or stand by."""

    def __init__(self, url: str) -> None:
        self.dbs = [Database(url), Database(url)]
        self.a, self.b = (Leadership(db, CLOCK, f"http://{n}") for db, n in zip(self.dbs, "ab", strict=True))

    def close(self) -> None:
        for one, db in zip((self.a, self.b), self.dbs, strict=True):
            one.close()
            db.close()

    def cut_all(self) -> None:
        """End every session of either engine's part, as a restart of the server would."""
        ended = (
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = ANY(:who)"
        )
        own = "AND pid <> pg_backend_pid()"
        with self.dbs[1].begin() as conn:
            conn.execute(sa.text(f"{ended} {own}"), {"who": [self.a.owner, self.b.owner]})

    def cut(self) -> None:
        """End every session that holds an advisory lock, as a restart of the server would; wait for that."""
        ended = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted"
        with self.dbs[1].begin() as conn:
            pids = list(conn.execute(sa.text(ended)).scalars())
            for pid in pids:
                conn.execute(sa.text(f"SELECT pg_terminate_backend({pid}, 10000)"))


@pytest.fixture
def two(pg: str) -> Iterator[Two]:
    made = Two(pg)
    yield made
    made.close()


async def test_one_leads_and_the_other_knows_where(two: Two) -> None:
    assert await two.a.claim()
    assert not await two.b.claim()
    assert two.b.leader
    assert (two.b.leader.url, two.b.leader.epoch) == ("http://a", 1)


async def test_who_waits_leads_once_the_leader_has_gone(two: Two) -> None:
    await two.a.claim()
    waiting = asyncio.create_task(two.b.wait())
    await asyncio.sleep(0.2)
    assert not waiting.done()
    two.a.close()
    await asyncio.wait_for(waiting, 10)
    assert (two.b.leads, two.b.epoch) == (True, 2)
    two.a = Leadership(two.dbs[0], CLOCK, "")


async def test_a_leader_that_gets_its_session_back_first_goes_on(two: Two) -> None:
    await two.a.claim()
    keeping = asyncio.create_task(two.a.keep())
    two.cut()
    await asyncio.sleep(0.3)
    assert _free(two.dbs[1])
    await eventually(lambda: not _free(two.dbs[1]))
    assert not keeping.done()
    assert (two.a.leads, two.a.epoch) == (True, 1)
    with two.dbs[0].begin() as conn:
        two.a.fence(conn)
    keeping.cancel()


async def test_a_leader_that_was_overtaken_writes_nothing_and_hears_of_it(two: Two) -> None:
    await two.a.claim()
    two.cut()
    assert await two.b.claim()
    with pytest.raises(Deposed, match="leader 2 has taken over from leader 1"), two.dbs[0].begin() as conn:
        two.a.fence(conn)
    with pytest.raises(Deposed, match=two.b.owner):
        await asyncio.wait_for(two.a.keep(), 10)
    assert not two.a.leads
    with two.dbs[1].begin() as conn:
        two.b.fence(conn)


async def test_nobody_begins_to_lead_in_the_middle_of_a_transaction_of_the_leader(two: Two) -> None:
    await two.a.claim()
    with two.dbs[0].begin() as conn:
        two.a.fence(conn)
        two.cut()
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(claiming := asyncio.create_task(two.b.claim())), 0.5)
        assert not claiming.done()
    assert await asyncio.wait_for(claiming, 10)


async def test_a_busy_event_loop_is_no_silence(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """Taking up a large checkpoint may keep it busy for longer than the server waits for a word."""
    monkeypatch.setattr(leadership, "BEAT", 0.1)
    monkeypatch.setattr(leadership, "_LEADING", ("SET idle_session_timeout = '1s'",))
    assert await two.a.claim()
    time.sleep(2)  # noqa: ASYNC251
    assert not await two.b.claim()


async def test_after_a_restart_of_the_server_the_leader_goes_on_before_another_tries(two: Two) -> None:
    await two.a.claim()
    keeping, waiting = asyncio.create_task(two.a.keep()), asyncio.create_task(two.b.wait())
    await eventually(lambda: two.b.leader)
    two.cut_all()
    await eventually(lambda: two.b.leader is None)
    await eventually(lambda: two.b.leader, 30)
    assert (two.b.leader.owner if two.b.leader else "") == two.a.owner
    assert not keeping.done()
    assert not waiting.done()
    assert (two.a.leads, two.a.epoch) == (True, 1)
    for task in (keeping, waiting):
        task.cancel()


def _free(db: Database) -> bool:
    held = sa.text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted")
    with db.read_only() as conn:
        assert leaders.current(conn)
        return int(conn.execute(held).scalar_one()) == 0
