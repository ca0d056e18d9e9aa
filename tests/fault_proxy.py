"""A loopback HTTP proxy before a real server, that has as bad a day as was measured with naive retries.

It stands for the network: what it loses, the server has done.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

ODDS = {"lost": 25, "busy": 10, "too many": 10, "late": 5, "none": 50}
"""In percent of all requests."""

BUSY = b"HTTP/1.1 503 busy\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
TOO_MANY = b"HTTP/1.1 429 slow\r\nretry-after: 0.3\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
"""A fraction of a second, which HTTP does not know and we do: each of them stops all messages to a sink."""


@dataclass
class FaultProxy:
    """`late` requests reach the server `late_by` seconds late, when nobody waits for them any more."""

    target: int
    seed: int = 7
    late_by: float = 5.0
    port: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    _busy: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def serve(self) -> AsyncIterator["FaultProxy"]:
        self._dice = random.Random(self.seed)
        server = await asyncio.start_server(self._one, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            await asyncio.gather(*self._busy, return_exceptions=True)

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request a connection."""
        task = asyncio.current_task()
        assert task
        self._busy.add(task)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                request = await self._read(reader)
                writer.write(await self._answer(request))
                await writer.drain()
        finally:
            self._busy.discard(task)
            writer.close()

    async def _answer(self, request: bytes) -> bytes:
        (fault,) = self._dice.choices(list(ODDS), list(ODDS.values()))
        self.seen[fault] += 1
        if fault == "busy":
            return BUSY
        if fault == "too many":
            return TOO_MANY
        if fault == "late":
            await asyncio.sleep(self.late_by)
        answer = await self._forward(request)
        return b"" if fault == "lost" else answer

    async def _forward(self, request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.target)
        try:
            writer.write(request)
            await writer.drain()
            return await _read_answer(reader)
        finally:
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> bytes:
        """A whole request, addressed to the server, whose connection is closed after its answer."""
        head = await reader.readuntil(b"\r\n\r\n")
        head = head.replace(b"127.0.0.1:%d" % self.port, b"127.0.0.1:%d" % self.target)
        lines = [line for line in head[:-4].split(b"\r\n") if not line.lower().startswith(b"connection:")]
        body = await reader.readexactly(_length(lines) or 0)
        return b"\r\n".join([*lines, b"connection: close", b"", b""]) + body


async def _read_answer(reader: asyncio.StreamReader) -> bytes:
    """As long as it says that it is, else until the server hangs up."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = _length(head.split(b"\r\n"))
    return head + (await reader.read() if length is None else await reader.readexactly(length))


def _length(lines: list[bytes]) -> int | None:
    return next((int(s[15:]) for s in lines if s.lower().startswith(b"content-length:")), None)
