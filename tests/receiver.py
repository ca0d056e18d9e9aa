"""A real HTTP receiver of signed webhooks on the loopback address, that misbehaves as told."""

import asyncio
import json
import ssl
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum, auto
from typing import Any, Self

from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

SECRET = "whsec_" + "Zm9yZXdhcm4tdGVzdC1zZWNyZXQtMzItYnl0ZXMhISE="


class Fault(StrEnum):
    NONE = auto()
    LOST = auto()
    """Acts, then closes the connection without an answer."""
    LATE = auto()
    """Acts, then answers later than anybody waits."""
    BUSY = auto()
    """503, having done nothing."""
    TOO_MANY = auto()
    """429 with Retry-After, having done nothing."""
    BROKEN = auto()
    """Acts, then answers 500."""
    REFUSED = auto()
    """400, having done nothing."""


@dataclass(frozen=True, slots=True)
class Request:
    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


@dataclass
class Receiver:
    """Keeps what was signed rightly, once per ``webhook-id``, as the specification asks of receivers."""

    fault: Callable[[Request], Fault] = lambda _request: Fault.NONE
    secret: str = SECRET
    signed: bool = True
    """Whether it refuses what is not signed."""
    late_by: float = 2.0
    retry_after: str = "1"
    answer: Callable[[Request], tuple[int, dict[str, str], bytes]] | None = None
    """Replaces the usual answer."""
    thaw: asyncio.Event = field(default_factory=asyncio.Event)
    """While it is not set, connections are taken and nothing is said."""
    port: int = 0
    requests: list[Request] = field(default_factory=list)
    events: dict[str, dict[str, Any]] = field(default_factory=dict)
    """webhook-id -> event, in the order of their first arrival."""
    unsigned: list[str] = field(default_factory=list)
    """Why requests were refused for their signature."""
    _busy: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.thaw.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks/forewarn"

    def tickets(self) -> dict[str, list[dict[str, Any]]]:
        """Correlation key -> its events, in the order of their first arrival."""
        found: dict[str, list[dict[str, Any]]] = {}
        for event in self.events.values():
            found.setdefault(event["subject"], []).append(event)
        return found

    @asynccontextmanager
    async def serve(self, tls: ssl.SSLContext | None = None) -> AsyncIterator["Receiver"]:
        server = await asyncio.start_server(self._connection, "127.0.0.1", self.port, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in list(self._busy):
                task.cancel()
            await asyncio.gather(*self._busy, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._busy.add(task)
        try:
            # asyncio logs a connection that is cancelled as a fault
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while await self._one(reader, writer):
                    pass
        finally:
            self._busy.discard(task)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serve one request; returns whether the connection stays open."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        await self.thaw.wait()
        request = Request(head[0], headers, body)
        self.requests.append(request)
        fault = self.fault(request)
        if fault in (Fault.NONE, Fault.LOST, Fault.LATE, Fault.BROKEN) and not self._accept(request):
            return await _write(writer, 401, {}, b"bad signature")
        match fault:
            case Fault.LOST:
                return False
            case Fault.LATE:
                await asyncio.sleep(self.late_by)
            case Fault.BUSY:
                return await _write(writer, 503, {}, b"busy")
            case Fault.TOO_MANY:
                return await _write(writer, 429, {"retry-after": self.retry_after}, b"slow down")
            case Fault.BROKEN:
                return await _write(writer, 500, {}, b"oops")
            case Fault.REFUSED:
                return await _write(writer, 400, {}, b"no such queue")
        if self.answer:
            return await _write(writer, *self.answer(request))
        ref = json.dumps({"ref": f"INC-{request.event['subject']}"}).encode()
        return await _write(writer, 201, {"content-type": "application/json"}, ref)

    def _accept(self, request: Request) -> bool:
        if not self.signed:
            return True
        try:
            event = Verifier(self.secret).verify(request.body, request.headers)
        except (WebhookVerificationError, ValueError) as why:
            self.unsigned.append(str(why))
            return False
        self.events.setdefault(request.headers["webhook-id"], event)
        return True


class ThreadedReceiver:
    """A `Receiver` in a thread of its own, for callers that run no event loop."""

    def __init__(self) -> None:
        self.receiver = Receiver()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))

    async def _serve(self) -> None:
        async with self.receiver.serve():
            self._ready.set()
            await self._stop.wait()

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self.thaw()
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()

    def freeze(self) -> None:
        self._loop.call_soon_threadsafe(self.receiver.thaw.clear)

    def thaw(self) -> None:
        self._loop.call_soon_threadsafe(self.receiver.thaw.set)


async def _write(writer: asyncio.StreamWriter, status: int, headers: dict[str, str], body: bytes) -> bool:
    lines = [
        f"HTTP/1.1 {status} x",
        f"content-length: {len(body)}",
        *(f"{k}: {v}" for k, v in headers.items()),
    ]
    writer.write("\r\n".join([*lines, "", ""]).encode() + body)
    await writer.drain()
    return True
