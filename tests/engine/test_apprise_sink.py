"""The sink `apprise`, through the library itself, to a real HTTP server."""

import json

import pytest

from aiops.plugin import Fatal, Message, Retryable, Sink, egress
from aiops.plugin.load import load
from tests.receiver import Receiver

BODY = {"title": "Disk fills", "summary": "It fills.", "severity": "major"}


def a_sink(address: str, monkeypatch: pytest.MonkeyPatch) -> Sink:
    monkeypatch.setenv("APPRISE_URL", address)
    block = {"address": {"env": "APPRISE_URL"}, "timeout": 5}
    return load("connectors", "apprise", Sink).model_validate(block)  # type: ignore[type-abstract]


def say(reason: str = "opened") -> Message:
    return Message("m-1", "fw-1", reason, 1.0, BODY, 1, 1.0)


async def test_a_notification_with_its_severity_and_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Receiver(answer=lambda _r: (200, {}, b""), signed=False).serve() as server:
        sink = a_sink(f"json://user:pass@127.0.0.1:{server.port}/hook", monkeypatch)
        assert (await sink.create(say())).ref == "fw-1"
        await sink.update("fw-1", say("resolved"))
    first, last = (json.loads(request.body) for request in server.requests)
    assert (first["title"], first["type"], last["type"]) == ("Disk fills", "failure", "success")
    assert first["message"].endswith("[fw-1#1]")


async def test_a_refusal_is_tried_again_and_shows_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Receiver(answer=lambda _r: (403, {}, b"no"), signed=False).serve() as server:
        sink = a_sink(f"json://user:hunter2@127.0.0.1:{server.port}/hook", monkeypatch)
        with pytest.raises(Retryable, match=r"not sent: .*check the service's address, token") as caught:
            await sink.create(say())
    assert "hunter2" not in str(caught.value)
    with pytest.raises(Fatal, match="knows no service"):
        await a_sink("nosuch://x", monkeypatch).create(say())


async def test_it_is_held_to_egress(monkeypatch: pytest.MonkeyPatch) -> None:
    before = egress.ruling()
    egress.rule(egress.Egress(allow=["public"]))
    try:
        async with Receiver(answer=lambda _r: (200, {}, b""), signed=False).serve() as server:
            with pytest.raises(Fatal, match=r"not among `egress: \{allow"):
                await a_sink(f"json://127.0.0.1:{server.port}/", monkeypatch).create(say())
        assert server.requests == []
    finally:
        egress.rule(before)
