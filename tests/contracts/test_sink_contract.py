"""What every kind of sink must do. Kinds are found by themselves; a new one needs no line here.

Each is built from its own fields: `url` is a misbehaving server's, secrets come from the environment, other
required fields are taken from `NEEDS` where a guess will not do.
"""

import asyncio
import copy
import importlib
import inspect
import json
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import unquote_plus

import pytest
from pydantic import ValidationError

from aiops.plugin import Fatal, Message, NotConnected, PluginError, Retryable, Secret, Sink, TicketRef
from aiops.plugin.http import HttpSink
from aiops.plugin.load import kinds, load
from tests.database import free_port
from tests.receiver import SECRET, Fault, Receiver

NEEDS: dict[str, dict[str, Any]] = {
    "email": {"host": "127.0.0.1", "sender": "forewarn@example.org", "to": ["ops@example.org"]},
}
"""Kind -> required fields whose values cannot be guessed from their types."""

GOOD: dict[str, dict[str, Any]] = {
    "request_tracker": {"id": "7", "TicketCustomFields": [{"name": "ForewarnKey"}], "Status": "resolved"},
    "jira": {"key": "OPS-7", "fields": {"status": {"statusCategory": {"key": "done"}}}},
    "jira_alert": {
        "requestId": "r1",
        "isSuccess": True,
        "values": [{"id": "a1", "alias": "T-1", "status": "open", "createdAt": "2026-01-01T10:00:00Z"}],
    },
    "servicenow": {"result": {"sys_id": "9d38", "number": "INC0010001"}},
    "slack": {"ok": True, "ts": "1767225600.000100"},
    "zammad": {"id": 7, "forewarn_key": "fw-1"},
    "roundup": {"data": {"id": "7", "attributes": {"messages": []}, "collection": []}},
    "glpi": {"session_token": "s", "id": 7, "status": 5, "totalcount": 0},
    "itop": {"code": 0, "message": "", "objects": {"Incident::7": {"code": 0, "key": "7", "fields": {}}}},
}
"""Kind -> a JSON object that says yes to whatever it asks; `{"ref": ...}` for the others."""

IMPATIENCE = 0.4
"""Seconds: the timeout that sinks are given where an answer never comes."""


def _sinks() -> list[str]:
    found = []
    for kind, module in kinds("connectors").items():
        classes = vars(importlib.import_module(module.partition(":")[0])).values()
        if any(inspect.isclass(c) and issubclass(c, Sink) and c.__module__ == module for c in classes):
            found.append(kind)
    return found


def a_class(kind: str) -> type[Sink]:
    return load("connectors", kind, Sink)  # type: ignore[type-abstract]


SINKS = _sinks()
BY_HTTP = [kind for kind in SINKS if issubclass(a_class(kind), HttpSink)]
"""The others talk in ways of their own, and have tests of their own for them."""


def block(kind: str, url: str, timeout: float = 10.0) -> dict[str, Any]:
    """A configuration of `kind` that talks to `url`."""
    made: dict[str, Any] = {"name": "under test", **NEEDS.get(kind, {})}
    for name, field in a_class(kind).model_fields.items():
        if name in made:
            continue
        if name == "url":
            made[name] = url
        elif name == "timeout":
            made[name] = timeout
        elif field.is_required():
            made[name] = {"env": "SINK_SECRET"} if field.annotation is Secret else "x"
    return made


def a_message(**other: Any) -> Message:
    body = {"version": 1, "title": "disk fills", "summary": "It fills.", "severity": "major", "labels": {}}
    fields = {"id": "msg_1", "key": "fw-1", "reason": "opened", "at": time.time(), "body": body}
    return Message(**{**fields, "sent_at": time.time(), **other})


@pytest.fixture(params=BY_HTTP)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("SINK_SECRET", SECRET)
    return str(request.param)


@pytest.fixture(params=SINKS)
def any_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@asynccontextmanager
async def talking_to(kind: str, itsm: Receiver, patience: float = 10.0) -> AsyncIterator[Sink]:
    async with itsm.serve():
        sink = a_class(kind).model_validate(block(kind, itsm.url, patience))
        try:
            yield sink
        finally:
            await sink.close()


def misbehaving(fault: Fault) -> Receiver:
    return Receiver(fault=lambda _request: fault, late_by=5.0, signed=False)


def answering(status: int, body: bytes, **headers: str) -> Receiver:
    return Receiver(answer=lambda _request: (status, headers, body), signed=False)


def content(kind: str) -> Receiver:
    """A server that says yes."""
    return answering(200, json.dumps(GOOD.get(kind, {"ref": "T-1"})).encode())


async def _create(sink: Sink) -> object:
    return await sink.create(a_message())


async def _update(sink: Sink) -> object:
    await sink.update("T-1", a_message(reason="resolved", seq=2))
    return None


async def _find(sink: Sink) -> object:
    return await sink.find("fw-1")


Call = Callable[[Sink], Any]
SAYS = pytest.mark.parametrize("call", [_create, _update])
ASKS = pytest.mark.parametrize("call", [_create, _update, _find])


def test_there_is_at_least_one_sink() -> None:
    assert "webhook" in SINKS


def test_every_key_is_documented(any_kind: str) -> None:
    found = a_class(any_kind)
    assert found.kind == any_kind
    assert (found.__doc__ or "").strip()
    undocumented = [name for name, field in found.model_fields.items() if not field.description]
    assert undocumented == []


def test_unknown_keys_and_secrets_in_plain_text_are_refused(any_kind: str) -> None:
    good, found = block(any_kind, "http://127.0.0.1:1/"), a_class(any_kind)
    found.model_validate(good)
    with pytest.raises(ValidationError, match="Extra inputs"):
        found.model_validate({**good, "no_such_key": 1})
    for name, field in found.model_fields.items():
        if "Secret" in str(field.annotation):
            with pytest.raises(ValidationError, match="by reference"):
                found.model_validate({**good, name: "hunter2"})


async def test_a_sink_may_be_closed_unused_twice_and_used_again(kind: str) -> None:
    async with talking_to(kind, content(kind)) as sink:
        await sink.close()
        await sink.close()
        assert isinstance(await sink.create(a_message()), TicketRef)
        await sink.close()
        await sink.update("T-1", a_message(id="msg_2", reason="updated", seq=2))


async def test_create_names_the_ticket_and_leaves_the_message_as_it_was(kind: str) -> None:
    message = a_message()
    before = copy.deepcopy(message)
    async with talking_to(kind, content(kind)) as sink:
        ticket = await sink.create(message)
    assert ticket.ref
    assert message == before


async def test_a_ticket_that_is_opened_anew_can_be_found(kind: str) -> None:
    """Opened by a later message, when people deleted the first: it bears what `find` looks for."""
    mark, itsm = "[fw-1#1]", content(kind)
    async with talking_to(kind, itsm) as sink:
        with suppress(PluginError):
            await sink.find("fw-1")
        if not any(mark in unquote_plus(one.line + one.body.decode()) for one in itsm.requests):
            pytest.skip("it is not found by its first message")
        itsm.requests.clear()
        with suppress(PluginError):
            await sink.create(a_message(seq=5))
    said = [unquote_plus(one.body.decode()) for one in itsm.requests if one.body]
    assert any(mark in text for text in said)


@ASKS
async def test_nobody_there(kind: str, call: Call) -> None:
    if call is _find and a_class(kind).find is Sink.find:
        pytest.skip("it cannot search")
    sink = a_class(kind).model_validate(block(kind, f"http://127.0.0.1:{free_port()}/"))
    with pytest.raises(NotConnected):
        await call(sink)
    await sink.close()


@SAYS
@pytest.mark.parametrize("fault", [Fault.BUSY, Fault.TOO_MANY])
async def test_a_busy_server_is_tried_again_and_has_done_nothing(kind: str, call: Call, fault: Fault) -> None:
    async with talking_to(kind, misbehaving(fault)) as sink:
        with pytest.raises(Retryable) as caught:
            await call(sink)
    assert not caught.value.ambiguous
    assert caught.value.after == (1.0 if fault is Fault.TOO_MANY else None)


@SAYS
@pytest.mark.parametrize("fault", [Fault.LOST, Fault.LATE, Fault.BROKEN])
async def test_a_lost_answer_is_ambiguous_and_is_not_waited_for_long(
    kind: str, call: Call, fault: Fault
) -> None:
    patience = IMPATIENCE if fault is Fault.LATE else 10.0
    async with talking_to(kind, misbehaving(fault), patience) as sink, asyncio.timeout(4.5):
        with pytest.raises(Retryable) as caught:
            await call(sink)
    assert caught.value.ambiguous


@SAYS
@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 413, 422])
async def test_a_refusal_is_fatal_and_quotes_the_server(kind: str, call: Call, status: int) -> None:
    async with talking_to(kind, answering(status, b"queue is locked")) as sink:
        with pytest.raises(Fatal, match=rf"{status}.*queue is locked"):
            await call(sink)


@ASKS
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<html>log in</html>"),
        (200, b""),
        (200, b"[]"),
        (200, b'{"a": '),
        (204, b""),
        (200, b"\xff\xfe"),
    ],
)
async def test_odd_answers_raise_nothing_but_what_the_engine_understands(
    kind: str, call: Call, status: int, body: bytes
) -> None:
    async with talking_to(kind, answering(status, body)) as sink:
        try:
            got = await call(sink)
        except PluginError:
            return
    assert got is None or (isinstance(got, TicketRef) and got.ref)


@SAYS
async def test_no_error_shows_a_secret_that_the_server_echoes(kind: str, call: Call) -> None:
    if not any("Secret" in str(field.annotation) for field in a_class(kind).model_fields.values()):
        pytest.skip("it has no secret")
    itsm = Receiver(answer=lambda r: (400, {}, f"{SECRET} {SECRET[6:]} {r.headers}".encode()), signed=False)
    async with talking_to(kind, itsm) as sink:
        with pytest.raises(Fatal) as caught:
            await call(sink)
    assert SECRET[6:] not in str(caught.value)
    assert b64encode(b"x:" + SECRET.encode()).decode()[:40] not in str(caught.value)
    assert SECRET[6:] not in repr(sink)


async def test_changes_of_a_sink_that_reports_none_are_none(kind: str) -> None:
    async with talking_to(kind, content(kind)) as sink:
        if a_class(kind).changes is not Sink.changes:
            pytest.skip("it reports changes: its own test covers them")
        assert [one async for one in sink.changes(0.0)] == []
