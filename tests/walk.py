"""The one path on a real store, row by row, on a clock that stands until it is told to go on."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import sqlalchemy as sa

from aiops.config import Config
from aiops.core.playbook import Playbook
from aiops.engine import checkpoint
from aiops.engine.items import Pulled
from aiops.engine.messages import Message
from aiops.engine.metrics import Metrics
from aiops.engine.pipeline import Pipeline
from aiops.engine.pull import LATE
from aiops.engine.record import Recorder
from aiops.engine.restore import restore
from aiops.engine.state import State
from aiops.model.frame import Frame
from aiops.model.problem import Problem
from aiops.model.series import Labels, SeriesIndex
from aiops.store import tables
from aiops.store.database import Database
from aiops.testing import FakeClock, RecordingSink, ScriptedConnector
from tests.making import NOW

SOURCE = "prod"
T = TypeVar("T")

DOWN: dict[str, Any] = {"name": "web down", "match": "up", "breach": {"below": 0.5}, "severity": "critical"}
"""A limit that one bad sample of ``up`` crosses."""


def config_of(**keys: Any) -> Config:
    """One scripted source and one sink; no detectors unless asked for."""
    known: dict[str, Any] = {
        "sources": [ScriptedConnector(name=SOURCE, every=2.0)],
        "sinks": [RecordingSink(name="itsm")],
        "detection": {"detectors": []},
    }
    return Config.model_validate(known | keys)


class Walk:
    """One engine's state and pipeline, without its tasks."""

    def __init__(
        self,
        db: Database,
        config: Config,
        playbooks: Sequence[Playbook] = (),
        index: SeriesIndex | None = None,
        clock: FakeClock | None = None,
    ) -> None:
        self.db, self.config = db, config
        self.clock = clock or FakeClock(NOW)
        self.metrics = Metrics()
        self.woken = 0
        self.state = State(config, list(playbooks), index or SeriesIndex())
        late: Callable[[str], float] = lambda source: self.clock.now() - LATE  # noqa: E731
        self.pipeline = Pipeline(self.state, Recorder(db), self.clock, self.metrics, late, self._wake)

    def _wake(self) -> None:
        self.woken += 1

    async def row(self, values: Mapping[Labels, float], after: float = 2.0) -> None:
        """Let `after` seconds pass, then take one row of that time."""
        await self.clock.advance(after)
        await self.take(values, self.clock.now())

    async def take(self, values: Mapping[Labels, float], *times: float, source: str = SOURCE) -> None:
        """One frame with the same values at each time, which may be late or early."""
        slots = self.state.index.slots(values)
        rows = np.tile(np.array(list(values.values()), float), (len(times), 1))
        await self.pipeline.take(source, Frame(np.array(times), slots, rows))

    async def hear(self, item: Any) -> None:
        """Anything else that comes through the queue, in its turn."""
        await self.through(lambda: self.pipeline.queue.put(item))

    async def tell(self, message: Message) -> None:
        await self.hear(message)

    async def pulled(self, after: float = 2.0, source: str = SOURCE) -> None:
        """A pull that brought nothing more."""
        await self.clock.advance(after)
        await self.hear(Pulled(source, self.clock.now()))

    async def through(self, put: Callable[[], Awaitable[None]]) -> None:
        """Run the pipeline's own loop over what `put` puts."""
        await put()
        await self.pipeline.queue.put(None)
        await self.pipeline.run()

    @property
    def problem(self) -> Problem:
        (one,) = self.state.problems.known
        return one

    async def stored(self, table: sa.Table, *where: Any) -> list[dict[str, Any]]:
        return await self.db.read(all_of, table, *where)

    async def reopened(self, learnt: bool = True, **keys: Any) -> "Walk":
        """Another process on the same store; without `learnt` its checkpoint is lost."""
        arrays, facts = checkpoint.capture(self.state, [])
        index = SeriesIndex.restore(arrays["index"]) if learnt else SeriesIndex()
        config = config_of(**keys) if keys else self.config
        playbooks = self.state.remediation.playbooks
        again = Walk(self.db, config, playbooks, index, self.clock)
        if learnt:
            checkpoint.take_up(again.state, arrays, facts)
        await restore(self.db, again.state, self.clock.now())
        return again


def all_of(conn: sa.Connection, table: sa.Table, *where: Any) -> list[dict[str, Any]]:
    """Every row that matches, by its first column."""
    query = sa.select(table).where(*where).order_by(next(iter(table.c)))
    return [dict(row) for row in conn.execute(query).mappings()]


async def counts(db: Database) -> dict[str, int]:
    """How many rows the tables that a fault fills have."""
    names = ("problem", "alert", "evidence", "delivery", "run", "audit")
    return {name: len(await db.read(all_of, getattr(tables, name))) for name in names}


async def soon(work: Awaitable[T], within: float = 10.0) -> T:
    return await asyncio.wait_for(work, within)
