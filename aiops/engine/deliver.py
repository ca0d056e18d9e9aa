"""The relay: from the outbox to the sinks. One lane a sink, so that a frozen sink delays no other.

Nothing here may slow the pipeline: an idle lane only reads, a write is one short transaction, and the network
is never waited for on a database thread.
"""

import asyncio
import logging
import random
import uuid
from collections.abc import Callable, Mapping

from aiops.engine.clock import Clock
from aiops.engine.lane import Lane, first_of
from aiops.engine.patience import RelaySettings
from aiops.engine.sink_health import Finish, Jitter, Observe, SinkHealth, as_it_is, unobserved
from aiops.engine.spans import Spans
from aiops.plugin import Sink
from aiops.store import backlog
from aiops.store.database import Database

log = logging.getLogger("aiops.deliver")

__all__ = ["Relay", "RelaySettings", "SinkHealth"]


class Relay:
    """`run` until `stop`. `sinks` gives the sinks as configured now, by name: a reload needs no more.

    `wake` is set by whoever commits messages. Sinks are not closed here: their owner does that.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        sinks: Callable[[], Mapping[str, Sink]],
        wake: asyncio.Event,
        settings: RelaySettings | None = None,
        observe: Observe = unobserved,
        jitter: Jitter = random.uniform,
        finish: Finish = as_it_is,
        spans: Spans | None = None,
    ) -> None:
        self._db = db
        self._clock = clock
        self._sinks = sinks
        self._wake = wake
        self._settings = settings or RelaySettings()
        self._observe = observe
        self._jitter = jitter
        self._finish = finish
        self._spans = spans
        self._owner = f"{db.name}/{uuid.uuid4().hex[:4]}"
        self._lanes: dict[str, Lane] = {}
        self._tasks: dict[Lane, asyncio.Task[None]] = {}
        self._orphans: set[str] = set()
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Claim nothing more; `run` returns when what is under way is settled, or after `drain` seconds."""
        self._stop.set()

    def health(self) -> list[SinkHealth]:
        """Of every configured sink, by name."""
        return [self._lanes[name].health for name in sorted(self._lanes)]

    async def run(self) -> None:
        try:
            while not self._stop.is_set():
                if self._match_lanes():
                    await self._name_orphans()
                for lane in self._lanes.values():
                    lane.wake.set()
                await first_of(self._wake.wait(), self._stop.wait(), self._clock.sleep(self._settings.poll))
                self._wake.clear()
            for lane in self._tasks:
                lane.stop()
            await asyncio.gather(*self._tasks.values())
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _match_lanes(self) -> bool:
        """A lane for every sink, none for those that went; returns whether anything changed."""
        wanted = self._sinks()
        gone, new = self._lanes.keys() - wanted.keys(), wanted.keys() - self._lanes.keys()
        for name in gone:
            self._lanes.pop(name).stop()
        for name in new:
            lane = self._lane(name)
            self._lanes[name] = lane
            self._tasks[lane] = asyncio.create_task(lane.run(), name=f"lane {name}")
        self._tasks = {lane: task for lane, task in self._tasks.items() if not task.done()}
        return bool(gone or new)

    def _lane(self, name: str) -> Lane:
        return Lane(
            name,
            lambda: self._sinks().get(name),
            self._db,
            self._clock,
            self._owner,
            self._settings,
            self._observe,
            self._jitter,
            self._finish,
            self._spans,
        )

    async def _name_orphans(self) -> None:
        """Say once for which missing sinks messages wait."""
        try:
            counts = await self._db.read(backlog.counts, self._clock.now())
        except Exception:
            log.exception("cannot count what waits in the outbox")
            return
        waiting = {name for name, count in counts.items() if count.due and name not in self._lanes}
        for name in sorted(waiting - self._orphans):
            log.warning("%d messages wait for sink %r, which is not configured", counts[name].due, name)
        self._orphans = waiting
