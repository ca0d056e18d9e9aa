"""Alerts of Jira Service Management, simulated by its documentation, and fields that follow the problem."""

from typing import Any
from urllib.parse import unquote_plus

import pytest
from pydantic import ValidationError

from aiops.plugin import Fatal, Retryable, TicketRef
from aiops.plugin.load import load
from aiops.plugin.sink import Sink, TicketSeen
from tests.itsm_stub import BLOCKS, heard, say, talking

NOW = 1_767_261_600.0
LATER = "2026-01-01T10:05:00.000Z"
BASE = "/jsm/ops/api/c1/v1/alerts"


class Ops:
    """The operations of a site: alerts of one alias, whose notes are kept."""

    def __init__(self, *states: str) -> None:
        self.alerts: list[dict[str, Any]] = [
            {"id": f"a{n}", "alias": "fw-1", "status": state, "priority": "P2", "updatedAt": LATER}
            for n, state in enumerate(states)
        ]
        self.notes: list[dict[str, Any]] = []
        self.became: dict[str, Any] = {"isSuccess": True, "processedAt": LATER}

    def __call__(self, line: str, sent: Any) -> tuple[int, Any]:
        method, _, path = line.partition(" ")
        path = path.partition("?")[0].removeprefix(BASE)
        if method == "GET" and path.startswith("/requests/"):
            return 200, self.became
        if method == "GET":
            return 200, {"values": self.notes if path.endswith("/notes") else self.alerts}
        if path.endswith("/notes"):
            self.notes.append({"note": sent["note"], "owner": "a@b.example", "createdAt": LATER})
        return 202, {"result": "Request will be processed", "requestId": "r1", "took": 0.1}


def told(asked: list[tuple[str, Any]]) -> list[str]:
    """What was asked to be done."""
    return [line.replace(BASE, "") for line, _ in asked if not line.startswith("GET")]


async def test_a_story_is_one_alert_one_note_a_message_and_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    ops = Ops("open")
    async with talking("jira_alert", ops, monkeypatch, responders=[{"type": "team", "id": "t1"}]) as (
        sink,
        asked,
    ):
        assert await sink.create(say()) == TicketRef("fw-1")
        for attempt in (1, 2):
            await sink.update("fw-1", say(2, "updated", attempt))
        await sink.update("fw-1", say(3, "resolved"))
    made = asked[0][1]
    assert {name: made[name] for name in ("alias", "priority", "tags", "responders")} == {
        "alias": "fw-1", "priority": "P2", "tags": ["forewarn"], "responders": [{"type": "team", "id": "t1"}]
    }  # fmt: skip
    assert len(made["message"]) <= 130
    assert told(asked) == ["POST ", "POST /a0/notes", "POST /a0/notes", "POST /a0/close"]
    assert [one["note"].split("\n")[0] for one in ops.notes] == ["[fw-1#2]", "[fw-1#3]"]
    assert 'alias: "fw-1"' in unquote_plus(asked[2][0])


async def test_what_comes_back_after_it_was_closed_is_a_new_alert(monkeypatch: pytest.MonkeyPatch) -> None:
    async with talking("jira_alert", Ops("closed"), monkeypatch) as (sink, asked):
        await sink.update("fw-1", say(4, "reopened"))
        assert await sink.seen("fw-1") == [TicketSeen("fw-1", False)]
    assert told(asked) == ["POST "]


async def test_what_was_accepted_and_then_refused_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    ops = Ops()
    ops.became = {"isSuccess": False, "processedAt": LATER, "status": "Responder team t1 not found"}
    async with talking("jira_alert", ops, monkeypatch) as (sink, _):
        with pytest.raises(Fatal, match=r"then refused it: Responder team t1 not found \(check `responders`"):
            await sink.create(say())
        with pytest.raises(Retryable, match="lists no alert fw-1 yet"):
            await sink.update("fw-1", say(2, "updated"))
        assert await sink.seen("fw-1") == []


async def test_what_people_do_to_an_alert_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    ops = Ops("closed")
    ops.alerts[0]["report"] = {"closedBy": "ana@b.example", "acknowledgedBy": "ben@b.example"}
    ops.notes = [
        {"id": "1", "note": "was the disk", "owner": "ana@b.example", "createdAt": LATER},
        {"id": "2", "note": "[fw-1#2]\nx", "owner": "ana@b.example", "createdAt": LATER},
        {"id": "3", "note": "ours", "owner": "a@b.example", "createdAt": LATER},
        {"id": "4", "note": "before", "owner": "ana@b.example", "createdAt": "2026-01-01T09:00:00Z"},
    ]
    async with talking("jira_alert", ops, monkeypatch) as (sink, asked):
        assert await heard(sink, NOW) == [
            ("closed", "fw-1", "ana@b.example", "closed in Jira"),
            ("assigned", "fw-1", "ben@b.example", "ben@b.example"),
            ("commented", "fw-1", "ana@b.example", "was the disk"),
        ]
    assert f"tag: forewarn AND updatedAt >= {int(NOW * 1000)}" in unquote_plus(asked[0][0])


FOLLOWED: dict[str, tuple[dict[str, Any], Any, str]] = {
    "servicenow": ({"follow": ["urgency"]}, {"result": {"sys_id": "1", "state": "2"}}, "'urgency': '2'"),
    "jira": (
        {"follow": ["priority"], "mapping": {"priority": "{'name': 'P' + string(problem.level)}"}},
        {"key": "OPS-7"},
        "'fields': {'priority': {'name': 'P2'}}",
    ),
    "jira_alert": (
        {"follow": ["priority"], "mapping": {"priority": "'P1'"}},
        {"requestId": "r", "values": [{"id": "a1", "alias": "7", "status": "open", "priority": "P2"}]},
        "{'priority': 'P1'}",
    ),
    "zammad": (
        {"follow": ["priority"], "mapping": {"priority": "'3 high'"}},
        {"id": 7},
        "'priority': '3 high'",
    ),
    "glpi": ({"follow": ["urgency"]}, {"session_token": "s", "id": 7}, "{'input': {'urgency': 4}}"),
    "itop": ({"follow": ["urgency", "impact"]}, {"code": 0, "objects": {}}, "'urgency': '2', 'impact': '2'"),
}


@pytest.mark.parametrize("kind", FOLLOWED)
async def test_fields_that_follow_are_set_with_each_message_but_the_last(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, good, words = FOLLOWED[kind]
    async with talking(kind, lambda *_: (200, good), monkeypatch, **other) as (sink, asked):
        await sink.update("7", say(2, "updated"))
        assert words in str(asked)
    async with talking(kind, lambda *_: (200, good), monkeypatch) as (sink, asked):
        await sink.update("7", say(2, "updated"))
        assert words not in str(asked), "they are people's from then on"


def test_what_follows_has_to_be_given_by_something() -> None:
    kind = load("connectors", "servicenow", Sink)  # type: ignore[type-abstract]
    block = {"name": "itsm", "url": "https://itsm.example", **BLOCKS["servicenow"]}
    with pytest.raises(ValidationError, match=r"follow: u_risk is given by nothing.*urgency, impact"):
        kind.model_validate({**block, "follow": ["u_risk"]})
