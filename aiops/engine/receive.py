"""Sources that push: every receiver's routes under ``/receive/<name>``, with backpressure."""

import asyncio
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from prometheus_client import Counter
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from aiops.config import Config
from aiops.engine.clock import Clock
from aiops.engine.metrics import Metrics
from aiops.engine.pipeline import Pipeline
from aiops.engine.pull import SourceHealth
from aiops.model.frame import Frame
from aiops.model.series import SeriesIndex
from aiops.plugin.connector import Batch, Receiver, Reply, Route

log = logging.getLogger("aiops.receive")

PATIENCE = 5.0
"""Seconds that a request waits for the pipeline before its sender is asked to come again."""
LOOK = 0.05
PREFIX = "/receive/"
COUNT_EVERY = 1.0
"""Seconds between two looks at what a receiver has counted: a look takes as long as 200 samples."""
BURST = 10.0
"""Seconds of the allowed rate that may come at once: a sender catches up after an outage."""


class Engine(Protocol):
    """What is needed of the engine."""

    @property
    def config(self) -> Config: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def metrics(self) -> Metrics: ...
    @property
    def index(self) -> SeriesIndex: ...
    @property
    def pipeline(self) -> Pipeline: ...


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


class Receiving:
    """The ASGI application of one engine. It follows the configuration through reloads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._config: Config | None = None
        self._doors: dict[str, Door] = {}
        self._paths: dict[tuple[str, str], tuple[Door, dict[str, Route]]] = {}
        self._counters: dict[tuple[str, int], Counter] = {}

    def health(self) -> list[SourceHealth]:
        """How each receiver does."""
        self._follow()
        for door in self._doors.values():
            self._count(door, self._engine.clock.now())
        return [door.health for door in self._doors.values()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name, _, rest = scope["path"].removeprefix(PREFIX).strip("/").partition("/")
        self._follow()
        door, routes = self._paths.get((name, rest), (None, {}))
        route = routes.get(scope["method"])
        if door is None:
            reply = Reply(404, b"no source receives here\n")
        elif route is None:
            reply = Reply(405, b"", (("Allow", ", ".join(sorted(routes))),))
        else:
            reply = await self._serve(door, route, scope, receive)
            self._answered(name, reply.status)
        await _answer(send, reply)

    def _answered(self, name: str, status: int) -> None:
        counter = self._counters.get((name, status))
        if counter is None:  # looking up a labelled counter takes as long as 100 samples
            counter = self._engine.metrics.received.labels(name, str(status))
            self._counters[name, status] = counter
        counter.inc()

    def _follow(self) -> None:
        """Take up the receivers of the configuration that is running now."""
        config = self._engine.config
        if config is self._config:
            return
        self._config = config
        found = [source for source in config.sources if isinstance(source, Receiver)]
        self._doors = {one.name: Door(one, SourceHealth(one.name, one.kind, 0.0)) for one in found}
        self._paths = {
            (name, path): (door, routes)
            for name, door in self._doors.items()
            for path, routes in door.routes().items()
        }

    async def _serve(self, door: Door, route: Route, scope: Scope, receive: Receive) -> Reply:
        if any(name == b"origin" for name, _ in scope["headers"]):
            return Reply(403, b"web pages may not push\n")
        wait = door.wait(self._engine.clock.now())
        if wait > 0:
            return _later(wait, f"more than {door.receiver.samples_per_second:g} samples a second")
        if not await self._room():
            return _later(PATIENCE, "the pipeline is behind")
        body = await _body(receive, door.receiver.most_body)
        if body is None:
            return Reply(413, f"more than {door.receiver.most_body} bytes\n".encode())
        await self._open(door)
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
        try:
            reply = await route.handle(body, headers, self._emit(door))
        except Exception:
            log.exception("source %s: a fault in its receiver", door.health.name)
            door.health.failures += 1
            return Reply(500, b"a fault in the receiver\n")
        self._note(door, reply)
        return reply

    async def _room(self) -> bool:
        """Whether the pipeline takes more; asked before anything is decoded: nothing is taken twice."""
        queue, clock = self._engine.pipeline.queue, self._engine.clock
        until = clock.now() + PATIENCE
        while queue.full():
            if clock.now() >= until:
                return False
            await clock.sleep(LOOK)
        return True

    async def _open(self, door: Door) -> None:
        """On first use: compiled decoders are loaded in another thread, while the engine goes on."""
        if door.is_open:
            return
        async with door.opened:
            if not door.is_open:
                await asyncio.to_thread(door.receiver.open, self._engine.index)
                door.is_open = True

    def _emit(self, door: Door) -> Any:
        async def emit(batch: Batch) -> None:
            if isinstance(batch, Frame):
                door.health.newest = float(batch.times[-1])
                door.health.series = max(door.health.series, len(batch.slots))
            await self._engine.pipeline.queue.put((door.health.name, batch))

        return emit

    def _note(self, door: Door, reply: Reply) -> None:
        """What came of a request: at once when it was refused or is limited, else once a second."""
        now, health = self._engine.clock.now(), door.health
        taken = reply.status < 400
        if taken:
            health.last_ok, health.failures, health.error = now, 0, ""
        else:
            health.failures += 1
            health.error = reply.body.decode(errors="replace").strip()[:200]
        if taken and not door.receiver.samples_per_second and abs(now - door.counted) < COUNT_EVERY:
            return
        door.counted = now
        self._count(door, now)

    def _count(self, door: Door, now: float) -> None:
        """Bring metrics and health up to what the receiver counted."""
        health, metrics = door.health, self._engine.metrics
        tally = door.receiver.tally()
        for fate, count in tally.items():
            more = count - door.told.get(fate, 0)
            if more:
                metrics.received_samples.labels(health.name, fate).inc(more)
        if door.receiver.samples_per_second:
            door.debt += tally.get("samples", 0) - door.told.get("samples", 0)
        health.samples = tally.get("samples", health.samples)
        health.series = tally.get("series", health.series)
        door.told = dict(tally)
        if math.isfinite(health.newest):
            health.lag = max(0.0, now - health.newest)
            metrics.source_lag.labels(health.name).set(health.lag)


class _First:
    """ASGI middleware: what is pushed passes by the routes, which take 0.6 ms to look up.

    It passes by the web's check of the Host header too: senders call us by whatever name they have. That
    check keeps a page in somebody's browser from reading through a name that it has bound to 127.0.0.1;
    here there is nothing to read, and `Receiving` refuses whatever comes from a page.
    """

    def __init__(self, app: ASGIApp, receiving: Receiving) -> None:
        self._app, self._receiving = app, receiving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        pushed = scope["type"] == "http" and scope["path"].startswith(PREFIX)
        await (self._receiving if pushed else self._app)(scope, receive, send)


def mount(app: Starlette, engine: Engine) -> Receiving:
    """Let the receivers of `engine` answer under ``/receive``, before all that `app` has so far."""
    receiving = Receiving(engine)
    app.add_middleware(_First, receiving=receiving)
    return receiving


def _later(seconds: float, why: str) -> Reply:
    return Reply(429, f"{why}\n".encode(), (("Retry-After", str(math.ceil(seconds))),))


async def _body(receive: Receive, most: int) -> bytes | None:
    """All of it; None when it is more than `most` bytes."""
    parts, size = [], 0
    while True:
        message: Mapping[str, Any] = await receive()
        part = message.get("body", b"")
        size += len(part)
        if size > most:
            return None
        parts.append(part)
        if not message.get("more_body"):
            return parts[0] if len(parts) == 1 else b"".join(parts)


async def _answer(send: Send, reply: Reply) -> None:
    headers = [(name.lower().encode(), value.encode()) for name, value in reply.headers]
    if reply.body and not any(name == b"content-type" for name, _ in headers):
        headers.append((b"content-type", b"text/plain; charset=utf-8"))
    if reply.status != 204:
        headers.append((b"content-length", str(len(reply.body)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})
