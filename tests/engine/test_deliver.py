"""The relay: nothing lost, nothing doubled, order kept, and nobody kept waiting by somebody else's sink."""

import asyncio
from typing import Any

import pytest
import sqlalchemy as sa

from aiops.engine.clock import SystemClock
from aiops.engine.deliver import Relay, RelaySettings
from aiops.plugin import Message, Retryable, Sink, TicketRef
from aiops.store import outbox
from aiops.store.database import Database
from aiops.testing import FakeClock, LostAnswer, RecordingSink, eventually
from tests.outboxes import (
    HASTY,
    STORY,
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
    ticket,
)


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
        assert await pass_time(db, clock, 10, until=lambda: settled(db))
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
        await eventually(lambda: settled(db), within=10)


async def test_a_frozen_sink_delays_no_other(db: Database) -> None:
    queue(db, 200, R.OPENED, sink="frozen")
    say(db, a_problem(db, "urgent"), R.OPENED, sink="chat")
    frozen, chat = RecordingSink(name="frozen"), RecordingSink(name="chat")
    thaw = frozen.freeze()
    async with running(db, frozen, chat):
        await eventually(lambda: chat.heard, within=10)
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
        assert await pass_time(db, clock, 10, until=lambda: settled(db))
    assert [m.reason for m in itsm.heard] == ["opened", "resolved"]
    assert itsm.searches == ["P-1"]
    assert len(itsm.tickets["P-1"]) == 1
    lost, *_ = rows(db, attempt)
    assert (lost["ok"], lost["error"]) == (False, "the answer was lost")
    found, told = (row["sent"] for row in rows(db, delivery))
    assert found - lost["at"] >= 2.0, "the first attempt needs time to take effect before the search"
    assert told >= found


@pytest.mark.parametrize("killed", [False, True])
async def test_an_index_that_lags_is_given_its_time_before_it_is_believed(db: Database, killed: bool) -> None:
    """Even by the next process, whose predecessor was killed with the message on the wire."""

    class Lagging(RecordingSink):
        lag = 15.0

        async def find(self, key: str) -> TicketRef | None:
            found = await super().find(key)
            return found if clock.now() >= written + self.lag else None

    say(db, a_problem(db), R.OPENED)
    clock, itsm = FakeClock(), Lagging(name="itsm")
    written = clock.now()
    if killed:
        with db.begin() as conn:
            (lost,) = outbox.claim(conn, written, "dead", 1.0, 1, "itsm")
            outbox.release_all(conn, written + 2.0)
        await itsm.create(Message(lost.message_id, lost.key, "opened", 1.0, lost.body))
    else:
        itsm.script(LostAnswer())
    async with running(db, itsm, clock=clock, settings=RelaySettings(), jitter=no_wait):
        assert not await pass_time(db, clock, 14, until=lambda: settled(db))
        assert await pass_time(db, clock, 10, until=lambda: settled(db))
    assert len(itsm.tickets["P-1"]) == 1


async def test_a_lost_answer_whose_message_never_arrived_is_created_after_the_search(db: Database) -> None:
    say(db, a_problem(db), R.OPENED)
    itsm = RecordingSink(name="itsm")
    itsm.script(Retryable("reset", ambiguous=True))
    async with running(db, itsm):
        await eventually(lambda: settled(db))
    assert (itsm.searches, len(itsm.tickets["P-1"])) == (["P-1"], 1)


async def test_after_a_silence_the_first_answer_is_not_believed_to_know_all(db: Database) -> None:
    """A thawed server works off its queue side by side: our question may overtake the create before it."""

    class Thawing(RecordingSink):
        async def create(self, message: Message) -> TicketRef:
            if message.attempt == 1:
                await asyncio.sleep(0.3)
            return await super().create(message)

        async def find(self, key: str) -> TicketRef | None:
            found = await super().find(key)
            if len(self.searches) == 1:  # what was cut off is committed a moment after our question
                self._tickets.setdefault(key, []).append(TicketRef("T-late"))
            return found

    say(db, a_problem(db), R.OPENED)
    itsm = Thawing(name="itsm")
    itsm.script(Retryable("no answer within 10 s", ambiguous=True))
    async with running(db, itsm):
        await eventually(lambda: settled(db))
    assert [row["ref"] for row in rows(db, ticket)] == ["T-late"]
    assert len(itsm.tickets["P-1"]) == 1


async def test_what_was_cut_off_at_the_limit_is_given_as_long_as_an_answer_may_take(db: Database) -> None:
    say(db, a_problem(db), R.OPENED)
    clock, itsm = FakeClock(), RecordingSink(name="itsm")
    thaw = itsm.freeze()
    settings = RelaySettings(limit=0.2, settle=1.0, first_wait=0.1, patience=15.0)
    async with running(db, itsm, clock=clock, settings=settings):
        assert await pass_time(db, clock, 5, until=lambda: itsm.attempts)
        await asyncio.sleep(0.4)  # the limit is of real time
        thaw()
        assert await pass_time(db, clock, 5, until=lambda: rows(db, attempt))
        cut = rows(db, attempt)[0]["at"]
        assert await pass_time(db, clock, 60, until=lambda: settled(db))
    assert itsm.attempts[1].sent_at - cut >= 15.0


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
    settings = RelaySettings(poll=0.05, limit=0.2, patience=0.2, settle=0.1, first_wait=0.1)
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
