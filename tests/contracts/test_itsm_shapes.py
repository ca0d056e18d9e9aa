"""Sinks of systems that cannot run here, against stand-ins built from their documentation: simulated.

What is tested is what we send, and what we make of each system's odd answers.
"""

from typing import Any

import pytest

from aiops.plugin import Fatal, Retryable, TicketRef
from tests.itsm_stub import say, talking

ASLEEP = b"<html><body>Your instance is hibernating</body></html>"


async def test_servicenow_asleep_is_tried_again_and_nothing_is_taken_for_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with talking("servicenow", lambda *_: (200, ASLEEP), monkeypatch) as (sink, _):
        for call in (sink.create(say()), sink.update("9d38", say(2, "updated")), sink.find("fw-1")):
            with pytest.raises(Retryable, match="200 with HTML: is it asleep") as caught:
                await call
            assert caught.value.ambiguous


async def test_servicenow_incident_with_its_key_and_one_note_a_message(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    notes: list[str] = []

    def reply(line: str, sent: Any) -> tuple[int, Any]:
        if "sys_journal_field" in line:
            return 200, {"result": [{"sys_id": "1"}] if notes else []}
        if line.startswith("GET"):
            return 200, {"result": []}
        notes.extend([sent["work_notes"]] if "work_notes" in sent else [])
        return (201 if line.startswith("POST") else 200), {"result": {"sys_id": "9d38", "number": "INC1"}}

    async with talking("servicenow", reply, monkeypatch) as (sink, asked):
        assert await sink.find("fw-1") is None
        ticket = await sink.create(say())
        await sink.update(ticket.ref, say(2, "resolved"))
        await sink.update(ticket.ref, say(2, "resolved", attempt=2))
    assert ticket.ref == "9d38"
    assert asked[0][0].startswith("GET /api/now/table/incident?sysparm_query=correlation_id%3Dfw-1")
    assert (asked[1][1]["correlation_id"], asked[1][1]["urgency"]) == ("fw-1", "2")
    first, repeat = asked[2][1], asked[4][1]
    assert first["work_notes"].startswith("[fw-1#2]\nResolved")
    assert (first["state"], repeat["state"], "work_notes" in repeat) == ("6", "6", False)


async def test_jira_cloud_speaks_adf_and_finds_the_way_to_done(monkeypatch: pytest.MonkeyPatch) -> None:
    comments: list[Any] = []
    ways = [("11", "indeterminate"), ("31", "done")]

    def reply(line: str, sent: Any) -> tuple[int, Any]:
        if line.startswith("GET") and "/comment" in line:
            return 200, {"comments": comments}
        if line.endswith("/comment"):
            comments.append(sent)
            return 201, {"id": "1"}
        if line.startswith("GET") and "/transitions" in line:
            return 200, {"transitions": [{"id": i, "to": {"statusCategory": {"key": c}}} for i, c in ways]}
        if line.endswith("/transitions"):
            return 204, b""
        if line.endswith("/issue"):
            return 201, {"id": "1", "key": "OPS-7"}
        return 200, {"fields": {"status": {"statusCategory": {"key": "new"}}}, "issues": [{"key": "OPS-7"}]}

    async with talking("jira", reply, monkeypatch) as (sink, asked):
        ticket = await sink.create(say())
        await sink.update(ticket.ref, say(2, "resolved"))
        await sink.update(ticket.ref, say(2, "resolved", attempt=2))
        found = await sink.find("fw-1")
    fields = asked[0][1]["fields"]
    assert (ticket.ref, fields["labels"], fields["description"]["type"]) == (
        "OPS-7",
        ["forewarn", "fw-1"],
        "doc",
    )
    assert len(comments) == 1
    assert next(sent for line, sent in asked if line.startswith("POST") and "transitions" in line) == {
        "transition": {"id": "31"}
    }
    assert found == ticket
    assert "/rest/api/3/search/jql?jql=labels" in asked[-1][0]


async def test_jira_without_a_way_to_done_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def reply(line: str, _sent: Any) -> tuple[int, Any]:
        if "/transitions" in line:
            return 200, {"transitions": []}
        return 200, {"fields": {"status": {"statusCategory": {"key": "new"}}}}

    async with talking("jira", reply, monkeypatch, api="2", user="") as (sink, asked):
        with pytest.raises(Fatal, match="OPS-7 has no transition to a done status"):
            await sink.update("OPS-7", say(2, "resolved"))
    assert asked[0][1]["body"].startswith("[fw-1#2]\n"), "version 2 takes plain text"


async def test_pagerduty_202_is_taken_and_its_key_merges_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    accepted = {"status": "success", "message": "Event processed", "dedup_key": "fw-1"}
    async with talking("pagerduty", lambda *_: (202, accepted), monkeypatch) as (sink, asked):
        ticket = await sink.create(say())
        await sink.update(ticket.ref, say(2, "resolved"))
    assert ticket == TicketRef("fw-1")
    assert [(s["event_action"], s["dedup_key"]) for _, s in asked] == [
        ("trigger", "fw-1"),
        ("resolve", "fw-1"),
    ]
    assert asked[0][1]["payload"]["severity"] == "error"


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        ({"ok": False, "error": "channel_not_found"}, Fatal, "invite the app"),
        ({"ok": False, "error": "invalid_auth"}, Fatal, "check `token`"),
        ({"ok": False, "error": "ratelimited"}, Retryable, "ratelimited"),
        ({"ok": False, "error": "internal_error"}, Retryable, "internal_error"),
        ({}, Retryable, "no `ok`"),
    ],
)
async def test_slack_200_is_not_yes(
    monkeypatch: pytest.MonkeyPatch, answer: Any, kind: type[Exception], words: str
) -> None:
    async with talking("slack", lambda *_: (200, answer), monkeypatch) as (sink, _):
        with pytest.raises(kind, match=words):
            await sink.create(say())


async def test_slack_tells_news_in_the_thread_and_only_once(monkeypatch: pytest.MonkeyPatch) -> None:
    posted: list[Any] = []

    def reply(line: str, sent: Any) -> tuple[int, Any]:
        if line.startswith("GET"):
            return 200, {
                "ok": True,
                "messages": [{"ts": "1.0", "metadata": one["metadata"]} for one in posted],
            }
        posted.append(sent)
        return 200, {"ok": True, "ts": "1.0"}

    async with talking("slack", reply, monkeypatch) as (sink, _):
        assert await sink.find("fw-1") is None
        ticket = await sink.create(say())
        assert await sink.find("fw-1") == ticket
        await sink.update(ticket.ref, say(2, "updated"))
        await sink.update(ticket.ref, say(2, "updated", attempt=2))
    assert [one.get("thread_ts") for one in posted] == [None, "1.0"]
    assert "&lt;used&gt; &amp; rising" in posted[0]["text"]


async def test_teams_is_signed_in_the_address_and_says_its_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    path = "/workflows/1/triggers/manual/paths/invoke?api-version=2016-06-01&sp=%2Ftriggers"
    async with talking("teams", lambda *_: (202, b""), monkeypatch, path) as (sink, asked):
        await sink.create(say())
    line, sent = asked[0]
    assert "api-version=2016-06-01&sp=%2Ftriggers&sig=whsec_" in line
    card = sent["attachments"][0]["content"]
    assert (card["type"], card["body"][-1]["text"]) == ("AdaptiveCard", "[fw-1#1]")


async def test_zammad_closes_with_the_article_and_needs_its_attribute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    articles: list[Any] = []

    def reply(line: str, sent: Any) -> tuple[int, Any]:
        if line.startswith("GET"):
            return 200, articles
        articles.extend([sent["article"]] if "article" in sent else [])
        kept = {k: v for k, v in sent.items() if k == "forewarn_key"}
        return (201 if line.startswith("POST") else 200), {"id": 7, **kept}

    async with talking("zammad", reply, monkeypatch) as (sink, asked):
        ticket = await sink.create(say())
        await sink.update(ticket.ref, say(2, "resolved"))
        await sink.update(ticket.ref, say(2, "resolved", attempt=2))
    assert [one["subject"] for one in articles] == [
        "[fw-1#1] Disk of db-1 fills",
        "[fw-1#2] Disk of db-1 fills",
    ]
    assert asked[-1][1] == {"state": "closed"}
    async with talking("zammad", lambda *_: (201, {"id": 8}), monkeypatch) as (sink, _):
        with pytest.raises(Fatal, match="ticket 8 was made without `forewarn_key`"):
            await sink.create(say())
