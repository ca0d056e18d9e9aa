"""What is done now and then: silences taken up, series forgotten, old rows purged, gauges set."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from aiops.engine.asked import asked_silences
from aiops.engine.checkpoint import Checkpointer
from aiops.engine.housekeeping import EVERY, RARELY, Housekeeping
from aiops.engine.state import State
from aiops.model.frame import Change
from aiops.store import causes, silences, tables
from aiops.store.database import Database
from aiops.testing import eventually
from tests.making import labels
from tests.walk import DOWN, Walk, config_of

UP, OLD = labels("up", service="web"), labels("up", service="old")


@pytest.fixture
def made(db: Database) -> Walk:
    detection = {"detectors": [], "forget_after": "1h"}
    return Walk(db, config_of(limits=[DOWN], detection=detection, retention={"problems": "1d"}))


@asynccontextmanager
async def keeping(made: Walk, folder: Path) -> AsyncIterator[Housekeeping]:
    """The pipeline runs; housekeeping is done by hand."""
    running = asyncio.create_task(made.pipeline.run())
    checkpointer = Checkpointer(folder, made.pipeline, [], made.clock, made.metrics)
    yield Housekeeping(made.db, made.pipeline, checkpointer, made.clock, made.metrics)
    await made.pipeline.queue.put(None)
    await running


def gauge(made: Walk, name: str, **of: str) -> float | None:
    return made.metrics.registry.get_sample_value(name, of)


async def test_a_silence_that_somebody_asked_for_is_taken_up_and_let_go(made: Walk, tmp_path: Path) -> None:
    now = made.clock.now()
    asked = await made.db.run(
        silences.create, match="up", starts=now, ends=now + 60, reason="release", by="ann", at=now
    )
    async with keeping(made, tmp_path) as house:
        await house.often(now)
        assert made.state.silences.why(UP, now + 1) == "release"
        await made.db.run(silences.expire, asked.id, by="ann", at=now + 2)
        await house.often(now + 3)
        assert made.state.silences.why(UP, now + 3) == ""


@pytest.mark.parametrize("reload", [True, False])
async def test_a_silence_holds_over_a_reload_and_a_restart(made: Walk, reload: bool) -> None:
    now = made.clock.now()
    await made.db.run(
        silences.create, match="up", starts=now, ends=now + 3600, reason="release", by="ann", at=now
    )
    made.state.silences.asked(await asked_silences(made.db, now))
    await made.row({UP: 0.0})
    assert made.state.problems.known == []
    if reload:
        old = made.state
        made.state = made.pipeline.state = State(made.config, [], old.index)
        made.state.adopt(old)
    else:
        made = await made.reopened()
    for _ in range(5):
        await made.row({UP: 0.0})
    assert made.state.problems.known == []


async def test_series_long_gone_are_forgotten_but_for_those_with_an_alert(made: Walk, tmp_path: Path) -> None:
    await made.row({UP: 0.0, OLD: 1.0})
    async with keeping(made, tmp_path) as house:
        await house.rarely(made.clock.now() + 3599.0)
        assert len(made.state.index) == 2
        await house.rarely(made.clock.now() + 3601.0)
    assert made.state.index.find(OLD) is None
    assert made.state.index.find(UP) is not None


async def test_a_forgotten_slot_starts_clean_with_another_series(made: Walk, tmp_path: Path) -> None:
    for _ in range(5):
        await made.row({OLD: 1.0})
    slot = made.state.index.find(OLD)
    assert slot is not None
    async with keeping(made, tmp_path) as house:
        await house.rarely(made.clock.now())
        await house.rarely(made.clock.now() + 7200.0)
    await made.row({UP: 1.0}, after=7200.0)
    assert made.state.index.find(UP) == slot
    assert made.state.anomalies.columns["seen"][slot] == 1
    assert len(made.state.recent.points(slot)["times"]) == 1


async def test_what_was_learnt_from_late_samples_is_not_forgotten(made: Walk, tmp_path: Path) -> None:
    """A source that is always minutes behind is learnt from, never acted on; it is seen all the same."""
    async with keeping(made, tmp_path) as house:
        for _ in range(5):
            await made.clock.advance(1800.0)
            await made.take({OLD: 1.0}, made.clock.now() - 300.0)
            await house.rarely(made.clock.now())
    slot = made.state.index.find(OLD)
    assert slot is not None
    assert made.state.anomalies.columns["seen"][slot] == 5


async def test_problems_beyond_their_retention_go(made: Walk, tmp_path: Path) -> None:
    await made.row({UP: 0.0})
    for _ in range(15):
        await made.row({UP: 1.0})
    async with keeping(made, tmp_path) as house:
        await house.rarely(made.clock.now() + 86399.0)
        assert len(await made.stored(tables.problem)) == 1
        await house.rarely(made.clock.now() + 86401.0)
        assert await made.stored(tables.problem) == []


async def test_changes_go_with_the_problems_of_their_time(made: Walk, tmp_path: Path) -> None:
    await made.row({UP: 1.0})
    deploy = Change(made.clock.now(), "deploy", "web 1.2", UP)
    await made.db.run(causes.add_change, "ci", deploy, "default")
    async with keeping(made, tmp_path) as house:
        await house.rarely(deploy.time + 86399.0)
        assert len(await made.stored(tables.change)) == 1
        await house.rarely(deploy.time + 86401.0)
        assert await made.stored(tables.change) == []


async def test_gauges_show_what_there_is(made: Walk, tmp_path: Path) -> None:
    await made.row({UP: 0.0, OLD: 1.0})
    async with keeping(made, tmp_path) as house:
        await house.often(made.clock.now() + 5.0)
    assert gauge(made, "forewarn_series") == 2.0
    assert gauge(made, "forewarn_problems_open", state="open") == 1.0
    assert gauge(made, "forewarn_problems_open", state="escalated") == 0.0
    assert gauge(made, "forewarn_deliveries_due") == 1.0
    assert gauge(made, "forewarn_delivery_oldest_seconds") == 5.0


async def test_a_series_that_was_forgotten_is_not_ready_any_more(db: Database, tmp_path: Path) -> None:
    detection = {"detectors": [{"kind": "adaptive", "warmup_samples": 12}], "forget_after": "1h"}
    made = Walk(db, config_of(detection=detection))
    for _ in range(15):
        await made.row({OLD: 1.0})
    async with keeping(made, tmp_path) as house:
        await house.often(made.clock.now())
        assert gauge(made, "forewarn_series_ready") == 1.0
        await house.rarely(made.clock.now())
        await house.rarely(made.clock.now() + 7200.0)
        await house.often(made.clock.now())
    assert gauge(made, "forewarn_series") == 0.0
    assert gauge(made, "forewarn_series_ready") == 0.0


async def test_a_store_that_is_away_only_puts_it_off(
    made: Walk, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with keeping(made, tmp_path) as house:
        with made.db.begin() as conn:
            conn.execute(sa.schema.DropTable(tables.silence))
        task = asyncio.create_task(house.run())
        await eventually(lambda: "put off" in caplog.text)
        with made.db.begin() as conn:
            tables.silence.create(conn)
        for _ in range(int(RARELY / EVERY) + 2):
            await made.clock.advance(EVERY)
            await eventually(lambda: made.clock.sleepers)
        assert gauge(made, "forewarn_series") == 0.0
        assert not task.done()
        task.cancel()
