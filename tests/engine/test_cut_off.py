"""A body whose end never comes is not taken for a shorter one, by whichever engine it comes in."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp, Message

from aiops.config import Config
from aiops.engine import callers
from aiops.engine.callers import Caller
from aiops.engine.door import CutOff, read_body
from aiops.engine.engine import Engine
from aiops.engine.forward import Forward
from aiops.engine.receive import Front
from aiops.testing import FakeClock
from tests.bench.gen import field

START = 1_767_225_600
HEAD = (
    b"POST /receive/otlp/v1/metrics HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n%s\r\n\r\n"
)


def gauge(name: bytes) -> bytes:
    """A request of OTLP with one gauge of one point: two of them behind each other are one request too."""
    nanos = (START * 1_000_000_000).to_bytes(8, "little")
    point = b"\x19" + nanos + b"\x31" + (7).to_bytes(8, "little")  # time_unix_nano, as_int
    metric = field(1, name) + field(5, field(1, point))
    return field(1, field(2, field(2, metric)))


FIRST, SECOND = gauge(b"first"), gauge(b"second")


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


SHORT = {
    "content-length": HEAD % (b"Content-Length: %d" % len(FIRST + SECOND)) + FIRST,
    "chunked": HEAD % b"Transfer-Encoding: chunked" + chunk(FIRST),
    "within a chunk": HEAD % b"Transfer-Encoding: chunked" + chunk(FIRST + SECOND)[: -len(SECOND) - 2],
}


class Leading:
    leads = False

    def __init__(self, port: int) -> None:
        self.leader_url = f"http://127.0.0.1:{port}"


@contextlib.asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[int]:
    config = uvicorn.Config(app, port=0, http=Caller, log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign, assignment]
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 (uvicorn tells it in no other way)
        await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await task


@contextlib.asynccontextmanager
async def engine_at(folder: Path) -> AsyncIterator[tuple[Engine, int]]:
    made: dict[str, Any] = {
        "store": f"sqlite:///{folder / 'forewarn.db'}",
        "data": str(folder),
        "sources": [{"kind": "otlp"}],
    }
    engine = Engine(Config.model_validate(made), clock=FakeClock(START))
    await engine.start()
    app = Front(Starlette(), engine.receiving)
    async with serving(app) as port:
        yield engine, port
    await engine.stop()


def refused(engine: Engine) -> float:
    of = {"source": "otlp", "status": "400"}
    return engine.metrics.registry.get_sample_value("forewarn_received_requests_total", of) or 0.0


async def until(engine: Engine, count: int) -> None:
    async with asyncio.timeout(20):
        while refused(engine) < count:  # noqa: ASYNC110 (a counter wakes nobody)
            await asyncio.sleep(0.01)


async def say(port: int, text: bytes, *, leave: bool = True) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(text)
    await writer.drain()
    if leave:
        await asyncio.sleep(0.05)
    else:
        async with asyncio.timeout(20):
            text = await reader.read()
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return text


async def test_a_sender_that_leaves_half_way_has_sent_nothing(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as (engine, port):
        for told, text in enumerate(SHORT.values(), 1):
            await say(port, text)
            await until(engine, told)
        assert len(engine.index) == 0
        whole = HEAD % (b"Connection: close\r\nContent-Length: %d" % len(FIRST)) + FIRST
        assert (await say(port, whole, leave=False)).startswith(b"HTTP/1.1 200")  # a half reads as a whole
        assert len(engine.index) == 1


async def test_a_sender_that_is_hung_up_on_has_sent_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callers, "BODY_WITHIN", 0.2)
    async with engine_at(tmp_path) as (engine, port):
        for told, text in enumerate(SHORT.values(), 1):
            assert (await say(port, text, leave=False)).startswith(b"HTTP/1.1 408")
            await until(engine, told)
        assert len(engine.index) == 0


async def test_an_engine_that_stands_by_passes_no_half_on_as_a_whole(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as (engine, port):
        forward = Forward(Starlette(), Leading(port))
        async with serving(forward) as standby:
            for told, text in enumerate(SHORT.values(), 1):
                await say(standby, text)
                await until(engine, told)
            assert len(engine.index) == 0
            whole = HEAD % b"Connection: close\r\nTransfer-Encoding: chunked" + chunk(FIRST) + chunk(b"")
            assert (await say(standby, whole, leave=False)).startswith(b"HTTP/1.1 200")
            assert len(engine.index) == 1
        assert forward._client
        await forward._client.aclose()


async def test_a_body_is_all_its_pieces_or_none() -> None:
    piece: Message = {"type": "http.request", "body": b"ab", "more_body": True}
    last: Message = {"type": "http.request", "body": b"c", "more_body": False}

    async def read(*messages: Message, most: int = 9) -> bytes | None:
        left = iter(messages)

        async def receive() -> Message:
            return next(left)

        return await read_body(receive, most)

    assert await read(piece, last) == b"abc"
    assert await read(piece, piece, last, most=4) is None
    with pytest.raises(CutOff):
        await read(piece, {"type": "http.disconnect"})
    with pytest.raises(CutOff):
        await read({"type": "http.disconnect"})
