"""One sink's lane: claims its messages, tries them side by side, and settles each by what came of it."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from aiops.engine.breaker import Breaker
from aiops.engine.clock import Clock
from aiops.plugin import Message, NotConnected, PluginError, Retryable, Sink, TicketRef
from aiops.store import outbox
from aiops.store.database import Database
from aiops.store.outbox import Claimed

log = logging.getLogger("aiops.deliver")


@dataclass(frozen=True, slots=True)
class RelaySettings:
    """Times in seconds."""

    parallel: int = 8
    """Attempts at one time to one sink."""
    poll: float = 1.0
    """A lane looks into the outbox at least this often."""
    lease: float = 30.0
    """After a crash a claimed message waits this long; must be longer than `limit`."""
    limit: float = 20.0
    """Longest attempt, whatever the sink's own timeout."""
    attempts: int = 10
    """Then it is a dead letter. Attempts that reached nobody do not count."""
    first_wait: float = 1.0
    longest_wait: float = 1800.0
    settle: float = 2.0
    """Shortest wait after a lost answer: what was cut off has taken effect by then, or never will."""
    break_after: int = 5
    first_pause: float = 2.0
    longest_pause: float = 30.0
    drain: float = 10.0
    """Longest wait for attempts under way when stopping."""


@dataclass(slots=True)
class SinkHealth:
    """Times are seconds since the epoch; 0 = never."""

    name: str
    last_ok: float = 0.0
    last_failure: float = 0.0
    failures: int = 0
    """In a row."""
    paused_until: float = 0.0
    error: str = ""
    """Of the last failure; empty after a success."""


Observe: TypeAlias = Callable[[str, str, float], None]
"""``(sink, outcome, seconds)`` of each attempt; outcome is sent, retried or dead."""

Jitter: TypeAlias = Callable[[float, float], float]
"""A random number between two."""


def unobserved(_sink: str, _outcome: str, _seconds: float) -> None:
    """Looks away."""


@dataclass(eq=False)
class Lane:
    """`run` until `stop`; `wake` makes it look at once. `sink` gives the sink as configured now, if it is."""

    name: str
    sink: Callable[[], Sink | None]
    db: Database
    clock: Clock
    owner: str
    settings: RelaySettings = field(default_factory=RelaySettings)
    observe: Observe = unobserved
    jitter: Jitter = random.uniform

    def __post_init__(self) -> None:
        s = self.settings
        self.wake = asyncio.Event()
        self.health = SinkHealth(self.name)
        self._breaker = Breaker(s.break_after, s.first_pause, s.longest_pause)
        self._stopping = False
        self._more = True
        self._under_way: set[asyncio.Task[None]] = set()

    def stop(self) -> None:
        self._stopping = True
        self.wake.set()

    async def run(self) -> None:
        try:
            while not self._stopping:
                self.wake.clear()
                try:
                    await self._fill()
                except Exception:
                    log.exception("sink %s: cannot read the outbox; trying again", self.name)
                await first_of(self.wake.wait(), self.clock.sleep(self.settings.poll))
            if self._under_way:
                await asyncio.wait(self._under_way, timeout=self.settings.drain)
        finally:
            # whoever is cut off leaves its lease to run out, as after a crash
            for task in self._under_way:
                task.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _fill(self) -> None:
        """Start as many attempts as there is room for."""
        now = self.clock.now()
        room = self._breaker.room(now, len(self._under_way), self.settings.parallel)
        if not room or self.sink() is None:
            return
        # an idle lane asks a reader, so that it never makes the writer wait
        if not self._more and not await self.db.read(outbox.waiting, now, self.name):
            return
        lease = self.settings.lease
        found = await self.db.run(outbox.claim, now, self.owner, lease, room, self.name)
        self._more = bool(found)
        for claimed in found:
            task = asyncio.create_task(self._deliver(claimed), name=claimed.title)
            self._under_way.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self.wake.set()

    async def _deliver(self, claimed: Claimed) -> None:
        started = self.clock.now()
        got = await self._try(claimed, started)
        now = self.clock.now()
        self._heed(got, now)
        try:
            outcome = await self._settle(claimed, got, now, now - started)
        except Exception:
            log.exception("%s: cannot write down what came of it; it is tried again", claimed.title)
        else:
            self.observe(self.name, outcome, now - started)

    async def _try(self, claimed: Claimed, now: float) -> TicketRef | PluginError:
        """One attempt; every way in which it can fail is a value."""
        try:
            async with asyncio.timeout(self.settings.limit):
                return await self._attempt(claimed, now)
        except PluginError as why:
            return why
        except TimeoutError:
            return Retryable(f"no answer within {self.settings.limit:g} s", ambiguous=True)
        except Exception as why:
            log.exception("%s: the sink failed in a way that it does not classify", claimed.title)
            return Retryable(f"{type(why).__name__}: {why}", ambiguous=True)

    async def _attempt(self, claimed: Claimed, now: float) -> TicketRef:
        sink = self.sink()
        if sink is None:
            raise NotConnected(f"sink {self.name!r} is no longer configured")
        message = Message(
            claimed.message_id,
            claimed.key,
            claimed.reason.value,
            claimed.said,
            claimed.body,
            claimed.seq,
            now,
            claimed.attempts,
        )
        if claimed.ref:
            await sink.update(claimed.ref, message)
            return TicketRef(claimed.ref)
        if claimed.attempts > 1 and (found := await sink.find(claimed.key)):
            return found
        return await sink.create(message)

    async def _settle(
        self, claimed: Claimed, got: TicketRef | PluginError, now: float, seconds: float
    ) -> str:
        """Write down what came of it; returns the outcome for the metrics."""
        run, owner = self.db.run, self.owner
        if isinstance(got, TicketRef):
            await run(outbox.succeed, claimed, owner, now, seconds, got)
            return "sent"
        if not isinstance(got, Retryable):
            await run(outbox.bury, claimed, owner, now, seconds, str(got))
            return "dead"
        counted = not isinstance(got, NotConnected)
        if counted and claimed.attempts >= self.settings.attempts:
            words = f"{got}; given up after {claimed.attempts} attempts"
            await run(outbox.bury, claimed, owner, now, seconds, words)
            return "dead"
        wait = self._wait(got, claimed.attempts)
        await run(outbox.retry, claimed, owner, now, seconds, str(got), now + wait, counted)
        log.warning("%s: attempt %d: %s; again in %.1f s", claimed.title, claimed.attempts, got, wait)
        return "retried"

    def _wait(self, why: Retryable, attempts: int) -> float:
        """Seconds: what we were asked for, else exponential backoff with full jitter.

        https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
        """
        if why.after is not None:
            wait = why.after
        else:
            longest = min(self.settings.longest_wait, self.settings.first_wait * 2.0 ** min(attempts, 30))
            wait = self.jitter(0.0, longest)
        return max(wait, self.settings.settle) if why.ambiguous else wait

    def _heed(self, got: TicketRef | PluginError, now: float) -> None:
        """What an attempt says about the sink itself."""
        health, breaker = self.health, self._breaker
        if isinstance(got, TicketRef):
            health.last_ok, health.error = now, ""
            if breaker.succeeded():
                log.info("sink %s answers again", self.name)
        else:
            health.last_failure, health.error = now, str(got)
            if breaker.failed(now):
                log.warning(
                    "sink %s: %d failures in a row, pausing %g s: %s",
                    self.name, breaker.failures, breaker.pause, got,
                )  # fmt: skip
            if isinstance(got, Retryable) and got.after:
                breaker.hold(now + got.after)
        health.failures, health.paused_until = breaker.failures, breaker.until


async def first_of(*waits: Awaitable[object]) -> None:
    """Return when any is over; the others are cancelled."""
    tasks = [asyncio.ensure_future(one) for one in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
