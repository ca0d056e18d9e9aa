"""Webhooks of ticket systems: each proves itself in its own way, and is taken for what it says."""

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest

from aiops.plugin import Fatal, Unproven
from aiops.plugin.load import load
from aiops.plugin.sink import Sink
from tests.itsm_stub import BLOCKS, SECRET_REF
from tests.receiver import SECRET

NOW = 1_767_261_600.0


def signer(kind: str, body: bytes, at: float = NOW) -> dict[str, str]:
    """As each system signs with our test's secret."""
    key = SECRET.encode()
    match kind:
        case "jira":
            return {"x-hub-signature": "sha256=" + hmac.new(key, body, hashlib.sha256).hexdigest()}
        case "zammad":
            return {"x-hub-signature": "sha1=" + hmac.new(key, body, hashlib.sha1).hexdigest()}
        case "pagerduty":
            return {"x-pagerduty-signature": "v1=00,v1=" + hmac.new(key, body, hashlib.sha256).hexdigest()}
        case "glpi":
            stamp = str(int(at))
            mac = hmac.new(key, body + stamp.encode(), hashlib.sha256).hexdigest()
            return {"x-glpi-timestamp": stamp, "x-glpi-signature": mac}
        case "itop":
            return {"authorization": f"Bearer {SECRET}"}
    stamp = str(int(at))
    mac = hmac.digest(
        base64.b64decode(SECRET.removeprefix("whsec_")), f"m-1.{stamp}.".encode() + body, hashlib.sha256
    )
    good = f"v1,{base64.b64encode(mac).decode()}"
    return {"webhook-id": "m-1", "webhook-timestamp": stamp, "webhook-signature": good}


def a_sink(kind: str, monkeypatch: pytest.MonkeyPatch, **other: Any) -> Sink:
    monkeypatch.setenv("ITSM_SECRET", SECRET)
    block = {"name": "itsm", "url": "http://127.0.0.1:1", "hook_secret": SECRET_REF, **BLOCKS[kind], **other}
    return load("connectors", kind, Sink).model_validate(block)  # type: ignore[type-abstract]


HEARS = ["servicenow", "jira", "zammad", "glpi", "itop"]


@pytest.mark.parametrize("kind", HEARS)
async def test_a_knock_is_heard_only_when_it_is_proven(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sink, body = a_sink(kind, monkeypatch), b'{"issue": 7}'
    good = signer(kind, body)
    assert await sink.hear(good, body, NOW) == []
    with pytest.raises(Unproven, match=r"is missing|is no number"):
        await sink.hear({}, body, NOW)
    wrong = {name: value[:-3] + "000" for name, value in good.items()}
    with pytest.raises(Unproven):
        await sink.hear(wrong, body, NOW)
    if kind != "itop":
        with pytest.raises(Unproven, match="does not fit"):
            await sink.hear(good, body + b" ", NOW)
    if kind in ("servicenow", "glpi"):
        with pytest.raises(Unproven, match="set the clocks"):
            await sink.hear(good, body, NOW + 301)
    without = a_sink(kind, monkeypatch, hook_secret=None)
    with pytest.raises(Fatal, match="give `hook_secret` to take webhooks"):
        await without.hear(good, body, NOW)


def paged(kind: str, agent: str = "user_reference", key: str = "fw-1") -> bytes:
    data = {"id": "P1", "number": 12, "incident_key": key, "assignees": [{"summary": "Ben"}]}
    event = {
        "id": "e-1",
        "event_type": f"incident.{kind}",
        "occurred_at": "2026-01-01T10:00:00Z",
        "data": data,
    }
    return json.dumps({"event": {**event, "agent": {"type": agent, "summary": "Ana"}}}).encode()


async def test_pagerduty_tells_what_people_do_and_not_what_we_did(monkeypatch: pytest.MonkeyPatch) -> None:
    sink = a_sink("pagerduty", monkeypatch)

    async def hear(body: bytes) -> list[tuple[str, str, str, str, str]]:
        found = await sink.hear(signer("pagerduty", body), body, NOW)
        return [(c.kind, c.ref, c.by, c.text, c.id) for c in found]

    assert await hear(paged("resolved")) == [("closed", "fw-1", "Ana", "12 in PagerDuty", "pd-e-1")]
    assert (await hear(paged("reassigned")))[0][3] == "Ben"
    assert (await hear(paged("acknowledged")))[0][3] == "Ana"
    assert await hear(paged("resolved", "inbound_integration_reference")) == [], "that was us"
    assert await hear(paged("resolved", key="other")) == []
    with pytest.raises(Unproven):
        await sink.hear({"x-pagerduty-signature": "v1=00"}, paged("resolved"), NOW)


async def test_a_webhook_tells_one_change_by_its_id(monkeypatch: pytest.MonkeyPatch) -> None:
    sink = a_sink("webhook", monkeypatch)
    told = {"ticket": 7, "change": "closed", "by": "ana", "text": "fixed", "at": "2026-01-01T10:00:00Z"}
    for sent in (told, {"specversion": "1.0", "data": told}):
        body = json.dumps(sent).encode()
        (change,) = await sink.hear(signer("webhook", body), body, NOW + 9)
        assert (change.ref, change.kind, change.at, change.id) == ("7", "closed", NOW, "m-1")
    body = json.dumps({**told, "change": "eaten"}).encode()
    with pytest.raises(Fatal, match="one of closed, reopened, commented, assigned"):
        await sink.hear(signer("webhook", body), body, NOW)
