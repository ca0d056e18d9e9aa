"""What goes wrong with a ticket system, told in one line that says what to do: every sink that talks HTTP.

Each case is a whole delivery: through relay, real outbox and attempt log, against a real HTTP server.
"""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from aiops.engine.deliver import Relay, RelaySettings
from aiops.plugin import Sink
from aiops.store.database import Database
from aiops.store.tables import attempt, delivery
from aiops.testing import FakeClock
from tests.contracts.test_sink_contract import BY_HTTP, a_class, block
from tests.outboxes import R, a_problem, say
from tests.receiver import SECRET, Receiver

PAGE = b"<!doctype html><html><body>Please log in</body></html>"

CASES: dict[str, tuple[int, bytes, bool, str]] = {
    "wrong credentials": (401, b'{"error": "bad credentials"}', True, "check |token"),
    "expired token": (401, b'{"error": "token expired"}', True, "check |token"),
    "no rights": (403, b'{"error": "forbidden"}', True, "check "),
    "too large": (413, b"", True, "raise its limit"),
    "unknown address": (404, PAGE, True, "check |such"),
    "field rejected": (400, b'{"errors": {"priority": "cannot be set"}}', True, "check|refuses this message"),
    "a page instead of data": (503, PAGE, False, "answered 503"),
    "redirected to a login": (302, b"", True, "redirect, which is not followed"),
}
"""What is answered, whether it is over at once, and what the attempt log must say."""


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", BY_HTTP)
async def test_a_failure_is_one_clear_line_and_nothing_is_lost(
    kind: str, case: str, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SINK_SECRET", SECRET)
    status, body, over, words = CASES[case]
    itsm = Receiver(answer=lambda _r: (status, {"location": "https://login.example/"}, body), signed=False)
    async with itsm.serve():
        sink = a_class(kind).model_validate(block(kind, itsm.url))
        (ident,) = say(db, a_problem(db), R.OPENED, sink=sink.name)
        await relayed(db, sink)
        await sink.close()
    with db.read_only() as conn:
        row = conn.execute(sa.select(delivery).where(delivery.c.id == ident)).mappings().one()
        (tried,) = conn.execute(sa.select(attempt.c.error)).scalars()
    assert row["state"] == ("dead" if over else "due"), "never lost: it waits, or can be replayed"
    assert f"answered {status}" in tried
    assert any(word in tried for word in words.split("|")), tried
    assert SECRET[6:] not in tried
    assert len(tried.splitlines()) == 1
    assert len(itsm.requests) == 1, "no hammering"


async def relayed(db: Database, sink: Sink) -> None:
    """Let the relay try once."""
    clock = FakeClock(time.time())
    done = asyncio.Event()
    settings = RelaySettings(first_wait=600.0)
    relay = Relay(
        db, clock, lambda: {sink.name: sink}, asyncio.Event(), settings, lambda *_: done.set(), lambda a, b: b
    )
    task = asyncio.create_task(relay.run())
    async with asyncio.timeout(10):
        while not done.is_set():
            await clock.advance(1.0)
            await asyncio.sleep(0.005)
    relay.stop()
    await clock.advance(1.0)
    await task


ERRORS_WITH_200: dict[str, tuple[dict[str, Any], str]] = {
    "slack": ({"ok": False, "error": "channel_not_found"}, "invite the app"),
    "itop": ({"code": 1, "message": "Error: Invalid login"}, "check `user` and `password`"),
    "pagerduty": ({"status": "invalid event", "message": "Event object is invalid"}, "refused the event"),
    "zammad": ({"id": 7}, "add this attribute"),
    "request_tracker": ({"TicketCustomFields": []}, "add it to the queue"),
}
"""Systems that answer 200 to what they did not do."""


@pytest.mark.parametrize("kind", ERRORS_WITH_200)
async def test_200_with_an_error_in_it_is_no_yes(
    kind: str, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SINK_SECRET", SECRET)
    told, words = ERRORS_WITH_200[kind]
    answer: Callable[[Any], Any] = lambda _r: (200, {}, json.dumps(told).encode())  # noqa: E731
    itsm = Receiver(answer=answer, signed=False)
    async with itsm.serve():
        sink = a_class(kind).model_validate(block(kind, itsm.url))
        say(db, a_problem(db), R.OPENED, sink=sink.name)
        await relayed(db, sink)
        await sink.close()
    with db.read_only() as conn:
        (tried,) = conn.execute(sa.select(attempt.c.error)).scalars()
    assert words in tried
    assert len(itsm.requests) == 1


READERS = [*ERRORS_WITH_200, "servicenow", "jira", "jira_alert", "glpi", "roundup"]
"""Systems whose answers are read, so that a page for people is none."""


@pytest.mark.parametrize("kind", READERS)
async def test_a_page_with_200_is_told_for_what_it_is_and_tried_again(
    kind: str, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SINK_SECRET", SECRET)
    itsm = Receiver(answer=lambda _r: (200, {"content-type": "text/html"}, PAGE), signed=False)
    async with itsm.serve():
        sink = a_class(kind).model_validate(block(kind, itsm.url))
        say(db, a_problem(db), R.OPENED, sink=sink.name)
        await relayed(db, sink)
        await sink.close()
    with db.read_only() as conn:
        (state,) = conn.execute(sa.select(delivery.c.state)).scalars()
        (tried,) = conn.execute(sa.select(attempt.c.error)).scalars()
    assert (state, len(itsm.requests)) == ("due", 1)
    assert "answered 200 with HTML: is it asleep, or `url` not its API?" in tried


async def test_roundup_s_own_faults_are_not_taken_for_ours(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Roundup 2.6 answers any exception of its own, a locked database too, with 400."""
    monkeypatch.setenv("SINK_SECRET", SECRET)
    said = "Sun Nov 22 04:08:57 2026: An error occurred. Please check the server log for more information."
    told = json.dumps({"error": {"status": 400, "msg": said}}).encode()
    itsm = Receiver(answer=lambda _r: (400, {}, told), signed=False)
    async with itsm.serve():
        sink = a_class("roundup").model_validate(block("roundup", itsm.url))
        say(db, a_problem(db), R.OPENED, sink=sink.name)
        await relayed(db, sink)
        await sink.close()
    with db.read_only() as conn:
        (state,) = conn.execute(sa.select(delivery.c.state)).scalars()
        (tried,) = conn.execute(sa.select(attempt.c.error)).scalars()
    assert (state, len(itsm.requests)) == ("due", 1)
    assert "Roundup itself failed" in tried
    assert "its log says how" in tried


async def test_no_secret_reaches_the_log_whatever_a_server_echoes(
    db: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Planted in the environment, echoed by the server as it sees it, sought in all that is kept."""
    monkeypatch.setenv("SINK_SECRET", SECRET)
    caplog.set_level("DEBUG")
    itsm = Receiver(answer=lambda r: (400, {}, f"{r.line} {r.headers} {r.body!r}".encode()), signed=False)
    async with itsm.serve():
        for kind in BY_HTTP:
            sink = a_class(kind).model_validate({**block(kind, itsm.url), "name": kind})
            say(db, a_problem(db, kind), R.OPENED, sink=kind)
            await relayed(db, sink)
            await sink.close()
            assert SECRET[6:] not in f"{sink!r} {sink.model_dump_json()}"
    with db.read_only() as conn:
        kept = [str(dict(row)) for t in (attempt, delivery) for row in conn.execute(sa.select(t)).mappings()]
    assert len(itsm.requests) >= len(BY_HTTP)
    for text in (*kept, caplog.text):
        assert SECRET[6:] not in text
