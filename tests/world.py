"""A small installation whose last hour went wrong: a real engine, fed by script, on a clock that stands.

Everything that the console then shows was detected, grouped, told and planned by the engine itself.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiops.config import Config
from aiops.engine.engine import Engine
from aiops.model.frame import Change
from aiops.plugin import Fatal
from aiops.store import tokens
from aiops.testing import FakeClock, RecordingSink, ScriptedConnector, eventually

NOW = 1_767_974_400.0
"""Friday 2026-01-09 16:00 UTC: where the clock stands in the end."""
EVERY, HOUR = 15.0, 3600.0
LEARNT = 24 * HOUR

CALLS = {
    "edge": ["checkout", "basket", "login"],
    "checkout": ["payments", "orders-db"],
    "basket": ["orders-db"],
    "search": ["search-index"],
}

PLAYBOOKS = {
    "restart-checkout.yaml": """
playbook: restart-checkout
match: 'problem.labels.service == "checkout"'
autonomy: approve
steps:
  - restart: {action: command, argv: [/bin/true, --graceful, checkout]}
verify: {command: {argv: [/bin/true]}, times: 2, every: 1s, within: 30s}
""",
    "trim-cache.yaml": """
playbook: trim-cache
match: 'problem.labels.service == "search"'
autonomy: suggest
steps:
  - trim: {action: command, argv: [/usr/local/bin/trim-cache, --keep, 7d]}
verify: {command: {argv: [/bin/true]}, times: 2, every: 1s, within: 30s}
""",
}


def config_in(folder: Path, **more: Any) -> Config:
    """The installation's config; its store, secrets and playbooks lie in `folder`."""
    shelf = folder / "playbooks"
    shelf.mkdir(exist_ok=True)
    for name, text in PLAYBOOKS.items():
        (shelf / name).write_text(text)
    limits = [
        {"match": "host_filesystem_free_ratio", "breach": {"below": 0.05}, "horizon": "12h"},
        {"match": "process_resident_memory_bytes", "breach": {"above": 4e9}, "horizon": "2h"},
        {"match": "cache_hit_ratio", "breach": {"below": 0.7, "for": "1m"}},
    ]
    objective = {
        "name": "checkout errors",
        "of": {"match": "checkout_error_ratio"},
        "breach": {"above": 0.01, "for": "1m"},
        "labels": {"service": "checkout"},
    }
    values: dict[str, Any] = {
        "store": f"sqlite:///{folder / 'forewarn.db'}",
        "data": folder / "data",
        "sources": [ScriptedConnector(name="prod", every=60.0, history=LEARNT)],
        "slis": [objective],
        "limits": limits,
        "sinks": [RecordingSink(name="itsm"), RecordingSink(name="pager")],
        "routes": [{"to": "itsm"}, {"match": "problem.level >= level.major", "to": "pager"}],
        "playbooks": [shelf],
        "remediation": {"enabled": True},
        "grouping": {"by": ["service", "host"], "window": "30m", "calls": CALLS},
    }
    return Config.model_validate(values | more)


def course(
    after: float, before: float | None, shape: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> Any:
    """Adds ``shape(minutes since `after`)`` from `after` to `before` minutes ago; None: it goes on."""

    def bend(times: NDArray[np.float64]) -> NDArray[np.float64]:
        minutes = (times - NOW) / 60
        inside = (minutes >= -after) & (minutes < (-before if before is not None else np.inf))
        return np.where(inside, shape(np.clip(minutes + after, 0, None)), 0.0)

    return bend


def _lines(again: bool) -> list[tuple[dict[str, str], float, float, float, Any]]:
    """(labels, level, daily swing, noise, what went wrong) of every series."""
    host = "web-{}".format
    lines: list[tuple[dict[str, str], float, float, float, Any]] = []
    for n in (1, 2, 3):
        lines.append(({"__name__": "node_load1", "host": host(n)}, 1.6 + 0.2 * n, 0.6, 0.12, None))
        memory = {"__name__": "node_memory_available_bytes", "host": host(n)}
        lines.append((memory, 9.2e9, 4e8, 4e7, None))
    for route in ("/login", "/search", "/basket"):
        rate = {"__name__": "http_requests_per_second", "service": "web", "route": route}
        lines.append((rate, 140, 60, 5, None))
    checkout = {"service": "checkout"}
    rise = course(24, None, lambda m: 0.42 * (1 - np.exp(-m / 5)))
    pool = course(26, None, lambda m: np.minimum(0.55, 0.06 * m))
    errors = course(9, None, lambda m: np.minimum(0.031, 0.006 * m))
    first = course(49, 41, lambda m: -0.3 * np.ones_like(m))
    second = course(12, 4, lambda m: -0.3 * np.ones_like(m))
    dip = (lambda times: first(times) + second(times)) if again else first
    leak = course(58, None, lambda m: 2.4e7 * m)
    lines += [
        (
            {"__name__": "http_request_duration_seconds", "quantile": "0.95", **checkout},
            0.18,
            0.03,
            0.006,
            rise,
        ),
        ({"__name__": "db_pool_in_use_ratio", "pool": "orders", **checkout}, 0.41, 0.08, 0.02, pool),
        ({"__name__": "checkout_error_ratio", **checkout}, 0.002, 0.0, 0.0004, errors),
        ({"__name__": "cache_hit_ratio", "service": "catalog"}, 0.93, 0.01, 0.006, dip),
        (
            {"__name__": "process_resident_memory_bytes", "service": "search", "host": "search-1"},
            2.1e9,
            0,
            9e6,
            leak,
        ),
    ]
    for mount in ("/", "/var"):
        labels = {"__name__": "host_filesystem_free_ratio", "host": "db-2", "mountpoint": mount}
        full = course(600, None, lambda m: -0.00042 * m) if mount == "/var" else None
        lines.append((labels, 0.41, 0.0, 0.0004, full))
    return lines


def feed(source: ScriptedConnector, again: bool = False) -> None:
    """A day and an hour of samples, the same in every run.

    `again`: what was over comes a second time; a deploy and the lines of a log tell of checkout's trouble.
    """
    rng = np.random.default_rng(7)
    times = np.arange(NOW - LEARNT - HOUR, NOW + EVERY / 2, EVERY)
    for labels, level, swing, noise, wrong in _lines(again):
        values = level + swing * np.sin(times / 86400 * 2 * np.pi) + rng.normal(0, noise, len(times))
        if wrong is not None:
            values = values + wrong(times)
        source.feed(labels, dict(zip(times.tolist(), values.tolist(), strict=True)))
    if again:
        _talk(source, rng)


def _talk(source: ScriptedConnector, rng: np.random.Generator) -> None:
    """What checkout writes in an hour, and what is deployed on the way."""
    source.happen(Change(NOW - 27 * 60, "deploy", "checkout 4.2.0", (("service", "checkout"),)))
    for place, at in enumerate(np.arange(NOW - HOUR, NOW, 5.0).tolist()):
        order, took = 40_000 + place, rng.integers(80, 240)
        lines = [f"INFO order {order} placed in {took} ms for customer {rng.integers(100, 999)}"]
        if place % 7 == 0:
            lines.append(f"INFO session {rng.integers(10**8):08x} renewed")
        if place % 40 == 0:
            lines.append(f"WARNING slow query on orders took {took * 4} ms")
        if at > NOW - 22 * 60 and place % 2:
            lines.append(f"ERROR no connection left in pool orders after 3000 ms, order {order} given up")
        for text in lines:
            source.say({"service": "checkout", "filename": "/var/log/checkout.log"}, at, text)


@asynccontextmanager
async def running(config: Config, live: float = HOUR, again: bool = False) -> AsyncIterator[Engine]:
    """The engine after it learnt a day and lived through the last `live` seconds; `again` as for `feed`."""
    clock = FakeClock(NOW - HOUR)
    for source in config.sources:
        if isinstance(source, ScriptedConnector):
            feed(source, again)
    engine = Engine(config, clock=clock)
    await engine.start()
    try:
        await eventually(engine.ready, 60)
        for _ in range(int(live // 60)):
            await clock.advance(60.0)
            await settled(engine)
        yield engine
    finally:
        stopping = asyncio.create_task(engine.stop())
        while not stopping.done():
            await clock.advance(1)
            await asyncio.sleep(0.005)
        await stopping


async def settled(engine: Engine) -> None:
    """Wait until the last pull has had its effect."""
    await eventually(lambda: engine.pullers[0].health.last_ok >= engine.clock.now() - 1, 60)
    await eventually(engine.pipeline.queue.empty, 60)
    await engine.pipeline.call(lambda state: None)
    await asyncio.sleep(0.01)


async def token_of(engine: Engine, name: str = "ana") -> str:
    return await engine.db.run(tokens.create, name, engine.clock.now())


def refusing(config: Config, sink: str, why: str) -> None:
    """Let a sink refuse everything from now on."""
    found: Mapping[str, Any] = {one.name: one for one in config.sinks}
    found[sink].script(always=Fatal(why))
