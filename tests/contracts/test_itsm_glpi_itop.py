"""GLPI and iTop, against stand-ins built from their documentation, odd answers included: simulated."""

from typing import Any
from urllib.parse import unquote

import pytest

from aiops.plugin import Fatal, Retryable
from tests.itsm_stub import heard, say, talking

THEN = "2026-01-01 10:00:00"


class GlpiServer:
    """A session may end at any time; an update that is refused is answered 200 with false."""

    def __init__(self) -> None:
        self.sessions, self.ended = 0, False
        self.tickets: list[dict[str, Any]] = []
        self.followups: list[dict[str, Any]] = []
        self.log: list[dict[str, Any]] = []
        self.refuses = False

    def __call__(self, line: str, sent: Any) -> tuple[int, Any]:
        if "/initSession" in line:
            self.sessions, self.ended = self.sessions + 1, False
            return 200, {"session_token": f"s{self.sessions}"}
        if self.ended:
            return 401, ["ERROR_SESSION_TOKEN_INVALID", "session_token seems invalid"]
        if "/getFullSession" in line:
            return 200, {"session": {"glpiID": 6, "glpiname": "forewarn"}}
        if "/search/Ticket" in line:
            found = [t for t in self.tickets if self._matches(unquote(line), t)]
            rows = [{"2": t["id"], "1": t["name"]} for t in found]
            return 200, {"totalcount": len(found), "count": len(found), **({"data": rows} if rows else {})}
        if line.endswith("/ITILFollowup"):
            self.followups.append({"id": len(self.followups) + 1, **sent["input"]})
            return 201, {"id": len(self.followups), "message": ""}
        if "/ITILFollowup" in line:
            return 200, self.followups
        if "/Log" in line:
            return 200, self.log
        if line.startswith("POST"):
            self.tickets.append({"id": len(self.tickets) + 7, "status": 1, **sent["input"]})
            return 201, {"id": self.tickets[-1]["id"], "message": ""}
        if line.startswith("PUT") and not self.refuses:
            self.tickets[0] |= sent["input"]
        if line.startswith("PUT"):
            return 200, [
                {"7": not self.refuses, "message": "You don't have permission" if self.refuses else ""}
            ]
        return 200, self.tickets[0]

    def _matches(self, line: str, ticket: dict[str, Any]) -> bool:
        return "[fw-1#1]" in ticket["content"] and ("[fw-1#1]" in line or "=[fw-" in line)


async def test_glpi_ticket_followup_and_solution_each_once(monkeypatch: pytest.MonkeyPatch) -> None:
    server = GlpiServer()
    mapping = {"itilcategories_id": "problem.level >= level.major ? 4 : 1"}
    async with talking("glpi", server, monkeypatch, "/apirest.php", mapping=mapping) as (sink, _):
        assert await sink.find("fw-1") is None
        ticket = await sink.create(say())
        assert await sink.find("fw-1") == ticket
        await sink.update(ticket.ref, say(2, "updated"))
        await sink.update(ticket.ref, say(2, "updated", attempt=2))
        await sink.update(ticket.ref, say(3, "resolved"))
        await sink.update(ticket.ref, say(3, "resolved", attempt=2))
    assert ticket.url.endswith("/front/ticket.form.php?id=7")
    assert (server.tickets[0]["itilcategories_id"], server.tickets[0]["urgency"]) == (4, 4)
    assert "93 % &lt;used&gt; &amp; rising" in server.tickets[0]["content"], "GLPI takes HTML"
    assert [one["content"][:14] for one in server.followups] == ["<p>[fw-1#2]</p", "<p>[fw-1#3]</p"]
    assert (server.tickets[0]["status"], server.sessions) == (5, 1)


async def test_glpi_session_that_ended_is_opened_anew_once(monkeypatch: pytest.MonkeyPatch) -> None:
    server = GlpiServer()
    async with talking("glpi", server, monkeypatch) as (sink, _):
        await sink.create(say())
        server.ended = True
        await sink.update("7", say(2, "updated"))
    assert (server.sessions, len(server.followups)) == (2, 1)
    gone = (401, ["ERROR_GLPI_LOGIN_USER_TOKEN", "parameter user_token seems invalid"])
    async with talking("glpi", lambda *_: gone, monkeypatch) as (sink, asked):
        with pytest.raises(Fatal, match=r"user_token seems invalid.*check `user_token`"):
            await sink.create(say())
    assert len(asked) == 1, "no hammering"


async def test_glpi_refusal_that_answers_200_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    server = GlpiServer()
    async with talking("glpi", server, monkeypatch) as (sink, _):
        await sink.create(say())
        server.refuses = True
        with pytest.raises(Fatal, match="refused status 5 of 7: You don't have permission"):
            await sink.update("7", say(2, "resolved"))


async def test_glpi_changes_by_people_and_not_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    server = GlpiServer()

    def log(number: int, who: str, option: int, old: str, new: str) -> dict[str, Any]:
        what = {"id_search_option": option, "old_value": old, "new_value": new}
        return {"id": number, "user_name": who, "date_mod": THEN, **what}

    server.log = [
        log(5, "ana (2)", 12, "2", "6"),
        log(4, "forewarn (6)", 12, "1", "5"),
        log(3, "ana (2)", 5, "", "ben (9)"),
        log(2, "", 12, "1", "2"),
        log(1, "ana (2)", 12, "6", "2"),
    ]
    async with talking("glpi", server, monkeypatch, timezone="Europe/Berlin") as (sink, _):
        await sink.create(say())
        server.followups = [
            {"id": 1, "users_id": 6, "date": THEN, "content": "&#60;p&#62;[fw-1#2]&#60;/p&#62;"},
            {"id": 2, "users_id": 2, "date": THEN, "content": "<p>the <b>disk</b><br>was full</p>"},
        ]
        changes = [one async for one in sink.changes(0.0)]
        assert await heard(sink, changes[0].at + 1) == []
    assert [(c.kind, c.by, c.text) for c in changes] == [
        ("closed", "ana (2)", "status 2 to 6 in GLPI"),
        ("assigned", "ana (2)", "ben"),
        ("reopened", "ana (2)", "status 6 to 2 in GLPI"),
        ("commented", "user 2", "the disk\nwas full"),
    ]
    assert len({c.id for c in changes}) == 4
    assert changes[0].at == 1_767_258_000.0, "10:00 in Berlin is 9:00 UTC"


class ItopServer:
    """Answers everything 200; only an assigned ticket can be resolved."""

    def __init__(self) -> None:
        self.ticket: dict[str, Any] = {}
        self.entries: list[dict[str, Any]] = []
        self.history: dict[str, dict[str, Any]] = {}
        self.done: list[str] = []

    def __call__(self, line: str, sent: Any) -> tuple[int, Any]:
        match sent["operation"]:
            case "core/create":
                self.ticket = {**sent["fields"], "status": "new"}
            case "core/update":
                item = sent["fields"]["private_log"]["add_item"]
                self.entries.insert(0, {"user_login": "forewarn", "date": THEN, **item})
            case "core/apply_stimulus":
                steps = {("new", "ev_assign"): "assigned", ("assigned", "ev_resolve"): "resolved"}
                steps[("resolved", "ev_reopen")] = "assigned"
                step = (self.ticket["status"], sent["stimulus"])
                if step not in steps:
                    return 200, {"code": 100, "message": f"Error: Invalid stimulus: '{sent['stimulus']}'"}
                self.ticket["status"] = steps[step]
                self.done.append(sent["stimulus"])
            case "core/get":
                return 200, {"code": 0, "message": "", "objects": self._found(sent)}
        return 200, {"code": 0, "message": "created", "objects": {"Incident::12": self._object("12", {})}}

    def _found(self, sent: Any) -> Any:
        if sent["class"] != "Incident":
            return {f"Op::{k}": {**self._object(k, v)} for k, v in self.history.items()}
        if not self.ticket:
            return None
        fields = {"status": self.ticket["status"], "agent_id_friendlyname": "Ben"}
        return {"Incident::12": self._object("12", {**fields, "private_log": {"entries": self.entries}})}

    def _object(self, key: str, fields: dict[str, Any]) -> dict[str, Any]:
        return {"code": 0, "message": "", "class": "Incident", "key": key, "fields": fields}


async def test_itop_ticket_log_and_life_cycle(monkeypatch: pytest.MonkeyPatch) -> None:
    server = ItopServer()
    assign = {"team_id": {"name": "Ops"}}
    async with talking("itop", server, monkeypatch, assign=assign) as (sink, asked):
        assert await sink.find("fw-1") is None
        ticket = await sink.create(say())
        assert await sink.find("fw-1") == ticket
        await sink.update("12", say(2, "updated"))
        await sink.update("12", say(2, "updated", attempt=2))
        await sink.update("12", say(3, "resolved"))
        await sink.update("12", say(3, "resolved", attempt=2))
        await sink.update("12", say(4, "reopened"))
    assert asked[0][0] == "POST /webservices/rest.php?version=1.3"
    assert server.ticket["org_id"] == "SELECT Organization WHERE name = 'Demo'"
    assert [one["message"].split("\n")[0] for one in server.entries] == ["[fw-1#4]", "[fw-1#3]", "[fw-1#2]"]
    assert server.done == ["ev_assign", "ev_resolve", "ev_reopen"]


async def test_itop_refusals_answer_200(monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, Any] = {"code": 1, "message": "Error: Invalid login"}
    async with talking("itop", lambda *_: (200, told), monkeypatch) as (sink, asked):
        with pytest.raises(Fatal, match=r"Invalid login \(check `user` and `password`"):
            await sink.create(say())
        told |= {"code": 100, "message": "Error: org_id: No item found"}
        with pytest.raises(Fatal, match="No item found"):
            await sink.create(say())
        told.clear()
        with pytest.raises(Retryable, match="without `code`"):
            await sink.create(say())
    assert len(asked) == 3
    server = ItopServer()
    async with talking("itop", server, monkeypatch) as (sink, _):
        await sink.create(say())
        with pytest.raises(Fatal, match=r"Invalid stimulus: 'ev_resolve' .*check .*`assign`"):
            await sink.update("12", say(2, "resolved"))


async def test_itop_changes_by_people_and_not_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    server = ItopServer()

    def moved(who: str, code: str, old: str, new: str) -> dict[str, Any]:
        what = {"attcode": code, "oldvalue": old, "newvalue": new}
        return {"objkey": "12", "date": THEN, "userinfo": who, **what}

    server.history = {
        "1": moved("ana", "status", "assigned", "resolved"),
        "2": moved("forewarn", "status", "assigned", "resolved"),
        "3": moved("ana", "agent_id", "0", "9"),
        "4": moved("robot", "status", "resolved", "assigned"),
    }
    async with talking("itop", server, monkeypatch, ignore=["robot"]) as (sink, _):
        assert await heard(sink) == [], "nothing of ours: nothing is asked for"
        await sink.create(say())
        await sink.update("12", say(2, "updated"))
        server.entries.insert(0, {"user_login": "ana", "date": THEN, "message": "<p>see &amp; fix</p>"})
        assert await heard(sink) == [
            ("closed", "12", "ana", "assigned to resolved in iTop"),
            ("assigned", "12", "ana", "Ben"),
            ("commented", "12", "ana", "see & fix"),
        ]
