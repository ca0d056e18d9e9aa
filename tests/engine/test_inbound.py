"""What people do to tickets reaches their problems once, whichever way it comes."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Mapping
from itertools import pairwise
from typing import Any

import pytest

from aiops.core import handling
from aiops.core.problems import Problems
from aiops.engine import messages as say
from aiops.engine.inbound import Inbound
from aiops.model.lifecycle import AlertState, ProblemState
from aiops.model.problem import EscalationReason, NotifyReason
from aiops.model.signal import Severity
from aiops.plugin import Retryable, SinkChange, Unproven
from aiops.plugin.signed import verified
from aiops.store import audit
from aiops.store.database import Database
from aiops.testing import FakeClock, RecordingSink, eventually
from tests.making import firing, grouping
from tests.outboxes import a_problem, ticket

NOW = 1_767_225_600.0
KEY = base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()


class Chatty(RecordingSink):
    """Reports what it is given, and answers knocks."""

    @property
    def poll_every(self) -> float:
        return 60.0

    async def changes(self, since: float) -> AsyncIterator[SinkChange]:
        self._asked = getattr(self, "_asked", 0) + 1
        for change in CHANGES:
            if isinstance(change, Exception):
                raise change
            yield change

    async def hear(self, headers: Mapping[str, str], body: bytes, now: float) -> list[SinkChange]:
        verified([KEY], headers, body, now)
        return []


CHANGES: list[Any] = []


def change(kind: str, ident: str, text: str = "", ref: str = "T-1") -> SinkChange:
    return SinkChange(ref, kind, NOW + int(ident), "root", text, f"c-{ident}")


class World:
    def __init__(self, db: Database) -> None:
        self.clock, self.sink, self.told = FakeClock(NOW), Chatty(name="itsm"), list[say.Message]()
        self.problem_id = a_problem(db)
        row = {"problem_id": self.problem_id, "sink": "itsm", "ref": "T-1", "state": "open"}
        with db.begin() as conn:
            conn.execute(ticket.insert().values(**row, created=1.0, updated=1.0))
        sinks = {"itsm": self.sink}
        self.inbound = Inbound(db, self.clock, lambda: sinks, self.tell, self.call)

    async def tell(self, message: say.Message) -> None:
        self.told.append(message)

    async def call(self, _work: Any) -> object:
        return object()


@pytest.fixture
def world(db: Database) -> World:
    CHANGES.clear()
    return World(db)


async def test_each_kind_of_change_is_told_once_and_stands_in_the_timeline(
    db: Database, world: World
) -> None:
    heard = [
        change("closed", "4", "new to resolved"),
        change("commented", "1", "hm"),
        change("assigned", "2", "ana"),
    ]
    heard += [change("reopened", "3"), change("closed", "9", ref="T-99"), change("juggled", "5")]
    assert await world.inbound.take("itsm", heard) == 4
    assert await world.inbound.take("itsm", heard) == 0, "a repeat is no news"
    by = "root in itsm"
    assert world.told == [
        say.Heard(world.problem_id, by, "hm"),
        say.Assign(world.problem_id, by, "ana", heard=True),
        say.Reopen(world.problem_id, by, ""),
        say.Resolve(world.problem_id, by, "closed by root in itsm: new to resolved"),
    ]
    again = World.__new__(World)
    again.__dict__ |= world.__dict__
    again.inbound = Inbound(db, world.clock, lambda: {"itsm": world.sink}, world.tell, world.call)
    assert await again.inbound.take("itsm", heard) == 0, "nor is one after a restart"
    with db.read_only() as conn:
        rows = audit.of_problem(conn, world.problem_id)
    assert [row["to_state"] for row in rows if row["entity"] == "ticket"] == [
        "commented", "assigned", "reopened", "closed"
    ]  # fmt: skip


async def test_a_sink_that_fails_is_asked_again_from_where_it_stood(world: World) -> None:
    CHANGES.append(Retryable("503"))
    task = asyncio.create_task(world.inbound.run())
    await eventually(lambda: getattr(world.sink, "_asked", 0) == 1)
    CHANGES[:] = [change("closed", "1")]
    for _ in range(61):
        await world.clock.advance(1.0)
    await eventually(lambda: world.told)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


class Slow(Chatty):
    """Never answers."""

    async def changes(self, since: float) -> AsyncIterator[SinkChange]:
        self._asked = getattr(self, "_asked", 0) + 1
        await asyncio.Event().wait()
        yield


async def test_a_slow_sink_makes_no_other_wait_and_is_not_asked_twice_at_once(db: Database) -> None:
    world, slow = World(db), Slow(name="slow")
    sinks = {"slow": slow, "itsm": world.sink}
    inbound = Inbound(db, world.clock, lambda: sinks, world.tell, world.call)
    CHANGES[:] = [change("closed", "1")]
    task = asyncio.create_task(inbound.run())
    await eventually(lambda: world.told)
    async with asyncio.timeout(10):
        while getattr(world.sink, "_asked", 0) < 3:
            await world.clock.advance(1.0)
            await asyncio.sleep(0.001)
    assert getattr(slow, "_asked", 0) == 1
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_sink_that_keeps_failing_is_asked_ever_more_seldom(world: World) -> None:
    CHANGES[:] = [Retryable("503")]
    task = asyncio.create_task(world.inbound.run())
    times = []
    for second in range(1000):
        before = getattr(world.sink, "_asked", 0)
        await world.clock.advance(1.0)
        if getattr(world.sink, "_asked", 0) > before:
            times.append(second)
    assert [round(b - a, -1) for a, b in pairwise(times)] == [60, 120, 240, 480]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def signed(body: bytes, at: float = NOW, key: str = KEY) -> dict[str, str]:
    mac = hmac.digest(base64.b64decode(key), f"m-1.{int(at)}.".encode() + body, hashlib.sha256)
    good = f"v1,{base64.b64encode(mac).decode()}"
    return {"webhook-id": "m-1", "webhook-timestamp": str(int(at)), "webhook-signature": f"v1,AAAA {good}"}


async def test_a_knock_makes_the_sink_be_asked_at_once(world: World) -> None:
    task = asyncio.create_task(world.inbound.run())
    await eventually(lambda: getattr(world.sink, "_asked", 0) == 1)
    CHANGES[:] = [change("closed", "1")]
    body = json.dumps({"ticket": 1}).encode()
    await world.inbound.hear("itsm", signed(body), body)
    await world.clock.advance(1.0)
    await eventually(lambda: world.told)
    with pytest.raises(LookupError):
        await world.inbound.hear("nobody", signed(body), body)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_refused_webhook_is_told_in_the_log_once_a_minute(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    for seconds in (0, 30, 31):
        await world.clock.advance(seconds)
        with pytest.raises(Unproven):
            await world.inbound.hear("itsm", signed(b"{}", NOW - 400), b"{}")
    told = [record.message for record in caplog.records if "refused a webhook" in record.message]
    assert len(told) == 2
    assert "set the clocks" in told[0]


@pytest.mark.parametrize(
    ("change_headers", "words"),
    [
        ({"webhook-signature": "v1,AAAA"}, "signature does not fit"),
        ({"webhook-timestamp": str(int(NOW) - 400)}, "set the clocks"),
        ({"webhook-timestamp": "nan"}, "set the clocks"),
        ({"webhook-timestamp": "soon"}, "no number"),
        ({"webhook-id": "m-2"}, "signature does not fit"),
    ],
)
def test_what_is_not_signed_rightly_is_refused(change_headers: dict[str, str], words: str) -> None:
    body = b'{"ticket": 1}'
    assert verified([KEY], signed(body), body, NOW) == {"ticket": 1}
    with pytest.raises(Unproven, match=words):
        verified([KEY], signed(body) | change_headers, body, NOW)
    with pytest.raises(Unproven, match="signature does not fit"):
        verified([KEY], signed(body), b'{"ticket": 2}', NOW)


def test_what_a_person_opens_again_stays_open_until_a_person_closes_it() -> None:
    problems = Problems(grouping(), lambda: "fw-1", lambda _problem: float("inf"))
    quiet = firing(severity=Severity.MAJOR)
    (opened,) = [c for c in problems.correlate([quiet], NOW) if c.notify is NotifyReason.OPENED]
    problem = opened.problem
    quiet.state = AlertState.RESOLVED
    problems.tick(NOW + 1)
    assert problem.state is ProblemState.RESOLVED
    moves = handling.reopen(problem, "no, it is back", NOW + 2, "root")
    assert [m.to for m in moves] == [ProblemState.OPEN, ProblemState.ESCALATED]
    assert problem.escalation is EscalationReason.REOPENED
    assert problems.tick(NOW + 9999) == []
    assert handling.resolve(problem, "done", NOW + 10_000, "root")
