"""One task a source: its schedule, its failures, and that no source waits for another."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from pydantic import PrivateAttr

from aiops.engine.metrics import Metrics
from aiops.engine.pipeline import History, Pipeline, Pulled
from aiops.engine.pull import FATAL_WAIT, Puller, late
from aiops.engine.record import Recorder
from aiops.engine.state import State
from aiops.model.frame import Frame
from aiops.model.series import SeriesIndex
from aiops.plugin import Connector, Fatal, NotConnected, Retryable
from aiops.plugin.connector import Batch
from aiops.store.database import Database
from aiops.testing import FakeClock
from tests.walk import config_of


class Moody(Connector):
    """Does, pull by pull, what it was told: yield a row, raise, or hang; then yields rows for ever."""

    _moods: list[Any] = PrivateAttr(default_factory=list)
    _spans: list[tuple[float, float]] = PrivateAttr(default_factory=list)

    async def pull(self, since: float, until: float) -> AsyncIterator[Batch]:
        self._spans.append((since, until))
        mood = self._moods.pop(0) if self._moods else None
        if isinstance(mood, Exception):
            raise mood
        if mood == "hang":
            await asyncio.Event().wait()
        yield Frame(np.array([until]), np.array([0], np.int32), np.ones((1, 1)))

    async def past(self, since: float, until: float) -> AsyncIterator[Frame]:
        if self._moods and isinstance(self._moods[0], Exception):
            raise self._moods.pop(0)
        yield Frame(np.array([since + 1]), np.array([0], np.int32), np.ones((1, 1)))


def source(*moods: Any, **fields: Any) -> Moody:
    made = Moody(**{"name": "moody", "every": 10.0, **fields})
    made._moods = list(moods)
    return made


class Bench:
    """A puller on a clock that stands, and what it put into the queue."""

    def __init__(self, db: Database, connector: Moody) -> None:
        self.clock = FakeClock()
        state = State(config_of(), [], SeriesIndex())
        self.pipeline = Pipeline(state, Recorder(db), self.clock, Metrics(), lambda _source: 0.0)
        self.puller = Puller(connector, self.pipeline, self.clock, Metrics())
        self.connector = connector

    async def run(self, seconds: float, cursor: float | None = None) -> list[Any]:
        task = asyncio.create_task(self.puller.run(cursor))
        for _ in range(int(seconds)):
            await asyncio.sleep(0)
            await self.clock.advance(1.0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        got = []
        while not self.pipeline.queue.empty():
            got.append(self.pipeline.queue.get_nowait())
        return got


async def test_it_pulls_on_its_schedule_and_each_span_begins_where_the_last_ended(db: Database) -> None:
    bench = Bench(db, source())
    got = await bench.run(35)
    spans = bench.connector._spans
    assert len(spans) == 4
    assert [b for _, b in spans[:-1]] == [a for a, _ in spans[1:]]
    assert [type(item) for item in got[:2]] == [tuple, Pulled]


async def test_a_failed_span_is_asked_again_whole(db: Database) -> None:
    bench = Bench(db, source(None, NotConnected("nobody answers"), None))
    got = await bench.run(45)
    first, failed, again = bench.connector._spans[:3]
    assert failed[0] == again[0] == first[1]
    assert again[1] >= failed[1]
    assert bench.puller.health.failures == 0
    assert sum(isinstance(item, Pulled) for item in got) >= 2


async def test_what_the_other_side_asks_us_to_wait_is_waited(db: Database) -> None:
    bench = Bench(db, source(Retryable("busy", after=25.0)))
    await bench.run(40)
    (_, first), (_, second) = bench.connector._spans[:2]
    assert 25.0 <= second - first <= 26.0


async def test_what_needs_a_person_is_asked_rarely_and_its_words_are_shown(db: Database) -> None:
    bench = Bench(db, source(Fatal("401: check the token")))
    await bench.run(60)
    assert len(bench.connector._spans) == 1
    assert bench.puller.health.error == "401: check the token"
    assert bench.puller.started.is_set(), "a failing source must not keep the engine from being ready"
    bench = Bench(db, source(Fatal("401")))
    await bench.run(FATAL_WAIT + 5)
    assert bench.puller.health.error == ""


async def test_a_fault_of_the_connector_is_contained(db: Database) -> None:
    bench = Bench(db, source(ZeroDivisionError("a bug")))
    await bench.run(60)
    assert len(bench.connector._spans) >= 2
    assert bench.puller.health.error == ""


async def test_history_is_learnt_once_on_first_contact_and_tried_until_it_works(db: Database) -> None:
    bench = Bench(db, source(NotConnected("not yet"), history="1h"))
    got = await bench.run(70)
    assert sum(isinstance(item, History) for item in got) == 1
    assert bench.puller.health.bootstrapped == 3600.0
    met = Bench(db, source(history="1h"))
    got = await met.run(15, cursor=met.clock.now() - 30)
    assert not any(isinstance(item, History) for item in got)
    assert met.connector._spans[0][0] == pytest.approx(met.clock.now() - 45)


async def test_a_hanging_source_holds_up_nobody_else(db: Database) -> None:
    hanging = Bench(db, source("hang"))
    other = Puller(source(name="other"), hanging.pipeline, hanging.clock, Metrics())
    stuck = asyncio.create_task(hanging.puller.run(None))
    going = asyncio.create_task(other.run(None))
    for _ in range(35):
        await asyncio.sleep(0)
        await hanging.clock.advance(1.0)
    assert len(other.connector._spans) >= 3  # type: ignore[attr-defined]
    assert len(hanging.connector._spans) == 1
    for task in (stuck, going):
        task.cancel()
    await asyncio.gather(stuck, going, return_exceptions=True)


def test_nobody_is_paged_for_the_past() -> None:
    assert late(None, 1000.0) == 880.0
    assert late(source(every=60.0), 1000.0) == 700.0
