"""The relay's patience: what it waits for, how long, and when it gives a message up."""

import logging

import pytest

from aiops.engine.breaker import Breaker
from aiops.engine.deliver import RelaySettings
from aiops.plugin import Busy, Fatal, Message, NotConnected, Retryable, TicketRef
from aiops.store import outbox
from aiops.store.database import Database
from aiops.testing import FakeClock, RecordingSink, eventually
from tests.outboxes import (
    R,
    a_problem,
    attempt,
    delivery,
    no_wait,
    pass_time,
    queue,
    rows,
    running,
    say,
    settled,
    states,
)


async def test_a_sink_that_asks_to_wait_is_left_alone_by_all_messages(db: Database) -> None:
    queue(db, 20, R.OPENED)
    clock, itsm = FakeClock(), RecordingSink(name="itsm")
    itsm.script(Retryable("429", after=60.0))
    settings = RelaySettings(parallel=1)
    async with running(db, itsm, clock=clock, settings=settings) as relay:
        assert await pass_time(db, clock, 5, until=lambda: itsm.attempts)
        assert not await pass_time(db, clock, 50)
        assert len(itsm.attempts) == 1
        (health,) = relay.health()
        assert (health.error, health.failures) == ("429", 1)
        assert health.paused_until > clock.now()
        assert await pass_time(db, clock, 60, until=lambda: settled(db))
    assert all(m.sent_at - itsm.attempts[0].sent_at >= 60 for m in itsm.attempts[1:])


async def test_waits_grow_and_are_jittered_over_their_whole_length(db: Database) -> None:
    say(db, a_problem(db), R.OPENED)
    asked: list[tuple[float, float]] = []

    def jitter(low: float, high: float) -> float:
        asked.append((low, high))
        return 0.0

    clock, itsm = FakeClock(), RecordingSink(name="itsm")
    itsm.script(always=Retryable("500"))
    settings = RelaySettings(break_after=99, longest_wait=100.0)
    async with running(db, itsm, clock=clock, settings=settings, jitter=jitter):
        assert await pass_time(db, clock, 60, until=lambda: states(db) == ["dead"])
    assert asked == [(0.0, high) for high in (2, 4, 8, 16, 32, 64, 100, 100, 100)]


async def test_ten_failures_make_a_dead_letter_and_a_replay_revives_its_stream(db: Database) -> None:
    first, _ = say(db, a_problem(db), R.OPENED, R.RESOLVED)
    clock, itsm = FakeClock(), RecordingSink(name="itsm")
    itsm.script(always=Retryable("500 oops"))
    async with running(db, itsm, clock=clock, settings=RelaySettings(), jitter=no_wait):
        assert await pass_time(db, clock, 300, until=lambda: "dead" in states(db))
        assert len(itsm.attempts) == 10
        assert states(db) == ["dead", "due"]
        assert rows(db, delivery)[0]["error"] == "500 oops; given up after 10 attempts"
        itsm.script()
        assert not await pass_time(db, clock, 60, until=lambda: len(itsm.attempts) > 10)
        with db.begin() as conn:
            outbox.replay(conn, first, clock.now(), actor="mia")
        assert await pass_time(db, clock, 10, until=lambda: settled(db))
    assert [m.reason for m in itsm.heard] == ["opened", "resolved"]
    assert itsm.searches.count("P-1") == 10, "every attempt but the very first searches, the replayed one too"


async def test_a_refused_message_dies_at_once_and_later_news_still_goes_out(db: Database) -> None:
    say(db, a_problem(db), R.OPENED, R.UPDATED, R.RESOLVED)
    itsm = RecordingSink(name="itsm")
    itsm.script(None, Fatal("413 too large"), None)
    async with running(db, itsm):
        await eventually(lambda: states(db) == ["sent", "dead", "sent"])
    assert [m.reason for m in itsm.heard] == ["opened", "resolved"]
    assert [row["error"] for row in rows(db, attempt)] == ["", "413 too large", ""]


async def test_a_night_without_the_sink_kills_no_message(db: Database) -> None:
    queue(db, 5, R.OPENED)
    clock, itsm = FakeClock(), RecordingSink(name="itsm")
    itsm.script(always=NotConnected("connection refused"))
    settings = RelaySettings(poll=60.0, first_pause=600.0, longest_pause=600.0, longest_wait=60.0)
    async with running(db, itsm, clock=clock, settings=settings):
        await pass_time(db, clock, 8 * 3600, step=120.0)
        assert states(db) == ["due"] * 5
        assert 20 < len(itsm.attempts) < 100, "it was probed, and not hammered"
        itsm.script()
        assert await pass_time(db, clock, 3600, until=lambda: settled(db), step=60.0)
    assert len(itsm.heard) == 5


async def test_a_night_with_a_frozen_sink_kills_no_message(db: Database) -> None:
    queue(db, 3, R.OPENED)
    clock = FakeClock()

    class Frozen(RecordingSink):
        async def create(self, message: Message) -> TicketRef:
            if not self.heard and clock.now() < thaw:
                await clock.sleep(10.0)
            return await super().create(message)

    thaw = clock.now() + 8 * 3600
    itsm = Frozen(name="itsm")
    itsm.script(always=Retryable("no answer within 10 s", ambiguous=True))
    settings = RelaySettings(
        poll=30.0, break_after=2, first_pause=300.0, longest_pause=300.0, longest_wait=60.0
    )
    async with running(db, itsm, clock=clock, settings=settings):
        await pass_time(db, clock, 8 * 3600, step=60.0)
        assert states(db) == ["due"] * 3, "probes of a silent sink do not count"
        assert len(itsm.attempts) > 30
        itsm.script()
        assert await pass_time(db, clock, 3600, until=lambda: settled(db), step=30.0)
    assert len(itsm.heard) == 3


async def test_an_afternoon_of_maintenance_kills_no_message(db: Database) -> None:
    queue(db, 3, R.OPENED)
    clock, itsm = FakeClock(), RecordingSink(name="itsm")
    itsm.script(always=Busy("503 down for maintenance"))
    async with running(db, itsm, clock=clock, settings=RelaySettings(poll=30.0)):
        await pass_time(db, clock, 4 * 3600, step=60.0)
        assert states(db) == ["due"] * 3, "nobody is served: that says nothing against a message"
        assert len(itsm.attempts) < 4 * 3600 / 30, "it was probed, and not hammered"
        itsm.script()
        assert await pass_time(db, clock, 3600, until=lambda: settled(db), step=30.0)
    assert len(itsm.heard) == 3


async def test_a_message_for_which_alone_the_sink_is_busy_dies(db: Database) -> None:
    (bad,) = say(db, a_problem(db, "bad"), R.OPENED)
    clock = FakeClock()

    class Choosy(RecordingSink):
        async def create(self, message: Message) -> TicketRef:
            if message.key == "bad":
                raise Busy("504 this one takes too long")
            return await super().create(message)

    itsm = Choosy(name="itsm")
    settings = RelaySettings(longest_wait=10.0)
    async with running(db, itsm, clock=clock, settings=settings):
        for n in range(40):
            say(db, a_problem(db, f"Q-{n}"), R.OPENED, at=clock.now())
            await pass_time(db, clock, 10)
    dead = [row["id"] for row in rows(db, delivery) if row["state"] == "dead"]
    assert dead == [bad]


async def test_failures_in_a_row_pause_the_sink_and_one_probe_opens_it_again(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "aiops.deliver")
    queue(db, 40, R.OPENED)
    clock, itsm = FakeClock(), RecordingSink(name="itsm")
    itsm.script(always=Retryable("500"))
    settings = RelaySettings(parallel=4, first_pause=10.0, longest_pause=10.0)
    async with running(db, itsm, clock=clock, settings=settings):
        assert await pass_time(db, clock, 30, until=lambda: "pausing 10 s" in caplog.text)
        await pass_time(db, clock, 0)
        tried = len(itsm.attempts)
        assert 5 <= tried <= 12, "those that were under way when it paused still count"
        assert not await pass_time(db, clock, 8, until=lambda: len(itsm.attempts) > tried)
        await pass_time(db, clock, 4)
        assert len(itsm.attempts) == tried + 1, "half open lets one probe through"
        itsm.script()
        assert await pass_time(db, clock, 60, until=lambda: settled(db))
    assert "sink itsm answers again" in caplog.text


def test_a_breaker_lengthens_its_pause_with_failed_probes_only() -> None:
    breaker = Breaker(most=3, first_pause=2.0, longest_pause=5.0)
    assert [breaker.failed(0.0) for _ in range(4)] == [False, False, True, False]
    assert (breaker.until, breaker.room(1.9, 0, 8), breaker.room(2.0, 0, 8), breaker.room(2.0, 1, 8)) == (
        2,
        0,
        1,
        0,
    )
    assert breaker.failed(2.0)
    assert breaker.until == 6.0
    assert breaker.failed(6.0)
    assert breaker.until == 11.0, "5 s is the longest"
    assert breaker.succeeded()
    assert not breaker.succeeded()
    assert (breaker.room(11.0, 3, 8), breaker.failures) == (5, 0)
