"""The sweep: what is wrong with tickets is counted, and put right when it is found twice."""

from collections.abc import Sequence

import pytest
from pydantic import PrivateAttr

from aiops.engine.metrics import Metrics
from aiops.engine.reconcile import Reconciler
from aiops.plugin import Retryable, SinkChange
from aiops.plugin.sink import TicketSeen
from aiops.store import outbox
from aiops.store.database import Database
from aiops.store.tables import problem
from aiops.testing import FakeClock, RecordingSink, eventually
from tests.outboxes import R, a_problem, delivery, rows, running, say, settled, ticket


class Desk(RecordingSink):
    """A ticket system whose tickets people change behind our back."""

    _shown: dict[str, list[TicketSeen]] = PrivateAttr(default_factory=dict)
    _broken: bool = PrivateAttr(False)

    def show(self, key: str, *seen: TicketSeen) -> None:
        self._shown[key] = list(seen)

    async def seen(self, key: str) -> list[TicketSeen] | None:
        if self._broken:
            raise Retryable("503")
        return self._shown.get(key, [])


class Room:
    def __init__(self, db: Database) -> None:
        self.db, self.clock, self.desk = db, Quick(), Desk(name="itsm")
        self.metrics = Metrics()
        self.heard: list[SinkChange] = []
        wrong, healed = self.metrics.tickets_wrong, self.metrics.tickets_healed
        self.reconciler = Reconciler(db, self.clock, lambda: {"itsm": self.desk}, self._hear, wrong, healed)

    async def _hear(self, _name: str, changes: Sequence[SinkChange]) -> int:
        self.heard += changes
        return len(changes)

    async def told(self, *reasons: R, state: str = "open") -> None:
        """The problem P-1 with its ticket, as it was delivered."""
        say(self.db, a_problem(self.db, state=state), *reasons)
        async with running(self.db, self.desk):
            await eventually(lambda: settled(self.db))
        with self.db.begin() as conn:
            conn.execute(problem.update().values(resolved=self.clock.now() - 60))

    async def sweep(self) -> dict[str, int]:
        return await self.reconciler.sweep("itsm", self.desk)

    def value(self, name: str, how: str) -> float:
        labels = {"sink": "itsm", "how": how}
        return self.metrics.registry.get_sample_value(f"forewarn_tickets_{name}", labels) or 0.0


class Quick(FakeClock):
    """Pauses between questions pass at once."""

    async def sleep(self, seconds: float) -> None:
        self._now += seconds


@pytest.fixture
def room(db: Database) -> Room:
    return Room(db)


async def test_tickets_in_order_are_not_touched(room: Room) -> None:
    await room.told(R.OPENED)
    room.desk.show("P-1", TicketSeen("T-1", open=True))
    assert await room.sweep() == await room.sweep() == {"lost": 0, "duplicate": 0, "drifted": 0}
    assert len(rows(room.db, delivery)) == 1


async def test_a_lost_ticket_is_opened_anew_once_it_was_missed_twice(room: Room) -> None:
    await room.told(R.OPENED)
    assert (await room.sweep())["lost"] == 1
    assert room.value("wrong", "lost") == 1.0
    assert len(rows(room.db, delivery)) == 1, "it may be under way"
    await room.sweep()
    assert rows(room.db, ticket) == []
    assert [row["reason"] for row in rows(room.db, delivery)] == ["opened", "opened"]
    assert rows(room.db, delivery)[1]["body"]["why"] == "ticket T-1 is gone"
    assert room.value("healed_total", "lost") == 1.0
    async with running(room.db, room.desk):
        await eventually(lambda: settled(room.db))
    assert [row["ref"] for row in rows(room.db, ticket)] == ["T-2"]


async def test_a_ticket_that_stayed_open_is_closed(room: Room) -> None:
    await room.told(R.OPENED, R.RESOLVED, state="resolved")
    room.desk.show("P-1", TicketSeen("T-1", open=True))
    assert (await room.sweep())["drifted"] == 1
    await room.sweep()
    assert [row["reason"] for row in rows(room.db, delivery)] == ["opened", "resolved", "resolved"]
    assert room.heard == []
    room.desk.show("P-1", TicketSeen("T-1", open=False))
    async with running(room.db, room.desk):
        await eventually(lambda: settled(room.db))
    assert (await room.sweep())["drifted"] == 0
    assert room.value("wrong", "drifted") == 0.0


async def test_a_ticket_that_people_closed_unheard_is_heard(room: Room) -> None:
    await room.told(R.OPENED)
    room.desk.show("P-1", TicketSeen("T-1", open=False))
    await room.sweep()
    assert room.heard == []
    await room.sweep()
    assert [(one.ref, one.kind) for one in room.heard] == [("T-1", "closed")]


async def test_duplicates_are_counted_and_left_to_people(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    await room.told(R.OPENED)
    room.desk.show("P-1", TicketSeen("T-1", open=True), TicketSeen("T-7", open=True))
    assert (await room.sweep())["duplicate"] == 1
    assert (await room.sweep())["duplicate"] == 1
    assert "duplicate: T-1, T-7" in caplog.text
    assert len(rows(room.db, delivery)) == 1


async def test_what_is_still_to_be_said_is_not_looked_at(room: Room) -> None:
    await room.told(R.OPENED)
    with room.db.begin() as conn:
        outbox.enqueue(conn, 1, "itsm", R.UPDATED, {}, at=1e12)
    assert await room.sweep() == {"lost": 0, "duplicate": 0, "drifted": 0}


async def test_a_sink_that_does_not_answer_is_left_for_the_next_time(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    await room.told(R.OPENED)
    room.desk._broken = True
    await room.sweep()
    await room.sweep()
    assert "cannot look at its tickets: 503" in caplog.text
    assert len(rows(room.db, delivery)) == 1
