"""Who stands by is ready to take over at once, keeps one session, and loses nothing by standing still."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import sqlalchemy as sa

from aiops.config import Config
from aiops.engine import standby, warm
from aiops.engine.clock import SystemClock
from aiops.engine.leadership import Leadership
from aiops.engine.standby import stand_by
from aiops.store.database import Database
from aiops.testing import ScriptedConnector, eventually
from tests.database import Postgres


class Heavy(ScriptedConnector):
    """Takes long to load."""

    prepared: int = 0
    broken: bool = False

    def prepare(self) -> None:
        self.prepared += 1
        if self.broken:
            raise RuntimeError("cannot be loaded")


def config_of(source: Heavy) -> Config:
    return Config.model_validate({"sources": [{"kind": "host"}], "detection": {"detectors": []}}).model_copy(
        update={"sources": [source]}
    )


class Engines:
    """One that leads, and one that stands by."""

    def __init__(self, url: str) -> None:
        self.dbs = [Database(url), Database(url)]
        self.leader, self.other = (Leadership(db, SystemClock(), "http://here") for db in self.dbs)

    def sessions(self) -> set[int]:
        """Processes of the server for the one that stands by."""
        query = "SELECT pid FROM pg_stat_activity WHERE application_name = :name"
        with self.dbs[0].read_only() as conn:
            return set(conn.execute(sa.text(query), {"name": self.other.owner}).scalars())


@pytest.fixture
def url(cluster: Postgres) -> Iterator[str]:
    with cluster.fresh() as made:
        yield made


@pytest.fixture
async def engines(url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Engines]:
    monkeypatch.setattr(standby, "REST", 0.0)
    made = Engines(url)
    assert await made.leader.claim()
    yield made
    for one, db in zip((made.leader, made.other), made.dbs, strict=True):
        await asyncio.to_thread(one.close)
        db.close()


@pytest.mark.parametrize("broken", [False, True])
async def test_what_a_takeover_needs_is_loaded_before_it_comes(engines: Engines, broken: bool) -> None:
    source = Heavy(name="heavy", broken=broken)
    standing = asyncio.create_task(stand_by(engines.other, config_of(source)))
    await eventually(lambda: source.prepared)
    assert not standing.done()
    await asyncio.to_thread(engines.leader.close)
    await asyncio.wait_for(standing, 20)
    assert (engines.other.leads, engines.other.epoch, source.prepared) == (True, 2, 1)
    engines.leader = Leadership(engines.dbs[0], SystemClock(), "")


async def test_one_session_looks_for_the_lead_again_and_again(engines: Engines) -> None:
    waiting = asyncio.create_task(engines.other.wait())
    await eventually(engines.sessions)
    before = engines.sessions()
    await asyncio.sleep(4 * 0.25)
    assert engines.sessions() == before, "to connect anew takes a busy server its time"
    waiting.cancel()


async def test_only_a_leader_is_cut_off_for_its_silence(engines: Engines) -> None:
    assert not await engines.other.claim()

    def silence(one: Leadership) -> str:
        assert one._conn is not None
        return str(one._conn.exec_driver_sql("SHOW idle_session_timeout").scalar())

    assert await engines.other._apart(lambda: silence(engines.other)) == "0"
    await asyncio.to_thread(engines.leader.close)
    assert await engines.other.claim()
    engines.other._closing.set()  # its beat holds the thread
    assert await engines.other._apart(lambda: silence(engines.other)) == "6s"
    engines.leader = Leadership(engines.dbs[0], SystemClock(), "")


def test_detectors_of_the_configuration_stay_as_they_are() -> None:
    config = Config.model_validate({"sources": [{"kind": "host"}]})
    (detector,) = config.detection.detectors
    before = detector.columns.capacity
    warm.load_all(config)
    assert detector.columns.capacity == before
