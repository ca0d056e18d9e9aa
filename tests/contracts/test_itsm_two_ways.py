"""What people do in ServiceNow, Jira, Zammad, PagerDuty, Slack and behind webhooks comes back: simulated."""

import json
from typing import Any
from urllib.parse import unquote_plus

import pytest

from aiops.plugin import Fatal
from tests.itsm_stub import heard, say, talking

NOW = 1_767_261_600.0
THEN = "2026-01-01 10:00:00"


async def test_servicenow_from_its_audit_and_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    def audit(number: int, who: str, field: str, old: str, new: str) -> dict[str, str]:
        what = {"fieldname": field, "oldvalue": old, "newvalue": new, "user": who}
        return {"sys_id": f"a{number}", "documentkey": "9d38", "sys_created_on": THEN, **what}

    def said(number: int, who: str, text: str) -> dict[str, str]:
        who_ = {"sys_created_by": who, "sys_created_on": THEN}
        return {"sys_id": f"j{number}", "element_id": "9d38", "value": text, **who_}

    def reply(line: str, _sent: Any) -> tuple[int, Any]:
        if "/sys_audit" in line:
            rows = [audit(1, "ana", "state", "2", "6"), audit(2, "forewarn", "state", "2", "6")]
            rows += [audit(3, "system", "state", "6", "7"), audit(4, "ana", "state", "1", "2")]
            return 200, {
                "result": [
                    *rows,
                    audit(5, "ana", "assigned_to", "", "77"),
                    audit(6, "ben", "state", "6", "2"),
                ]
            }
        if "/sys_journal_field" in line:
            return 200, {
                "result": [said(1, "ana", "on it"), said(2, "forewarn", "[fw-1#2]\nx"), said(3, "bot", "hi")]
            }
        return 200, {"result": [{"sys_id": "9d38", "assigned_to.user_name": "ben"}]}

    async with talking("servicenow", reply, monkeypatch, ignore=["bot"]) as (sink, asked):
        assert sink.poll_every == 60.0
        assert await heard(sink, NOW) == [
            ("closed", "9d38", "ana", "state 2 to 6 in ServiceNow"),
            ("assigned", "9d38", "ana", "ben"),
            ("reopened", "9d38", "ben", "state 6 to 2 in ServiceNow"),
            ("commented", "9d38", "ana", "on it"),
        ]
    first = unquote_plus(asked[0][0])
    assert f"correlation_display=Forewarn^sys_updated_on>={THEN}" in first
    assert "documentkeyIN9d38" in unquote_plus(asked[1][0])


SEEN: dict[str, Any] = {
    "servicenow": {"result": [{"sys_id": "1", "state": "2"}, {"sys_id": "2", "state": "7"}]},
    "jira": {
        "issues": [
            {"key": "1", "fields": {"status": {"statusCategory": {"key": "new"}}}},
            {"key": "2", "fields": {"status": {"statusCategory": {"key": "done"}}}},
        ]
    },
    "zammad": [{"id": 1, "state": "open"}, {"id": 2, "state": "closed"}],
    "glpi": {"session_token": "s", "totalcount": 2, "data": [{"2": 1, "12": 2}, {"2": 2, "12": 6}]},
    "itop": {
        "code": 0,
        "objects": {
            "Incident::2": {"key": "2", "fields": {"status": "closed"}},
            "Incident::1": {"key": "1", "fields": {"status": "new"}},
        },
    },
}


@pytest.mark.parametrize("kind", SEEN)
async def test_the_sweep_sees_every_ticket_of_a_key_and_whether_it_is_open(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with talking(kind, lambda *_: (200, SEEN[kind]), monkeypatch) as (sink, _):
        seen = await sink.seen("fw-1")
    assert seen is not None
    assert [(one.ref, one.open) for one in seen] == [("1", True), ("2", False)]


async def test_servicenow_state_that_a_rule_undid_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = (200, {"result": {"sys_id": "9d38", "state": "2"}})
    async with talking("servicenow", lambda *_: kept, monkeypatch) as (sink, _):
        with pytest.raises(Fatal, match="kept 9d38 in state 2 instead of 6: a business rule"):
            await sink.update("9d38", say(2, "resolved"))


async def test_servicenow_problem_has_states_of_its_own_and_mapped_fields(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def reply(_line: str, sent: Any) -> tuple[int, Any]:
        return 200, {"result": {"sys_id": "9d38", "state": (sent or {}).get("state")}}

    mapping = {"priority": "problem.level == level.critical ? '1' : '3'", "u_absent": "null"}
    async with talking("servicenow", reply, monkeypatch, table="problem", mapping=mapping) as (sink, asked):
        await sink.create(say())
        await sink.update("9d38", say(2, "resolved"))
    assert asked[0][0] == "POST /api/now/table/problem"
    assert (asked[0][1]["priority"], "u_absent" in asked[0][1]) == ("3", False)
    assert (asked[1][1]["state"], asked[1][1]["resolution_code"]) == ("106", "fix_applied")


async def test_servicenow_events_by_their_key(monkeypatch: pytest.MonkeyPatch) -> None:
    async with talking("servicenow_event", lambda *_: (200, {"result": {}}), monkeypatch) as (sink, asked):
        await sink.create(say())
        await sink.update("fw-1", say(2, "resolved"))
    assert asked[0][0] == "POST /api/global/em/jsonv2"
    first, last = (sent["records"][0] for _, sent in asked)
    assert (first["message_key"], first["severity"], last["severity"]) == ("fw-1", "2", "0")
    assert json.loads(first["additional_info"])["mark"] == "[fw-1#1]"


def user(name: str) -> dict[str, str]:
    return {"accountId": f"id-{name}", "displayName": name}


async def test_jira_from_its_change_log_and_comments(monkeypatch: pytest.MonkeyPatch) -> None:
    created = "2026-01-01T10:00:01.000+0000"

    def log(number: int, who: str, *items: dict[str, Any]) -> dict[str, Any]:
        return {"id": str(number), "author": user(who), "created": created, "items": list(items)}

    def moved(old: str, new: str) -> dict[str, Any]:
        return {"field": "status", "from": old, "to": new, "fromString": old, "toString": new}

    adf = {"type": "doc", "content": [{"type": "paragraph", "content": [{"type": "text", "text": "on it"}]}]}
    mine = {"type": "doc", "content": [{"type": "text", "text": "[fw-1#2] x"}]}
    said = [
        {"id": n, "author": user(w), "created": created, "body": b}
        for n, w, b in [("1", "ana", adf), ("2", "ana", mine)]
    ]
    histories = [
        log(1, "ana", moved("1", "3"), {"field": "assignee", "to": "x"}),
        log(2, "us", moved("3", "1")),
    ]
    histories += [
        log(3, "robot", moved("3", "1")),
        log(4, "ana", moved("3", "1")),
        log(5, "ana", moved("1", "2")),
    ]
    fields = {"assignee": user("ben"), "comment": {"comments": said}}
    issue = {"key": "OPS-7", "fields": fields, "changelog": {"histories": histories}}

    def reply(line: str, _sent: Any) -> tuple[int, Any]:
        if line.endswith("/myself"):
            return 200, user("us")
        if line.endswith("/status"):
            return 200, [
                {"id": i, "statusCategory": {"key": k}}
                for i, k in [("1", "new"), ("2", "new"), ("3", "done")]
            ]
        return 200, {
            "issues": [issue] if "nextPageToken" not in line else [],
            **({} if "next" in line else {"nextPageToken": "p2"}),
        }

    async with talking("jira", reply, monkeypatch, ignore=["robot"]) as (sink, asked):
        assert await heard(sink, NOW) == [
            ("closed", "OPS-7", "ana", "1 to 3 in Jira"),
            ("assigned", "OPS-7", "ana", "ben"),
            ("reopened", "OPS-7", "ana", "3 to 1 in Jira"),
            ("commented", "OPS-7", "ana", "on it\n"),
        ]
    assert f'labels = "forewarn" AND updated >= {int(NOW * 1000)}' in unquote_plus(asked[2][0])


async def test_jira_service_management_keeps_comments_from_customers(monkeypatch: pytest.MonkeyPatch) -> None:
    async with talking("jira", lambda *_: (201, {"id": "1", "key": "OPS-7"}), monkeypatch, internal=True) as (
        sink,
        asked,
    ):
        await sink.update("OPS-7", say(2, "updated"))
    assert asked[0][1]["properties"] == [{"key": "sd.public.comment", "value": {"internal": True}}]


async def test_zammad_from_its_history_and_articles(monkeypatch: pytest.MonkeyPatch) -> None:
    at = "2026-01-01T10:00:01.000Z"

    def row(number: int, who: int, what: str, old: str, new: str) -> dict[str, Any]:
        moved = {"attribute": what, "value_from": old, "value_to": new}
        return {"id": number, "object": "Ticket", "created_by_id": who, "created_at": at, **moved}

    history = [
        row(1, 5, "state", "open", "closed"),
        row(2, 3, "state", "open", "closed"),
        row(3, 1, "state", "closed", "open"),
    ]
    history += [row(4, 5, "owner", "-", "Ben"), row(5, 5, "state", "new", "open")]
    article = {
        "id": 1,
        "created_by_id": 5,
        "created_by": "ana",
        "created_at": at,
        "sender": "Agent",
        "subject": "",
    }
    articles = [
        {**article, "body": "<div>on it</div>"},
        {**article, "id": 2, "subject": "[fw-1#2] x", "body": "x"},
    ]

    def reply(line: str, _sent: Any) -> tuple[int, Any]:
        if "/users/me" in line:
            return 200, {"id": 3, "login": "forewarn"}
        if "/ticket_history/" in line:
            return 200, {"history": history, "assets": {"User": {"5": {"login": "ana"}}}}
        if "/ticket_articles/" in line:
            return 200, articles
        return 200, [{"id": 7, "updated_at": at}, {"id": 8, "updated_at": "2025-01-01T10:00:01.000Z"}]

    async with talking("zammad", reply, monkeypatch) as (sink, _):
        assert await heard(sink, NOW) == [
            ("closed", "7", "ana", "open to closed in Zammad"),
            ("assigned", "7", "ana", "Ben"),
            ("commented", "7", "ana", "on it"),
        ]


async def test_zammad_ticket_made_without_its_article_is_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A create that failed half-way: the ticket is there, its article is not."""

    def reply(line: str, sent: Any) -> tuple[int, Any]:
        return 200, ([] if "ticket_articles" in line else [{"id": 7}]) if line.startswith("GET") else {
            "id": 7
        }

    async with talking("zammad", reply, monkeypatch) as (sink, asked):
        assert await sink.find("fw-1") is None
        assert (await sink.create(say(attempt=2))).ref == "7"
    assert [line for line, _ in asked if not line.startswith("GET")] == ["PUT /api/v1/tickets/7"]


async def test_slack_hears_people_and_not_apps_in_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    payload = {"event_payload": {"mark": "[fw-1#1]"}}
    posts = [
        {"ts": "100.0", "metadata": payload, "latest_reply": "300.0"},
        {"ts": "50.0", "latest_reply": "300.0"},
    ]
    replies = [{"ts": "300.0", "type": "message", "user": "U1", "text": "on it"}]
    replies += [{"ts": "299.0", "type": "message", "user": "U2", "bot_id": "B1", "text": "news"}]
    replies += [{"ts": "150.0", "type": "message", "user": "U1", "text": "old"}]

    def reply(line: str, _sent: Any) -> tuple[int, Any]:
        return 200, {"ok": True, "messages": replies if "replies" in line else posts}

    async with talking("slack", reply, monkeypatch) as (sink, asked):
        assert await heard(sink, 200.0) == [("commented", "100.0", "U1", "on it")]
        assert await heard(sink, 301.0) == []
    assert sum("replies" in line for line, _ in asked) == 1
