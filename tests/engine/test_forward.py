"""What an engine that stands by does with a request: itself, through the leader, or not now."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from aiops.engine.forward import Forward


@dataclass
class Side:
    leads: bool = False
    leader_url: str = ""


async def own(request: Request) -> Response:
    return PlainTextResponse(f"own {request.url.path}")


def standby(side: Side) -> httpx.AsyncClient:
    every = ["GET", "HEAD", "POST"]
    app = Starlette(routes=[Route("/{path:path}", own, methods=every)])
    transport = httpx.ASGITransport(Forward(app, side))
    return httpx.AsyncClient(transport=transport, base_url="http://standby")


@dataclass
class Leader:
    """A real server that repeats what it was asked."""

    url: str = ""
    asked: bytes = b""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        body = b""
        if b"transfer-encoding: chunked" in head.lower():
            while not body.endswith(b"0\r\n\r\n"):
                body += await reader.read(4096)
        elif b"content-length" in head.lower():
            body = await reader.read(4096)
        self.asked = head + body
        writer.write(b"HTTP/1.1 201 Created\r\nX-Said: leader\r\nContent-Length: 3\r\n\r\nyes")
        await writer.drain()
        writer.close()


@pytest.fixture
async def leader() -> AsyncIterator[Leader]:
    made = Leader()
    server = await asyncio.start_server(made.answer, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield made
    server.close()


async def test_a_leader_answers_all_by_itself() -> None:
    async with standby(Side(leads=True, leader_url="http://127.0.0.1:1")) as http:
        assert (await http.post("/api/v1/silences")).text == "own /api/v1/silences"


async def test_a_standby_passes_on_whole_requests_and_answers(leader: Leader) -> None:
    async with standby(Side(leader_url=leader.url)) as http:
        answer = await http.post(
            "/api/v1/x%2Fy?a=1&b=%20", content=b"hello", headers={"Authorization": "Bearer t"}
        )
    assert (answer.status_code, answer.text, answer.headers["x-said"]) == (201, "yes", "leader")
    head, _, body = leader.asked.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /api/v1/x%2Fy?a=1&b=%20 HTTP/1.1")
    assert b"hello" in body
    for kept in (b"authorization: Bearer t", b"host: standby", b"forewarn-forwarded: 1"):
        assert kept.lower() in head.lower()


@pytest.mark.parametrize("path", ["/-/ready", "/-/healthy", "/metrics", "/static/app.js"])
async def test_its_own_health_it_tells_itself(leader: Leader, path: str) -> None:
    async with standby(Side(leader_url=leader.url)) as http:
        assert (await http.get(path)).text == f"own {path}"
    assert leader.asked == b""


@pytest.mark.parametrize("url", ["", "http://127.0.0.1:1"])
async def test_while_nobody_leads_it_reads_the_store_and_refuses_the_rest_for_a_while(url: str) -> None:
    async with standby(Side(leader_url=url)) as http:
        assert (await http.get("/api/v1/problems")).text == "own /api/v1/problems"
        for refused in (
            await http.post("/api/v1/problems/1/resolve", json={}),
            await http.get("/api/v1/series"),
            await http.post("/receive/push/api/v1/write", content=b"x"),
        ):
            assert refused.status_code == 503
            assert refused.headers["retry-after"] == "2"
            assert refused.headers["content-type"] == "application/problem+json"
            assert json.loads(refused.text)["status"] == 503


async def test_what_was_passed_on_once_is_not_passed_on_again(leader: Leader) -> None:
    async with standby(Side(leader_url=leader.url)) as http:
        answer = await http.get("/api/v1/problems", headers={"Forewarn-Forwarded": "1"})
    assert (answer.status_code, leader.asked) == (503, b"")
