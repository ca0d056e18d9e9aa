"""One task a source: schedule, cursor, history, retry."""

import asyncio
import logging
import math
import random
from dataclasses import dataclass

from aiops.core.log_redact import masked
from aiops.core.words import duration
from aiops.engine.clock import Clock
from aiops.engine.items import History, Pulled
from aiops.engine.metrics import Metrics
from aiops.engine.pipeline import Pipeline
from aiops.engine.spans import CLIENT
from aiops.model.frame import Frame
from aiops.plugin import Connector, Fatal, Retryable

log = logging.getLogger("aiops.pull")

LATE = 120.0
"""Samples older than this, or than five pulls, are only learnt from: nobody is paged for the past."""

LONGEST_WAIT = 60.0
FATAL_WAIT = 300.0
"""A source that needs a person is asked again this often: somebody may have mended it outside."""


@dataclass(slots=True)
class SourceHealth:
    """How one source is doing. Times are seconds since the epoch."""

    name: str
    kind: str
    every: float
    last_ok: float = math.nan
    """When it last answered; NaN while it never has."""
    newest: float = math.nan
    """Time of its newest sample."""
    lag: float = 0.0
    """Age of its newest sample at the last pull, in seconds."""
    failures: int = 0
    error: str = ""
    series: int = 0
    samples: int = 0
    bootstrapped: float = 0.0
    """Seconds of history it was warmed with."""


def late(connector: Connector | None, now: float) -> float:
    """Rows at or before this are not acted on."""
    return now - max(LATE, 5 * connector.every if connector else 0.0)


class Puller:
    """Pulls one connector on its schedule."""

    def __init__(self, connector: Connector, pipeline: Pipeline, clock: Clock, metrics: Metrics) -> None:
        self.connector = connector
        self.health = SourceHealth(connector.name, connector.kind, connector.every)
        self.started = asyncio.Event()
        """Set after the first pull, whatever came of it."""
        self._pipeline = pipeline
        self._clock = clock
        self._metrics = metrics

    async def run(self, cursor: float | None) -> None:
        """For ever; cancelled at the end. `cursor`: where a former process stopped, None on first contact."""
        connector = self.connector
        if cursor is None and connector.history > 0:
            cursor = await self._bootstrap_until_it_works()
        since = cursor if cursor is not None else self._clock.now() - connector.every
        due = self._clock.now()
        while True:
            wait = await self._attempt(since)
            if wait is None:
                now = self._clock.now()
                # a clock that was put back leaves both ahead of it: neither is waited for
                since = min(self.health.last_ok, now)
                due = min(max(due + connector.every, now), now + connector.every)
                wait = due - now
            else:
                due = self._clock.now() + wait  # the schedule begins anew with the next try
            self.started.set()
            await self._clock.sleep(wait)

    async def _attempt(self, since: float) -> float | None:
        """One pull. None when it went well, else how long to wait before the next."""
        until = self._clock.now()
        try:
            with self._metrics.pull_seconds.labels(self.connector.name).time():
                name, spans = self.connector.name, self._pipeline.spans
                with spans.opened(spans.sampled(f"pull {name}", CLIENT, {"source": name})):
                    await self._pull(since, until)
        except Exception as why:
            return self._failed(why)
        if self.health.failures:
            log.info("source %s: answers again", self.connector.name)
        self.health.failures, self.health.error, self.health.last_ok = 0, "", until
        self._metrics.source_up.labels(self.connector.name).set(1)
        return None

    async def _pull(self, since: float, until: float) -> None:
        health = self.health
        async for batch in self.connector.pull(since, until):
            if isinstance(batch, Frame) and len(batch.times):
                health.newest = float(batch.times[-1])
                health.series = max(health.series, len(batch.slots))
                health.samples += batch.samples
            await self._pipeline.put((self.connector.name, batch))
        await self._pipeline.put(Pulled(self.connector.name, until, self.connector.snapshot()))
        if math.isfinite(health.newest):
            health.lag = max(0.0, until - health.newest)
            self._metrics.source_lag.labels(self.connector.name).set(health.lag)

    async def _bootstrap(self) -> float:
        """Warm the detectors with the source's own past; returns where live pulling begins."""
        connector, now = self.connector, self._clock.now()
        samples = 0
        async for frame in connector.past(now - connector.history, now):
            samples += frame.samples
            await self._pipeline.queue.put(History(connector.name, frame))
        self.health.bootstrapped = connector.history if samples else 0.0
        log.info(
            "source %s: learnt from %d samples of %s", connector.name, samples, duration(connector.history)
        )
        return now

    async def _bootstrap_until_it_works(self) -> float:
        while True:
            try:
                return await self._bootstrap()
            except Exception as why:
                wait = self._failed(why)
            self.started.set()
            await self._clock.sleep(wait)

    def _failed(self, why: Exception) -> float:
        """Seconds until the next try."""
        text, wait = str(why), self._backoff()
        match why:
            case Retryable(after=float() | int() as after):
                wait = after
            case Retryable():
                pass
            case Fatal():
                wait = FATAL_WAIT
            case _:
                log.error("source %s: a fault in its connector", self.connector.name, exc_info=why)
                text = f"{type(why).__name__}: {why}"
        text = masked(text)  # a server may echo what it was told
        self.health.failures += 1
        self.health.error = text
        self._metrics.pull_failures.labels(self.connector.name).inc()
        self._metrics.source_up.labels(self.connector.name).set(0)
        level = (
            logging.WARNING
            if self.health.failures in (1, 10) or self.health.failures % 100 == 0
            else logging.DEBUG
        )
        log.log(level, "source %s: %s; next try in %s", self.connector.name, text, duration(wait))
        return wait

    def _backoff(self) -> float:
        """Exponential with full jitter, never quicker than the schedule asks."""
        ceiling = min(LONGEST_WAIT, self.connector.every * 2.0 ** min(self.health.failures, 10))
        return max(min(1.0, self.connector.every), random.uniform(0, ceiling))
