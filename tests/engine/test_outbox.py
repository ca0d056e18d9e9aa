"""The outbox on both databases: order, leases, dead letters."""

import threading

import pytest

from aiops.model.lifecycle import IllegalTransition
from aiops.plugin import TicketRef
from aiops.store import audit, backlog, outbox
from aiops.store.backlog import Said
from aiops.store.database import Database
from aiops.store.settling import Claimed
from tests.outboxes import R, a_problem, attempt, delivery, rows, say, ticket


def claim(db: Database, now: float, owner: str = "a", limit: int = 10, sink: str = "itsm") -> list[Claimed]:
    with db.begin() as conn:
        return outbox.claim(conn, now, owner, 20.0, limit, sink)


def succeed(db: Database, one: Claimed, owner: str = "a", at: float = 2.0, ref: str = "INC-1") -> bool:
    with db.begin() as conn:
        return outbox.succeed(conn, one, owner, at, 0.1, TicketRef(ref))


def bury(db: Database, one: Claimed, owner: str = "a", at: float = 2.0) -> bool:
    with db.begin() as conn:
        return outbox.bury(conn, one, owner, at, 0.1, "400 no such queue")


def test_messages_of_a_stream_go_one_after_the_other(db: Database) -> None:
    ident = a_problem(db)
    say(db, ident, R.OPENED, R.BREACHED, R.RESOLVED)
    seen = []
    for step in range(3):
        (one,) = claim(db, 10.0 + step)
        assert claim(db, 10.0 + step, owner="b") == []
        assert (one.seq, one.key, one.attempts) == (step + 1, "P-1", 1)
        assert one.ref == ("" if step == 0 else "INC-1")
        assert succeed(db, one, at=10.0 + step)
        seen.append(one.reason)
    assert seen == [R.OPENED, R.BREACHED, R.RESOLVED]
    assert [r["state"] for r in rows(db, delivery)] == ["sent"] * 3
    (found,) = rows(db, ticket)
    assert (found["ref"], found["state"], found["created"], found["updated"]) == (
        "INC-1",
        "resolved",
        10.0,
        12.0,
    )


def test_streams_are_independent_and_the_longest_due_goes_first(db: Database) -> None:
    first, second = a_problem(db, "P-1"), a_problem(db, "P-2")
    say(db, second, R.OPENED, at=5.0)
    say(db, first, R.OPENED, at=3.0)
    say(db, first, R.OPENED, sink="chat", at=1.0)
    assert [c.key for c in claim(db, 10.0)] == ["P-1", "P-2"]
    assert [c.sink for c in claim(db, 10.0, sink="chat")] == ["chat"]
    with db.read_only() as conn:
        assert backlog.said(conn, [first, second, 99]) == {
            first: [Said("itsm", R.OPENED, 3.0), Said("chat", R.OPENED, 1.0)],
            second: [Said("itsm", R.OPENED, 5.0)],
        }


def test_nothing_is_claimed_before_it_is_due(db: Database) -> None:
    say(db, a_problem(db), R.OPENED, at=100.0)
    assert claim(db, 99.9) == []
    with db.read_only() as conn:
        assert not outbox.waiting(conn, 99.9, "itsm")
        assert outbox.waiting(conn, 100.0, "itsm")


def test_a_lease_keeps_others_off_until_it_ends(db: Database) -> None:
    say(db, a_problem(db), R.OPENED)
    (one,) = claim(db, 10.0, "a")
    assert claim(db, 29.9, "b") == []
    (again,) = claim(db, 30.0, "b")
    assert (again.message_id, again.attempts) == (one.message_id, 2)
    assert not succeed(db, one, "a", at=31.0), "the lease was lost"
    assert rows(db, ticket) == []
    assert succeed(db, again, "b", at=31.0)


def test_a_process_that_lost_its_lease_to_itself_cannot_settle_the_old_claim(db: Database) -> None:
    say(db, a_problem(db), R.OPENED)
    (old,) = claim(db, 10.0, "a")
    (new,) = claim(db, 40.0, "a")
    assert not bury(db, old, "a", at=41.0)
    assert succeed(db, new, "a", at=41.0)


def test_a_failed_attempt_is_logged_and_due_later(db: Database) -> None:
    say(db, a_problem(db), R.OPENED)
    (one,) = claim(db, 10.0)
    with db.begin() as conn:
        assert outbox.retry(conn, one, "a", 11.0, 0.5, "503", due=15.0)
    assert claim(db, 14.9) == []
    (again,) = claim(db, 15.0)
    assert again.attempts == 2
    with db.begin() as conn:
        assert outbox.retry(conn, again, "a", 16.0, 0.0, "refused", due=17.0, counted=False)
    (third,) = claim(db, 17.0)
    assert third.attempts == 2, "an attempt that reached nobody says nothing against the message"
    assert [(r["error"], r["ok"]) for r in rows(db, attempt)] == [("503", False), ("refused", False)]


def test_a_dead_first_message_holds_its_stream_back_until_it_is_replayed(db: Database) -> None:
    ident = a_problem(db)
    opened, _ = say(db, ident, R.OPENED, R.RESOLVED)
    (one,) = claim(db, 10.0)
    assert bury(db, one)
    assert claim(db, 1000.0) == []
    with db.read_only() as conn:
        assert backlog.counts(conn, 101.0) == {"itsm": backlog.SinkCounts(due=1, dead=1, oldest_due=100.0)}
    with db.begin() as conn:
        outbox.replay(conn, opened, 50.0, actor="mia")
    (again,) = claim(db, 50.0)
    assert again.id == opened
    assert again.attempts == 2, "it may have arrived before: the sink is searched first"
    assert succeed(db, again, at=51.0)
    (last,) = claim(db, 52.0)
    assert last.reason is R.RESOLVED
    with db.read_only() as conn:
        trail = [(r["from_state"], r["to_state"], r["actor"]) for r in audit.of_problem(conn, ident)]
    assert trail == [("due", "dead", "forewarn"), ("dead", "due", "mia"), ("due", "sent", "forewarn")]


def test_a_dead_update_is_stepped_over_and_is_old_news_then(db: Database) -> None:
    _, updated, _ = say(db, a_problem(db), R.OPENED, R.UPDATED, R.RESOLVED)
    assert succeed(db, claim(db, 10.0)[0])
    assert bury(db, claim(db, 11.0)[0])
    (last,) = claim(db, 12.0)
    assert last.reason is R.RESOLVED
    assert succeed(db, last)
    with pytest.raises(outbox.Overtaken, match="message 3"), db.begin() as conn:
        outbox.replay(conn, updated, 20.0)
    with db.begin() as conn:
        assert outbox.replay_all(conn, "itsm", 20.0) == 0
    assert [r["state"] for r in rows(db, delivery)] == ["sent", "dead", "sent"]


def test_replay_of_all_revives_what_a_long_outage_buried(db: Database) -> None:
    for n in range(3):
        say(db, a_problem(db, f"P-{n}"), R.OPENED)
    for one in claim(db, 10.0):
        bury(db, one)
    with db.begin() as conn:
        assert outbox.replay_all(conn, "itsm", 20.0) == 3
        assert outbox.replay_all(conn, "itsm", 20.0) == 0
    assert len(claim(db, 20.0)) == 3


def test_only_a_dead_message_can_be_replayed(db: Database) -> None:
    (ident,) = say(db, a_problem(db), R.OPENED)
    with pytest.raises(IllegalTransition), db.begin() as conn:
        outbox.replay(conn, ident, 5.0)
    with pytest.raises(LookupError, match="no delivery 4711"), db.begin() as conn:
        outbox.replay(conn, 4711, 5.0)


def test_a_message_is_as_durable_as_the_change_that_causes_it(db: Database) -> None:
    ident = a_problem(db)

    def fails_after_saying() -> None:
        with db.begin() as conn:
            outbox.enqueue(conn, ident, "itsm", R.OPENED, {}, at=1.0)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails_after_saying()
    assert rows(db, delivery) == []


def test_many_claimers_at_once_share_the_work_without_overlap(db: Database) -> None:
    total = 60
    for n in range(total):
        say(db, a_problem(db, f"P-{n}"), R.OPENED)
    got: list[int] = []
    gate = threading.Barrier(4)

    def work(owner: str) -> None:
        gate.wait()
        while found := claim(db, 10.0, owner, limit=4):
            got.extend(one.id for one in found)

    threads = [threading.Thread(target=work, args=(f"w{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    got += [one.id for one in claim(db, 10.0, "late", limit=total)]
    assert len(got) == len(set(got)) == total


def test_pruning_spares_what_is_unsent_or_belongs_to_a_live_problem(db: Database) -> None:
    over, live = a_problem(db, "P-1", "resolved"), a_problem(db, "P-2")
    for ident in (over, live):
        say(db, ident, R.OPENED, R.RESOLVED)
    for one in claim(db, 10.0):
        succeed(db, one, at=10.0)
    with db.begin() as conn:
        assert backlog.prune(conn, before=10.0) == 0
        assert backlog.prune(conn, before=11.0) == 1
    left = [(r["problem_id"], r["seq"]) for r in rows(db, delivery)]
    assert left == [(over, 2), (live, 1), (live, 2)]
