"""The dead man's switch: outsiders hear that all is well, so that their silence-keeping is the alarm.

Well means that samples of this moment would go all the way: every source was asked, the pipeline turns, and
the store takes writes. A process that only lives does not count.
"""

import asyncio
import logging
from typing import Protocol

from aiops.config import Config
from aiops.config.operation import Watchdog
from aiops.engine.clock import Clock
from aiops.engine.metrics import Metrics
from aiops.engine.pipeline import Pipeline
from aiops.plugin import PluginError, egress

log = logging.getLogger("aiops.watchdog")

LOOK = 1.0
"""Seconds between two looks at who is due."""
PATIENCE = 10.0
"""Seconds within which the pipeline has to turn, and a watchdog to answer."""


class Engine(Protocol):
    """What is needed of the engine."""

    @property
    def config(self) -> Config: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def metrics(self) -> Metrics: ...
    @property
    def pipeline(self) -> Pipeline: ...
    def ready(self) -> bool: ...


class Watchdogs:
    """Tells each watchdog of the configuration, when it is due and all is well."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._due: dict[int, float] = {}
        self._failing: set[int] = set()

    async def run(self) -> None:
        """For ever; cancelled at the end."""
        while True:
            await self.look(self._engine.clock.now())
            await self._engine.clock.sleep(LOOK)

    async def look(self, now: float) -> None:
        """Tell those that are due at `now` (epoch s); one that cannot be told is tried again soon."""
        dogs = self._engine.config.watchdogs
        # one that is due later than its own pace says is due by a clock that has been put back
        due = {
            place: dog
            for place, dog in enumerate(dogs)
            if not now < self._due.get(place, 0.0) <= now + dog.every
        }
        if not due or not await self.well():
            return
        told = await asyncio.gather(*(self._tell(place, dog) for place, dog in due.items()))
        for (place, dog), heard in zip(due.items(), told, strict=True):
            self._due[place] = now + (dog.every if heard else min(dog.every, PATIENCE))
            if heard:
                self._engine.metrics.watchdog_told.labels(str(place)).set(now)

    async def well(self) -> bool:
        """Whether a sample would go all the way now."""
        if not self._engine.ready():
            return False
        try:
            async with asyncio.timeout(PATIENCE):
                await self._engine.pipeline.call(lambda _: None)
        except TimeoutError:
            log.warning(
                "the pipeline has not turned for %g s: watchdogs are not told that all is well", PATIENCE
            )
            return False
        return True

    async def _tell(self, place: int, dog: Watchdog) -> bool:
        import httpx

        try:
            url = dog.address.read().get_secret_value() if dog.address else dog.url
            async with egress.client(url, True, httpx.Timeout(PATIENCE)) as client:
                answer = await client.get(url)
            why = "" if answer.status_code < 300 else f"answered {answer.status_code}"
        except (httpx.HTTPError, PluginError, httpx.InvalidURL) as failure:
            # an address may be a secret, and failures quote it
            why = type(failure).__name__
        except ValueError as failure:
            why = str(failure)
        if why and place not in self._failing:
            log.warning("watchdog %d cannot be told that all is well: %s", place, why)
        (self._failing.add if why else self._failing.discard)(place)
        return not why
