"""The relay: nothing lost, nothing doubled, order kept, and nobody kept waiting by somebody else's sink."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from aiops.engine.breaker import Breaker
from aiops.engine.clock import Clock, SystemClock
from aiops.engine.deliver import Relay, RelaySettings
from aiops.plugin import Fatal, NotConnected, Retryable, Sink
from aiops.store import outbox
from aiops.store.database import Database
from aiops.testing import FakeClock, LostAnswer, RecordingSink, eventually
from tests.outboxes import STORY, R, a_problem, attempt, delivery, queue, rows, say, settled, states, ticket

HASTY = RelaySettings(poll=0.05, first_wait=0.05, settle=0.2, first_pause=0.05, longest_pause=0.2, drain=5)


def no_wait(low: float, _high: float) -> float:
    return low


@asynccontextmanager
async def running(
    db: Database, *sinks: Sink, clock: Clock | None = None, settings: RelaySettings = HASTY, **other: Any
) -> AsyncIterator[Relay]:
    wake = other.pop("wake", asyncio.Event())
    by_name = {sink.name: sink for sink in sinks}
    relay = Relay(db, clock or SystemClock(), lambda: by_name, wake, settings, **other)
    task = asyncio.create_task(relay.run())
    try:
        yield relay
        relay.stop()
        await asyncio.wait_for(asyncio.shield(task), 10)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def pass_time(clock: FakeClock, until: Callable[[], object], seconds: float) -> float:
    """Let up to `seconds` of fake time pass in steps of 0.5 s, until it holds; how long that took."""
    for step in range(int(seconds * 2)):
        await asyncio.sleep(0.01)
        if until():
            return step / 2
        await clock.advance(0.5)
    raise AssertionError(f"not within {seconds:g} s of fake time")


async def test_each_problem_gets_one_ticket_and_hears_its_story_in_order(db: Database) -> None:
    queue(db, 10, *STORY)
    itsm = RecordingSink(name="itsm")
    seen: list[tuple[str, str]] = []
    observe = lambda sink, outcome, _seconds: seen.append((sink, outcome))  # noqa: E731
    async with running(db, itsm, observe=observe):
        await eventually(lambda: settled(db))
    assert {key: len(made) for key, made in itsm.tickets.items()} == {f"P-{n}": 1 for n in range(10)}
    for n in range(10):
        assert [m.reason for m in itsm.heard if m.key == f"P-{n}"] == [str(r) for r in STORY]
    assert seen == [("itsm", "sent")] * 40
    assert {t["state"] for t in rows(db, ticket)} == {"resolved"}
    assert itsm.searches == [], "a first attempt needs no search"


async def test_a_message_says_its_attempt_and_its_times(db: Database) -> None:
    say(db, a_problem(db), R.OPENED, at=7.0)
    clock, itsm = FakeClock(), RecordingSink(name="itsm")
    itsm.script(Retryable("503", after=3.0))
    async with running(db, itsm, clock=clock):
        await pass_time(clock, lambda: settled(db), 10)
    first, second = itsm.attempts
    assert (first.at, first.attempt, first.seq, second.attempt) == (7.0, 1, 1, 2)
    assert first.id == second.id
    assert second.sent_at - first.sent_at >= 3.0


async def test_waking_delivers_at_once(db: Database) -> None:
    wake, itsm = asyncio.Event(), RecordingSink(name="itsm")
    async with running(db, itsm, settings=RelaySettings(poll=3600), wake=wake):
        await asyncio.sleep(0.1)
        say(db, a_problem(db), R.OPENED)
        wake.set()
        await eventually(lambda: settled(db), within=2)


async def test_a_frozen_sink_delays_no_other(db: Database) -> None:
    queue(db, 200, R.OPENED, sink="frozen")
    say(db, a_problem(db, "urgent"), R.OPENED, sink="chat")
    frozen, chat = RecordingSink(name="frozen"), RecordingSink(name="chat")
    thaw = frozen.freeze()
    async with running(db, frozen, chat):
        await eventually(lambda: chat.heard, within=2)
        await eventually(lambda: len(frozen.attempts) == HASTY.parallel)
        assert len(frozen.heard) == 0
        thaw()
        await eventually(lambda: settled(db))
    assert len(frozen.heard) == 200


async def test_after_a_lost_answer_the_sink_is_searched_before_the_create_is_repeated(db: Database) -> None:
    say(db, a_problem(db), R.OPENED, R.RESOLVED)
    clock, itsm = FakeClock(), RecordingSink(name="itsm")
    itsm.script(LostAnswer())
    async with running(db, itsm, clock=clock, settings=RelaySettings(), jitter=no_wait):
        await pass_time(clock, lambda: settled(db), 10)
    assert [m.reason for m in itsm.heard] == ["opened", "resolved"]
    assert itsm.searches == ["P-1"]
    assert len(itsm.tickets["P-1"]) == 1
    lost, *_ = rows(db, attempt)
    assert (lost["ok"], lost["error"]) == (False, "the answer was lost")
    found, told = (row["sent"] for row in rows(db, delivery))
    assert found - lost["at"] >= 2.0, "the first attempt needs time to take effect before the search"
    assert told >= found


async def test_a_lost_answer_whose_message_never_arrived_is_created_after_the_search(db: Database) -> None:
    say(db, a_problem(db), R.OPENED)
    itsm = RecordingSink(name="itsm")
    itsm.script(Retryable("reset", ambiguous=True))
    async with running(db, itsm):
        await eventually(lambda: settled(db))
    assert (itsm.searches, len(itsm.tickets["P-1"])) == (["P-1"], 1)


async def test_a_sink_that_asks_to_wait_is_left_alone_by_all_messages(db: Database) -> None:
    queue(db, 20, R.OPENED)
    clock, itsm = FakeClock(), RecordingSink(name="itsm")
    itsm.script(Retryable("429", after=60.0))
    settings = RelaySettings(parallel=1)
    async with running(db, itsm, clock=clock, settings=settings) as relay:
        await pass_time(clock, lambda: itsm.attempts, 5)
        for _ in range(100):
            await clock.advance(0.5)
            await asyncio.sleep(0.002)
        assert len(itsm.attempts) == 1
        (health,) = relay.health()
        assert (health.error, health.failures) == ("429", 1)
        assert health.paused_until > clock.now()
        await pass_time(clock, lambda: settled(db), 60)
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
        await pass_time(clock, lambda: states(db) == ["dead"], 60)
    assert asked == [(0.0, high) for high in (2, 4, 8, 16, 32, 64, 100, 100, 100)]


async def test_ten_failures_make_a_dead_letter_and_a_replay_revives_its_stream(db: Database) -> None:
    first, _ = say(db, a_problem(db), R.OPENED, R.RESOLVED)
    clock, itsm = FakeClock(), RecordingSink(name="itsm")
    itsm.script(always=Retryable("500 oops"))
    async with running(db, itsm, clock=clock, settings=RelaySettings(), jitter=no_wait):
        await pass_time(clock, lambda: "dead" in states(db), 300)
        assert len(itsm.attempts) == 10
        assert states(db) == ["dead", "due"]
        assert rows(db, delivery)[0]["error"] == "500 oops; given up after 10 attempts"
        itsm.script()
        await clock.advance(120)
        assert len(itsm.attempts) == 10
        with db.begin() as conn:
            outbox.replay(conn, first, clock.now(), actor="mia")
        await pass_time(clock, lambda: settled(db), 10)
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
        for _ in range(600):
            await clock.advance(60.0)
            await asyncio.sleep(0.002)
        assert states(db) == ["due"] * 5
        assert 20 < len(itsm.attempts) < 100, "it was probed, and not hammered"
        itsm.script()
        for _ in range(100):
            await clock.advance(60.0)
            await asyncio.sleep(0.005)
            if settled(db):
                break
    assert len(itsm.heard) == 5


async def test_failures_in_a_row_pause_the_sink_and_one_probe_opens_it_again(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "aiops.deliver")
    queue(db, 40, R.OPENED)
    clock, itsm = FakeClock(), RecordingSink(name="itsm")
    itsm.script(always=Retryable("500"))
    settings = RelaySettings(parallel=4, first_pause=10.0, longest_pause=10.0)
    async with running(db, itsm, clock=clock, settings=settings):
        await pass_time(clock, lambda: "pausing 10 s" in caplog.text, 30)
        tried = len(itsm.attempts)
        assert 5 <= tried <= 8
        await pass_time(clock, lambda: len(itsm.attempts) == tried + 1, 12)
        await asyncio.sleep(0.05)
        assert len(itsm.attempts) == tried + 1, "half open lets one probe through"
        itsm.script()
        await pass_time(clock, lambda: settled(db), 60)
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


async def test_a_sink_with_a_bug_is_tried_again_and_harms_no_other(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    class Buggy(RecordingSink):
        async def create(self, message: Any) -> Any:
            if message.attempt == 1:
                raise KeyError("ticket_id")
            return await super().create(message)

    say(db, a_problem(db), R.OPENED)
    itsm = Buggy(name="itsm")
    async with running(db, itsm):
        await eventually(lambda: settled(db))
    assert rows(db, attempt)[0]["error"] == "KeyError: 'ticket_id'"
    assert "does not classify" in caplog.text


async def test_an_attempt_that_outlives_its_limit_is_cut_off_before_its_lease_ends(db: Database) -> None:
    say(db, a_problem(db), R.OPENED)
    itsm = RecordingSink(name="itsm")
    thaw = itsm.freeze()
    settings = RelaySettings(poll=0.05, limit=0.2, settle=0.1, first_wait=0.1)
    async with running(db, itsm, settings=settings):
        await eventually(lambda: rows(db, attempt))
        assert rows(db, attempt)[0]["error"] == "no answer within 0.2 s"
        thaw()
        await eventually(lambda: settled(db))


async def test_a_store_that_fails_for_a_while_makes_nothing_be_sent_twice(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    queue(db, 6, R.OPENED)
    faults = iter([True, True, True])

    def fail(_conn: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.startswith("UPDATE delivery SET state") and next(faults, False):
            raise sa.exc.OperationalError(statement, {}, OSError("No space left on device"))

    sa.event.listen(db.engine, "before_cursor_execute", fail)
    itsm = RecordingSink(name="itsm")
    async with running(db, itsm):
        await eventually(lambda: settled(db))
    assert len(itsm.attempts) == 6
    assert next(faults, None) is None
    assert "No space left on device" in caplog.text


async def test_stopping_lets_attempts_under_way_end_and_starts_no_more(db: Database) -> None:
    queue(db, 20, R.OPENED)
    itsm = RecordingSink(name="itsm")
    thaw = itsm.freeze()
    async with running(db, itsm) as relay:
        await eventually(lambda: len(itsm.attempts) == HASTY.parallel)
        relay.stop()
        await asyncio.sleep(0.1)
        thaw()
    assert states(db).count("sent") == len(itsm.heard) == HASTY.parallel


async def test_what_a_stop_cuts_off_is_delivered_by_the_next_relay_once_its_lease_is_over(
    db: Database,
) -> None:
    say(db, a_problem(db), R.OPENED)
    itsm = RecordingSink(name="itsm")
    itsm.freeze()
    short = RelaySettings(poll=0.05, drain=0.1, lease=0.5, limit=0.4)
    async with running(db, itsm, settings=short):
        await eventually(lambda: itsm.attempts)
    assert states(db) == ["due"]
    again = RecordingSink(name="itsm")
    async with running(db, again, settings=short):
        await eventually(lambda: settled(db))
    assert (again.searches, again.heard[0].attempt) == (["P-1"], 2)


async def test_sinks_come_and_go_with_the_configuration(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    ident = a_problem(db)
    say(db, ident, R.OPENED)
    say(db, ident, R.OPENED, sink="gone")
    sinks: dict[str, Sink] = {"itsm": RecordingSink(name="itsm")}
    relay = Relay(db, SystemClock(), lambda: sinks, asyncio.Event(), HASTY)
    task = asyncio.create_task(relay.run())
    await eventually(lambda: states(db) == ["sent", "due"])
    await eventually(lambda: "1 messages wait for sink 'gone'" in caplog.text)
    sinks = {"gone": RecordingSink(name="gone")}
    await eventually(lambda: settled(db))
    assert [h.name for h in relay.health()] == ["gone"]
    relay.stop()
    await asyncio.wait_for(task, 5)


async def test_two_relays_on_one_database_share_the_work(db: Database) -> None:
    queue(db, 40, *STORY)
    itsm = RecordingSink(name="itsm")
    async with running(db, itsm), running(db, itsm):
        await eventually(lambda: settled(db), within=20)
    assert len(itsm.heard) == 160
    assert len({m.id for m in itsm.heard}) == 160
    assert all(len(made) == 1 for made in itsm.tickets.values())
