"""What Forewarn posts is what its OpenAPI document says: messages of a real engine's bad hour, over HTTP."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from copy import deepcopy
from typing import Any, cast

import httpx
import jsonschema
import pytest
import pytest_asyncio

from aiops.engine.engine import Engine
from aiops.model.problem import NotifyReason
from aiops.plugin import Sink
from aiops.plugin.load import load
from aiops.testing import FakeClock
from aiops.web.app import create_app
from aiops.web.schema_ticket import TicketEvent
from tests.receiver import SECRET, Receiver, Request
from tests.world import config_in, running, token_of

pytestmark = pytest.mark.asyncio(loop_scope="module")
Document = dict[str, Any]
BASE = "http://127.0.0.1:8750"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def posted(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[list[Request], Document]]:
    """All that was posted, and the document of the engine that did it."""
    folder = tmp_path_factory.mktemp("hooks")
    (folder / "secret").write_text(SECRET)
    async with Receiver(signed=False).serve() as itsm:  # the world's clock is not the receiver's
        kind = load("connectors", "webhook", Sink)  # type: ignore[type-abstract]
        sink = kind.model_validate({"name": "itsm", "url": itsm.url, "secret": {"file": folder / "secret"}})
        logs = {"warm_up_lines": 100, "warm_up_time": 0}
        config = config_in(folder, sinks=[sink], routes=[{"to": "itsm"}], logs=logs)
        async with running(config, again=True) as engine:
            app = create_app(engine)
            transport = httpx.ASGITransport(app)
            token = {"Authorization": f"Bearer {await token_of(engine)}"}
            async with httpx.AsyncClient(transport=transport, base_url=BASE, headers=token) as api:
                await _people_act(api, {"Authorization": f"Bearer {await token_of(engine, 'bob')}"})
            await _told(engine, itsm)
            yield itsm.requests, app.openapi()


async def _people_act(api: httpx.AsyncClient, another: dict[str, str]) -> None:
    """What the world does not do by itself: let a run begin, tie problems, end one, take that back."""
    run = (await api.get("/api/v1/runs", params={"playbook": "restart-checkout"})).json()["items"][0]
    ident = run["problem_id"]
    await _post(api, f"/problems/{ident}/remediate", {"playbook": "restart-checkout"})
    waiting: list[dict[str, Any]] = []
    while not waiting:
        await asyncio.sleep(0.05)
        waiting = (await api.get("/api/v1/runs", params={"state": "awaiting_approval"})).json()["items"]
    approved = await api.post(f"/api/v1/runs/{waiting[0]['id']}/approve", headers=another)
    assert approved.status_code == 200, approved.text
    others = (await api.get("/api/v1/problems", params={"state": "open"})).json()["items"]
    other = next(one["id"] for one in others if one["id"] != ident)
    await _post(api, f"/problems/{ident}/link", {"other": other})
    await _post(api, f"/problems/{other}/escalate", {"note": "too big for one"})
    await _post(api, f"/problems/{other}/resolve", {"note": "more memory"})
    await _post(api, f"/problems/{other}/reopen", {})


async def _post(api: httpx.AsyncClient, path: str, body: dict[str, Any]) -> None:
    answer = await api.post(f"/api/v1{path}", json=body)
    assert answer.status_code in (200, 202), answer.text
    await asyncio.sleep(0.1)


async def _told(engine: Engine, itsm: Receiver) -> None:
    """Time passes until every kind of message came."""
    for _ in range(300):
        missing = set(NotifyReason) - {one.event["data"]["reason"] for one in itsm.requests}
        if not missing:
            return
        await cast(FakeClock, engine.clock).advance(1.0)
        await asyncio.sleep(0.02)
    raise AssertionError(f"never told: {missing}")


def closed(document: Document) -> Document:
    """The document's schemas, in which keys that are not named are refused."""
    parts = deepcopy(document["components"])
    for name, schema in parts["schemas"].items():
        if name.startswith("Ticket"):
            schema["additionalProperties"] = False
    return {"components": parts}


async def test_every_message_is_as_the_document_says(posted: tuple[list[Request], Document]) -> None:
    requests, document = posted
    for request in requests:
        webhook = document["webhooks"][f"problem.{request.event['data']['reason']}"]["post"]
        ((media, content),) = webhook["requestBody"]["content"].items()
        assert request.headers["content-type"].partition(";")[0] == media
        jsonschema.Draft202012Validator(closed(document) | content["schema"]).validate(request.event)
        TicketEvent.model_validate_json(request.body)
        names = {one["name"] for one in webhook["parameters"] if one["required"]}
        assert names == {"webhook-id", "webhook-timestamp", "webhook-signature"}
        assert names <= set(request.headers)


async def test_the_messages_show_all_that_the_document_tells_of(
    posted: tuple[list[Request], Document],
) -> None:
    """A schema of parts that never come would pass for anything."""
    bodies = [request.event["data"] for request in posted[0]]
    for part in ("cause", "approval", "breach", "breached", "resolved", "escalation", "evidence", "timeline"):
        assert any(body[part] for body in bodies), part
    for part in ("related", "similar", "plots"):
        assert any(body[part] for body in bodies), part
    assert any(one["log"] for body in bodies for one in body["evidence"])
    assert any(body["links"].get("approval") for body in bodies)
    assert any("ticket" in body for body in bodies)
    assert any("ticket" not in body for body in bodies)


async def test_the_signature_is_made_as_the_document_says(posted: tuple[list[Request], Document]) -> None:
    for request in posted[0]:
        ident, at = request.headers["webhook-id"], int(request.headers["webhook-timestamp"])
        signed = f"{ident}.{at}.{request.body.decode()}".encode()
        key = base64.b64decode(SECRET.removeprefix("whsec_"))
        mac = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        assert request.headers["webhook-signature"] == f"v1,{mac}"


async def test_a_message_that_says_less_or_more_is_refused(posted: tuple[list[Request], Document]) -> None:
    requests, document = posted
    schema = closed(document) | {"$ref": "#/components/schemas/TicketEvent"}
    validator = jsonschema.Draft202012Validator(schema)
    event = requests[0].event
    less = event | {"data": {name: value for name, value in event["data"].items() if name != "severity"}}
    for wrong in (less, event | {"type": "dev.forewarn.problem.lost"}, event | {"more": 1}):
        assert not validator.is_valid(json.loads(json.dumps(wrong)))
