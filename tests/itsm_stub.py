"""Stand-ins of ticket systems that cannot run here, from their documentation; what they are asked is kept."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs

import pytest

from aiops.plugin import Message, Sink
from aiops.plugin.load import load
from tests.receiver import SECRET, Receiver, Request

Reply = Callable[[str, Any], tuple[int, Any]]
"""``(method and path, JSON body or None) -> status, JSON or bytes``."""

SECRET_REF = {"env": "ITSM_SECRET"}


def _read(request: Request) -> Any:
    """The JSON that was sent; of a form, its one field of JSON."""
    if not request.body:
        return None
    if "form" in request.headers.get("content-type", ""):
        return json.loads(parse_qs(request.body.decode())["json_data"][0])
    return json.loads(request.body)


BLOCKS: dict[str, dict[str, Any]] = {
    "servicenow": {"user": "forewarn", "password": SECRET_REF},
    "jira": {"user": "a@b.example", "token": SECRET_REF, "project": "OPS"},
    "jira_alert": {"user": "a@b.example", "token": SECRET_REF, "cloud": "c1"},
    "pagerduty": {"routing_key": SECRET_REF},
    "slack": {"token": SECRET_REF, "channel": "C1"},
    "teams": {"signature": SECRET_REF},
    "glpi": {"user_token": SECRET_REF},
    "itop": {"user": "forewarn", "password": SECRET_REF, "org": "Demo"},
    "servicenow_event": {"user": "forewarn", "password": SECRET_REF},
    "webhook": {"secret": SECRET_REF},
    "zammad": {"token": SECRET_REF, "group": "Operations", "customer": "ops@b.example"},
}


def say(seq: int = 1, reason: str = "opened", attempt: int = 1) -> Message:
    body = {
        "title": "Disk of db-1 fills",
        "summary": "It fills.\n\nEvidence:\n- 93 % <used> & rising",
        "severity": "major",
        "why": "severity raised",
        "links": {"problem": "http://127.0.0.1:8750/problems/1"},
    }
    return Message(f"m-{seq}", "fw-1", reason, 1_767_225_600.0, body, seq, 1_767_225_600.0, attempt)


@asynccontextmanager
async def talking(
    kind: str, reply: Reply, monkeypatch: pytest.MonkeyPatch, path: str = "", **other: Any
) -> AsyncIterator[tuple[Sink, list[tuple[str, Any]]]]:
    """The sink, and what it asks: ``(method and path, JSON body or None)``."""
    monkeypatch.setenv("ITSM_SECRET", SECRET)
    asked: list[tuple[str, Any]] = []

    def answer(request: Request) -> tuple[int, dict[str, str], bytes]:
        line = request.line.rpartition(" ")[0]
        sent = _read(request)
        asked.append((line, sent))
        status, said = reply(line, sent)
        return status, {}, said if isinstance(said, bytes) else json.dumps(said).encode()

    receiver = Receiver(answer=answer, signed=False)
    async with receiver.serve():
        url = f"http://127.0.0.1:{receiver.port}{path}"
        block = {"name": "itsm", "url": url, **BLOCKS[kind], **other}
        sink = load("connectors", kind, Sink).model_validate(block)  # type: ignore[type-abstract]
        yield sink, asked
        await sink.close()


async def heard(sink: Sink, since: float = 0.0) -> list[tuple[str, str, str, str]]:
    """``(kind, ref, by, text)`` of what people did, in the order in which it is told."""
    return [(c.kind, c.ref, c.by, c.text) async for c in sink.changes(since)]
