"""Pulling: on schedule, from where it stopped, again after failures, one source beside the others."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from pydantic import PrivateAttr

from aiops.engine import pull
from aiops.engine.clock import SystemClock
from aiops.engine.items import History, Item, Pulled
from aiops.engine.metrics import Metrics
from aiops.engine.pull import FATAL_WAIT, LONGEST_WAIT, Puller, late
from aiops.engine.spans import Spans
from aiops.model.frame import Frame
from aiops.model.series import SeriesIndex
from aiops.plugin import Fatal, NotConnected, Retryable
from aiops.plugin.connector import Batch
from aiops.testing import FakeClock, ScriptedConnector
from tests.making import NOW


class Asked(ScriptedConnector):
    """Remembers the spans that it was asked for; `hang` makes it never answer, `takes` makes it slow."""

    takes: float = 0.0
    hang: bool = False
    _spans: list[tuple[float, float]] = PrivateAttr(default_factory=list)
    _clock: FakeClock | None = PrivateAttr(None)

    async def pull(self, since: float, until: float) -> AsyncIterator[Batch]:
        self._spans.append((since - NOW, until - NOW))
        if self.hang:
            await asyncio.Event().wait()
        if self._clock and self.takes:
            await self._clock.sleep(self.takes)
        async for batch in super().pull(since, until):
            yield batch


class Inbox:
    """Stands where the pipeline does: a queue that is read by the test."""

    def __init__(self, size: int = 0) -> None:
        self.queue: asyncio.Queue[Item] = asyncio.Queue(size)
        self.put, self.spans = self.queue.put, Spans(FakeClock(NOW))

    def all(self) -> list[Any]:
        return [self.queue.get_nowait() for _ in range(self.queue.qsize())]


class Stand:
    def __init__(self, cursor: float | None = None, inbox: Inbox | None = None, **keys: Any) -> None:
        self.clock = FakeClock(NOW)
        self.inbox = inbox or Inbox()
        self.source = Asked(**{"name": "prod", "every": 10.0, **keys})
        self.source._clock = self.clock
        self.source.open(SeriesIndex())
        self.puller = Puller(self.source, self.inbox, self.clock, Metrics())  # type: ignore[arg-type]
        self.cursor = cursor

    @property
    def spans(self) -> list[tuple[float, float]]:
        return self.source._spans

    @property
    def health(self) -> pull.SourceHealth:
        return self.puller.health


@asynccontextmanager
async def pulling(*stands: Stand) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(stand.puller.run(stand.cursor)) for stand in stands]
    await asyncio.sleep(0)
    yield
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture(autouse=True)
def _no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    """The longest wait that chance could give."""
    monkeypatch.setattr("aiops.engine.pull.random.uniform", lambda low, high: high)


async def test_each_pull_begins_where_the_one_before_ended() -> None:
    stand = Stand()
    async with pulling(stand):
        await stand.clock.advance(30.0)
    assert stand.spans == [(-10.0, 0.0), (0.0, 10.0), (10.0, 20.0), (20.0, 30.0)]


async def test_a_restart_goes_on_from_its_cursor() -> None:
    stand = Stand(cursor=NOW - 300.0)
    async with pulling(stand):
        await stand.clock.advance(10.0)
    assert stand.spans == [(-300.0, 0.0), (0.0, 10.0)]


async def test_a_slow_answer_does_not_push_the_schedule_on() -> None:
    stand = Stand(takes=4.0)
    async with pulling(stand):
        await stand.clock.advance(31.0)
    assert [until for _, until in stand.spans] == [0.0, 10.0, 20.0, 30.0]


async def test_a_source_slower_than_its_schedule_is_asked_again_at_once_and_not_in_a_burst() -> None:
    stand = Stand(takes=25.0)
    async with pulling(stand):
        await stand.clock.advance(100.0)
    assert stand.spans == [(-10.0, 0.0), (0.0, 25.0), (25.0, 50.0), (50.0, 75.0), (75.0, 100.0)]


async def test_what_was_pulled_is_handed_over_and_then_marked() -> None:
    stand = Stand()
    stand.source.feed({"__name__": "up"}, {NOW - 3.0: 1.0, NOW - 1.0: 0.0})
    async with pulling(stand):
        await stand.clock.advance(0.0)
    (name, frame), done = stand.inbox.all()
    assert name == "prod"
    assert frame.values.ravel().tolist() == [1.0, 0.0]
    assert done == Pulled("prod", NOW, {})
    assert (stand.health.series, stand.health.samples, stand.health.lag) == (1, 2, 1.0)


async def test_a_failed_span_is_asked_again_whole() -> None:
    stand = Stand()
    stand.source.fail(NotConnected("refused"), NotConnected("refused"))
    async with pulling(stand):
        assert stand.puller.started.is_set()
        assert (stand.health.failures, stand.health.error) == (1, "refused")
        assert stand.inbox.all() == []
        await stand.clock.advance(30.0)
    assert stand.spans[:3] == [(-10.0, 0.0), (-10.0, 10.0), (-10.0, 30.0)]
    assert (stand.health.failures, stand.health.error) == (0, "")


async def test_waits_double_up_to_their_longest() -> None:
    stand = Stand()
    stand.source.fail(*[Retryable("busy")] * 6)
    async with pulling(stand):
        await stand.clock.advance(300.0)
    tries = [until for _, until in stand.spans][:7]
    assert np.diff(tries).tolist() == [10.0, 20.0, 40.0, LONGEST_WAIT, LONGEST_WAIT, LONGEST_WAIT]


@pytest.mark.parametrize("after", [3.0, 120.0])
async def test_a_source_that_says_when_is_asked_then(after: float) -> None:
    stand = Stand()
    stand.source.fail(Retryable("slow down", after=after))
    async with pulling(stand):
        await stand.clock.advance(after - 0.1)
        assert len(stand.spans) == 1
        await stand.clock.advance(0.1)
        assert len(stand.spans) == 2


async def test_what_needs_a_person_is_asked_for_rarely(caplog: pytest.LogCaptureFixture) -> None:
    stand = Stand()
    stand.source.fail(Fatal("the token is not known"))
    async with pulling(stand):
        await stand.clock.advance(FATAL_WAIT - 1.0)
        assert len(stand.spans) == 1
        await stand.clock.advance(1.0)
        assert len(stand.spans) == 2
    assert "the token is not known; next try in 5 min" in caplog.text


async def test_a_fault_in_a_connector_is_its_own_affair(caplog: pytest.LogCaptureFixture) -> None:
    stand = Stand()
    stand.source.fail(ZeroDivisionError("oops"))  # type: ignore[arg-type]
    async with pulling(stand):
        await stand.clock.advance(10.0)
    assert len(stand.spans) == 2
    assert "ZeroDivisionError: oops" in caplog.text
    assert "Traceback" in caplog.text


async def test_a_source_that_hangs_does_not_hold_up_the_others() -> None:
    hanging, other = Stand(hang=True), Stand()
    other.clock = hanging.clock
    other.puller = Puller(other.source, other.inbox, other.clock, Metrics())  # type: ignore[arg-type]
    async with pulling(hanging, other):
        await hanging.clock.advance(60.0)
    assert len(hanging.spans) == 1
    assert len(other.spans) == 7
    assert not hanging.puller.started.is_set()


async def test_a_pipeline_that_is_behind_slows_its_sources_down() -> None:
    stand = Stand(inbox=Inbox(size=1))
    async with pulling(stand):
        await stand.clock.advance(60.0)
        assert len(stand.spans) == 2
        stand.inbox.all()
        await stand.clock.advance(0.0)
        assert len(stand.spans) == 3


async def test_many_failures_are_logged_once_in_a_while(caplog: pytest.LogCaptureFixture) -> None:
    stand = Stand()
    stand.source.fail(*[NotConnected("refused")] * 60)
    with caplog.at_level(logging.WARNING, "aiops.pull"):
        async with pulling(stand):
            await stand.clock.advance(3600.0)
    assert stand.health.failures >= 59 or stand.health.failures == 0
    assert len([r for r in caplog.records if "refused" in r.getMessage()]) == 2


# -- history


async def test_first_contact_learns_the_past_before_anything_is_pulled() -> None:
    stand = Stand(history=100.0)
    stand.source.feed({"__name__": "up"}, {NOW - t: 1.0 for t in (150.0, 50.0, 5.0)})
    async with pulling(stand):
        await stand.clock.advance(0.0)
    first, *rest = stand.inbox.all()
    assert isinstance(first, History)
    assert first.frame.times.tolist() == [NOW - 50.0, NOW - 5.0]
    assert stand.spans == [(0.0, 0.0)]
    assert rest == [Pulled("prod", NOW, {})]
    assert stand.health.bootstrapped == 100.0


async def test_a_restart_does_not_learn_the_past_again() -> None:
    stand = Stand(cursor=NOW - 10.0, history=100.0)
    async with pulling(stand):
        await stand.clock.advance(0.0)
    assert not [item for item in stand.inbox.all() if isinstance(item, History)]


class NoPast(Asked):
    _errors: list[Exception] = PrivateAttr(default_factory=list)

    async def past(self, since: float, until: float) -> AsyncIterator[Frame]:
        if self._errors:
            raise self._errors.pop(0)
        async for frame in super().past(since, until):
            yield frame


@pytest.mark.parametrize("error", [NotConnected("refused"), KeyError("fault")], ids=["refused", "fault"])
async def test_history_is_asked_for_until_it_comes(error: Exception) -> None:
    stand = Stand()
    stand.source = NoPast(name="prod", every=10.0, history=100.0)
    stand.source.open(SeriesIndex())
    stand.source._errors = [error]
    stand.puller = Puller(stand.source, stand.inbox, stand.clock, Metrics())  # type: ignore[arg-type]
    async with pulling(stand):
        assert stand.health.failures == 1
        assert stand.puller.started.is_set()
        await stand.clock.advance(10.0)
    assert stand.spans[0] == (10.0, 10.0)
    assert stand.health.failures == 0


# -- clocks


def test_rows_count_as_late_after_two_minutes_or_five_pulls() -> None:
    assert late(None, NOW) == NOW - 120.0
    assert late(Asked(name="a", every=2.0), NOW) == NOW - 120.0
    assert late(Asked(name="a", every=60.0), NOW) == NOW - 300.0


def test_the_systems_clock_never_goes_back_within_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = iter([100.0, 101.0, 40.0, 100.5, 102.0])
    monkeypatch.setattr("aiops.engine.clock.time.time", lambda: next(readings))
    clock = SystemClock()
    assert [clock.now() for _ in range(5)] == [100.0, 101.0, 101.0, 101.0, 102.0]


async def test_while_a_stepped_back_clock_holds_still_no_span_is_asked_backwards() -> None:
    stand = Stand()
    async with pulling(stand):
        await stand.clock.advance(10.0)
        held = stand.clock.now()
        stand.clock.now = lambda: held  # type: ignore[method-assign]
        await stand.clock.advance(30.0)
    assert all(since <= until for since, until in stand.spans)
    assert stand.spans[-1] == (10.0, 10.0)
