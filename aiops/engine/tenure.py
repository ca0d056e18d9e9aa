"""What one worker's runs are its own by: the leases that it holds, renews, and writes under."""

import asyncio
import logging
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy.engine import Connection
from sqlalchemy.exc import InterfaceError, OperationalError

from aiops.engine.clock import Clock
from aiops.model.lifecycle import LIVE_RUN, RunState
from aiops.model.problem import Run
from aiops.store import leases, runs
from aiops.store.database import Database

log = logging.getLogger("aiops.run")

P = ParamSpec("P")
T = TypeVar("T")

AWAY = (OperationalError, InterfaceError, OSError)
"""The store cannot be used for now; any other error of it is a fault of ours."""

LEASE = 8.0
"""Seconds for which a worker may say nothing before its runs are taken over."""
BEATS = 4
"""Renewals within the time of a lease."""


@dataclass(slots=True)
class Held:
    """A lease: the epoch that it is, and until when (by the event loop's clock) nobody can have taken it."""

    epoch: int
    sure_until: float


class Tenure:
    """The leases of one worker, each of `seconds`. Real time counts here: it is the store's that decides."""

    def __init__(self, db: Database, clock: Clock, seconds: float = LEASE) -> None:
        self.owner = f"{db.name}/{uuid.uuid4().hex[:4]}"
        """Unique: a worker that is started anew is another one."""
        self.seconds = seconds
        self._db = db
        self._clock = clock
        self._held: dict[int, Held] = {}

    async def keep(self, lost: Callable[[int], None]) -> None:
        """Renew until cancelled. `lost` is called with each run that another has taken over."""
        while True:
            await asyncio.sleep(self.seconds / BEATS)
            ours, asked = dict(self._held), _time()
            if not ours:
                continue
            try:
                renewed = await self._db.run(leases.renew, self.owner, self.seconds)
                for run_id, held in ours.items():
                    if renewed.get(run_id) == held.epoch:
                        held.sure_until = asked + self.seconds
                    elif self._held.get(run_id) is held and await self._goes_on(run_id):
                        log.warning("run %s was taken over by another engine: this one leaves it", run_id)
                        lost(run_id)
            except AWAY as why:
                log.error("cannot renew the leases of runs: %s", first_line(why))

    async def begin(self, run: Run, was: RunState, at: float) -> None:
        """Store that `run` runs, as ours. Raises `RunChanged` when somebody else was first."""
        asked = _time()
        epoch = await self.write(runs.begin, run, was, at, self.owner, self.seconds)
        self._held[run.id] = Held(epoch, asked + self.seconds)

    async def take(self, run: Run, at: float) -> None:
        """Make a begun run ours. Raises `LeaseLost` when its owner lives."""
        asked = _time()
        epoch = await self.write(leases.take, run, self.owner, self.seconds, at)
        self._held[run.id] = Held(epoch, asked + self.seconds)

    async def be_sure(self, run_id: int) -> None:
        """That the run is ours for a while yet. Raises `LeaseLost`."""
        if _time() > self._held[run_id].sure_until - self.seconds / 2:
            await self.within(run_id, _nothing)

    def forget(self, run_id: int) -> None:
        """It has ended, or is left."""
        self._held.pop(run_id, None)

    async def let_go(self) -> None:
        """Others need not wait for what is left."""
        with suppress(*AWAY):
            await self._db.run(leases.let_go, self.owner)

    async def within(
        self, run_id: int, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """`write` under our lease of the run, if there is one; it is renewed by that. Raises `LeaseLost`."""
        held = self._held.get(run_id)
        if held is None:
            return await self.write(work, *args, **kwargs)
        epoch, asked = held.epoch, _time()

        def inside(conn: Connection) -> T:
            return leases.within(conn, run_id, epoch, self.seconds, work, *args, **kwargs)

        done = await self.write(inside)
        held.sure_until = asked + self.seconds
        return done

    async def write(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """In a write transaction, tried until the store is back: what was done must not be forgotten."""
        wait = 0.1
        while True:
            try:
                return await self._db.run(work, *args, **kwargs)
            except AWAY as why:
                log.error("cannot write to the store, trying again in %.1f s: %s", wait, first_line(why))
            await self._clock.sleep(wait)
            wait = min(5.0, wait * 2)

    async def _goes_on(self, run_id: int) -> bool:
        """A lease that is gone may have gone with the end of its run."""
        run = await self._db.read(runs.get, run_id)
        return run is not None and run.state in LIVE_RUN


@dataclass(frozen=True, slots=True)
class Holder:
    """Writes about one run, under its lease."""

    tenure: Tenure
    run_id: int

    async def __call__(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        return await self.tenure.within(self.run_id, work, *args, **kwargs)


def first_line(why: Exception) -> str:
    return str(getattr(why, "__cause__", None) or why).splitlines()[0]


def _time() -> float:
    return asyncio.get_running_loop().time()


def _nothing(_conn: Connection) -> None:
    """To be sure of the lease is all."""
