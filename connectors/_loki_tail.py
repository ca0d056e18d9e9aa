"""Loki's tail: lines as they come, over a websocket. What it misses is asked for by `query_range`."""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from ssl import SSLContext

from aiops.wire import loki

log = logging.getLogger("aiops.connectors")

_MOST = 100_000
"""Lines held; beyond it nothing is read, and Loki says what it had to drop."""


@dataclass
class Tail:
    """Listens until `close`. A connection that ends is made again by the next `listen`."""

    url: str
    """With its query, ws:// or wss://."""
    headers: Mapping[str, str]
    ssl: SSLContext | None = None
    name: str = ""
    _streams: list[loki.Stream] = field(default_factory=list)
    _waiting: int = 0
    _whole: bool = False
    _connected: bool = False
    _task: asyncio.Task[None] | None = None
    _room: asyncio.Event = field(default_factory=asyncio.Event)

    def listen(self) -> None:
        """Connect, where that is not so already."""
        if self._task is None or self._task.done():
            self._whole = False
            self._task = asyncio.create_task(self._listen(), name="loki tail")

    def take(self) -> tuple[list[loki.Stream], bool]:
        """(lines since the last call, whether they are all that came since then)."""
        streams, self._streams = self._streams, []
        whole, self._whole = self._whole, self._connected
        self._waiting = 0
        self._room.set()
        return streams, whole

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._task, self._connected = None, False

    async def _listen(self) -> None:
        from websockets.asyncio.client import connect
        from websockets.exceptions import WebSocketException

        try:
            async with connect(
                self.url, additional_headers=self.headers, ssl=self.ssl, max_size=64 << 20, proxy=None
            ) as socket:
                self._connected = True
                async for message in socket:
                    self._hear(message if isinstance(message, bytes) else message.encode())
                    while self._waiting >= _MOST:
                        self._room.clear()
                        await self._room.wait()
        except (OSError, ValueError, WebSocketException) as why:
            log.info("source %s: no tail, its lines are asked for: %s", self.name, why)
        finally:
            self._connected = self._whole = False

    def _hear(self, message: bytes) -> None:
        streams, dropped = loki.decode_tail(message)
        self._streams += streams
        self._waiting += sum(len(stream.entries) for stream in streams)
        if dropped:
            self._whole = False
