"""One receiver as it is mounted, and the plain HTTP around it."""

import asyncio
import math
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.types import Receive, Send

from aiops.engine.pull import SourceHealth
from aiops.model.frame import Frame
from aiops.plugin.connector import Batch, Emit, Receiver, Reply, Route

BURST = 10.0
"""Seconds of the allowed rate that may come at once: a sender catches up after an outage."""


@dataclass(slots=True)
class Door:
    """One receiver as it is mounted."""

    receiver: Receiver
    health: SourceHealth
    opened: asyncio.Lock = field(default_factory=asyncio.Lock)
    is_open: bool = False
    debt: float = 0.0
    """Samples taken beyond the allowed rate, as of `paid`."""
    paid: float = 0.0
    counted: float = -math.inf
    """When metrics and health were brought up to date."""
    told: dict[str, int] = field(default_factory=dict)
    """The receiver's tally as the metrics have it."""

    def routes(self) -> dict[str, dict[str, Route]]:
        found: dict[str, dict[str, Route]] = {}
        for route in self.receiver.routes():
            found.setdefault(route.path.strip("/"), {})[route.method.upper()] = route
        return found

    def wait(self, now: float) -> float:
        """Seconds until the sender may come again; 0 = now."""
        rate = self.receiver.samples_per_second
        if not rate:
            return 0.0
        self.debt, self.paid = max(0.0, self.debt - (now - self.paid) * rate), now
        return max(0.0, self.debt / rate - BURST)


def see(door: Door, batch: Batch) -> None:
    if isinstance(batch, Frame):
        door.health.newest = float(batch.times[-1])
        door.health.series = max(door.health.series, len(batch.slots))


def into(door: Door, found: list[Batch]) -> Emit:
    async def emit(batch: Batch) -> None:
        see(door, batch)
        found.append(batch)

    return emit


def later(seconds: float, why: str) -> Reply:
    return Reply(429, f"{why}\n".encode(), (("Retry-After", str(math.ceil(seconds))),))


class CutOff(Exception):
    """The sender was gone, or was hung up on, before the end of its body."""


async def pieces(receive: Receive) -> AsyncIterator[bytes]:
    """A body as it comes. Raises CutOff where its end does not: what came so far may look whole."""
    while True:
        message: Mapping[str, Any] = await receive()
        if message["type"] != "http.request":
            raise CutOff
        yield message.get("body", b"")
        if not message.get("more_body"):
            return


async def read_body(receive: Receive, most: int) -> bytes | None:
    """All of it; None when it is more than `most` bytes. Raises CutOff."""
    parts, size = [], 0
    async for part in pieces(receive):
        size += len(part)
        if size > most:
            return None
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def answer(send: Send, reply: Reply) -> None:
    headers = [(name.lower().encode(), value.encode()) for name, value in reply.headers]
    if reply.body and not any(name == b"content-type" for name, _ in headers):
        headers.append((b"content-type", b"text/plain; charset=utf-8"))
    if reply.status != 204:
        headers.append((b"content-length", str(len(reply.body)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})
