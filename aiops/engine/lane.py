"""One sink's lane: claims its messages, tries them side by side, and settles each by what came of it."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from sqlalchemy.engine import Connection

from aiops.engine.breaker import Breaker
from aiops.engine.clock import Clock
from aiops.engine.patience import RelaySettings
from aiops.engine.sink_health import Finish, Jitter, Observe, SinkHealth, as_it_is, unobserved
from aiops.engine.spans import CLIENT, Spans, Told
from aiops.engine.trace import begin
from aiops.plugin import Busy, Message, NotConnected, PluginError, Retryable, Sink, TicketRef
from aiops.store import outbox
from aiops.store.database import Database
from aiops.store.settling import Claimed

log = logging.getLogger("aiops.deliver")


@dataclass(frozen=True, slots=True)
class Ended:
    """One attempt and what came of it, not yet written down."""

    claimed: Claimed
    got: TicketRef | PluginError
    at: float
    seconds: float
    excused: bool = False
    """The sink was being probed, and was silent or busy: that says nothing against the message."""


class CutOff(Retryable):
    """The attempt took longer than the limit. What it asked last may take effect as late as an answer may."""


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
    finish: Finish = as_it_is
    """What is added to a body right before it is sent, and never stored."""
    spans: Spans | None = None

    def __post_init__(self) -> None:
        s = self.settings
        self.wake = asyncio.Event()
        self.health = SinkHealth(self.name)
        self._breaker = Breaker(s.break_after, s.first_pause, s.longest_pause)
        self._stopping = False
        self._more = True
        self._doubt = False
        """Whether the sink was silent, and has answered nothing since."""
        self._calm_from = 0.0
        """From then on what was cut off by a silence has taken effect, or never will."""
        self._under_way: set[asyncio.Task[None]] = set()
        self._ended: list[Ended] = []

    def stop(self) -> None:
        self._stopping = True
        self.wake.set()

    async def run(self) -> None:
        if sink := self.sink():
            # what a dead process sent a moment ago may not be found yet
            self._calm_from = self.clock.now() + sink.lag
        try:
            while not self._stopping:
                self.wake.clear()
                await self._turn()
                await first_of(self.wake.wait(), self.clock.sleep(self.settings.poll))
            if self._under_way:
                await asyncio.wait(self._under_way, timeout=self.settings.drain)
            await self._turn()
        finally:
            # whoever is cut off leaves its lease to run out, as after a crash
            for task in self._under_way:
                task.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _turn(self) -> None:
        """In one transaction: write down what ended, and claim what there is room for."""
        ended, self._ended = self._ended, []
        now = self.clock.now()
        try:
            room = await self._room(now, sure=bool(ended))
            if not ended and not room:
                return
            claimed = await self.db.run(self._write, ended, now, room)
        except Exception:
            log.exception("sink %s: cannot read or write the outbox; trying again", self.name)
            self._ended = ended + self._ended
            return
        if room:
            self._more = bool(claimed)
        for one in claimed:
            about = {"problem": one.problem_id, "delivery": one.id}
            self._under_way.add(begin(self._deliver(one), one.title, self._done, **about))
        for one_ended in ended:
            self.observe(self.name, self._outcome(one_ended), one_ended.seconds)

    async def _room(self, now: float, sure: bool) -> int:
        """How many to claim. An idle lane asks a reader first, so that it never makes the writer wait."""
        if self._stopping or self.sink() is None:
            return 0
        room = self._breaker.room(now, len(self._under_way), self.settings.parallel)
        if room and not self._more and not sure and not await self.db.read(outbox.waiting, now, self.name):
            return 0
        return room

    def _write(self, conn: Connection, ended: list[Ended], now: float, room: int) -> list[Claimed]:
        """On the database's thread."""
        for one in ended:
            self._settle(conn, one)
        return outbox.claim(conn, now, self.owner, self.settings.lease, room, self.name) if room else []

    def _done(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self.wake.set()

    async def _deliver(self, claimed: Claimed) -> None:
        started, probe = self.clock.now(), self._breaker.opened
        got = await self._traced(claimed, started)
        now = self.clock.now()
        lost = isinstance(got, Retryable) and got.ambiguous and now - started > self.settings.settle
        # one lost answer among others that came is the network's doing, and no silence
        silent = lost and self.health.last_ok <= started
        self._heed(got, now, silent)
        excused = probe and (silent or isinstance(got, Busy))
        self._ended.append(Ended(claimed, got, now, now - started, excused))

    async def _traced(self, claimed: Claimed, now: float) -> TicketRef | PluginError:
        if self.spans is None:
            return await self._try(claimed, now)
        about: Told = {"problem": claimed.problem_id, "delivery": claimed.id, "sink": self.name}
        span = self.spans.of_problem(claimed.key, f"deliver {claimed.reason}", about, CLIENT)
        with self.spans.opened(span):
            got = await self._try(claimed, now)
            if span is not None:
                span.about["attempt"] = claimed.attempts
                span.error = str(got) if isinstance(got, PluginError) else ""
            return got

    async def _try(self, claimed: Claimed, now: float) -> TicketRef | PluginError:
        """One attempt; every way in which it can fail is a value."""
        try:
            async with asyncio.timeout(self.settings.limit):
                return await self._attempt(claimed, now)
        except PluginError as why:
            return why
        except TimeoutError:
            return CutOff(f"no answer within {self.settings.limit:g} s", ambiguous=True)
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
            self.finish(self.name, claimed.body),
            claimed.seq,
            now,
            claimed.attempts,
        )
        if claimed.attempts > 1:
            await self._calm(sink, claimed.key)
        if claimed.ref:
            await sink.update(claimed.ref, message)
            return TicketRef(claimed.ref)
        if claimed.attempts > 1 and (found := await sink.find(claimed.key)):
            return found
        return await sink.create(message)

    async def _calm(self, sink: Sink, key: str) -> None:
        """After a silence: what was cut off may stand in the sink's queue beside our search. Let it pass."""
        if self._doubt:
            await sink.find(key)
            self._answered(self.clock.now())
        if (wait := self._calm_from - self.clock.now()) > 0:
            await self.clock.sleep(wait)

    def _answered(self, now: float) -> None:
        if self._doubt:
            self._doubt, self._calm_from = False, now + self._settle_time

    def _outcome(self, ended: Ended) -> str:
        """sent, retried or dead."""
        got = ended.got
        if isinstance(got, TicketRef):
            return "sent"
        if isinstance(got, NotConnected) or ended.excused:
            return "retried"
        last = ended.claimed.attempts >= self.settings.attempts
        return "dead" if last or not isinstance(got, Retryable) else "retried"

    def _settle(self, conn: Connection, ended: Ended) -> None:
        """Write down what came of one attempt."""
        claimed, got, at, seconds = ended.claimed, ended.got, ended.at, ended.seconds
        outcome = self._outcome(ended)
        if isinstance(got, TicketRef):
            outbox.succeed(conn, claimed, self.owner, at, seconds, got)
        elif outcome == "retried" and isinstance(got, Retryable):
            wait = self._wait(got, claimed.attempts)
            # of excused attempts the first still counts: whoever comes next has to search
            counted = not (isinstance(got, NotConnected) or (ended.excused and claimed.attempts > 1))
            outbox.retry(conn, claimed, self.owner, at, seconds, str(got), at + wait, counted)
            log.warning("%s: attempt %d: %s; again in %.1f s", claimed.title, claimed.attempts, got, wait)
        else:
            tries = f"; given up after {claimed.attempts} attempts" if isinstance(got, Retryable) else ""
            outbox.bury(conn, claimed, self.owner, at, seconds, f"{got}{tries}")

    def _wait(self, why: Retryable, attempts: int) -> float:
        """Seconds: what we were asked for, else exponential backoff with full jitter.

        https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
        """
        if why.after is not None:
            wait = why.after
        else:
            longest = min(self.settings.longest_wait, self.settings.first_wait * 2.0 ** min(attempts, 30))
            wait = self.jitter(0.0, longest)
        if isinstance(why, CutOff):
            return max(wait, self.settings.patience, self._settle_time)
        return max(wait, self._settle_time) if why.ambiguous else wait

    @property
    def _settle_time(self) -> float:
        """After a lost answer a search is believed no sooner."""
        sink = self.sink()
        return max(self.settings.settle, sink.lag if sink else 0.0)

    def _heed(self, got: TicketRef | PluginError, now: float, silent: bool) -> None:
        """What an attempt says about the sink itself."""
        health, breaker = self.health, self._breaker
        if silent:
            self._doubt = True
        elif isinstance(got, TicketRef):
            self._answered(now)
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
