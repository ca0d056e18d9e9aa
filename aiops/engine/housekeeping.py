"""What is done now and then: silences, eviction, retention, gauges."""

import asyncio
import logging
from typing import Any

import numpy as np
from sqlalchemy.exc import SQLAlchemyError

from aiops.core.marks import FORGOTTEN, Said
from aiops.engine import ledger_gauges, vitals, weighing
from aiops.engine.asked import asked_silences
from aiops.engine.attention import heed
from aiops.engine.checkpoint import Checkpointer
from aiops.engine.clock import Clock
from aiops.engine.heap import give_back
from aiops.engine.items import Pulled
from aiops.engine.metrics import Metrics
from aiops.engine.pipeline import SETTLED, Pipeline
from aiops.engine.state import State
from aiops.model.lifecycle import LIVE_RUN, ProblemState
from aiops.store import backlog, log_templates, retention, seals, ties
from aiops.store.database import Database

log = logging.getLogger("aiops.housekeeping")

EVERY = 2.0
"""Seconds between looks at silences and gauges."""
SUM_UP = 300.0
"""Seconds between two summaries of the ledger."""
RARELY = 300.0
"""Seconds between evictions and purges."""


class Housekeeping:
    """One task; it changes nothing of the pipeline's but in the pipeline's turn."""

    def __init__(
        self, db: Database, pipeline: Pipeline, checkpointer: Checkpointer, clock: Clock, metrics: Metrics
    ) -> None:
        self._db = db
        self._pipeline = pipeline
        self._checkpointer = checkpointer
        self._clock = clock
        self._metrics = metrics
        self._sum_up_at = 0.0

    async def run(self) -> None:
        """For ever; cancelled at the end."""
        purge_at = self._clock.now() + RARELY
        while True:
            now = self._clock.now()
            try:
                await self.often(now)
                if now >= purge_at:
                    purge_at = now + RARELY
                    await self.rarely(now)
            except (SQLAlchemyError, OSError) as why:
                log.warning("housekeeping put off: %s", why)
            await self._clock.sleep(EVERY)

    async def often(self, now: float) -> None:
        """Silences that people asked for reach the pipeline; gauges are brought up to date."""
        asked = await asked_silences(self._db, now)
        await self._pipeline.call(lambda state: state.silences.asked(asked))
        counts = await self._db.read(backlog.counts, now)
        metrics, written = self._metrics, self._checkpointer.written
        metrics.deliveries_due.set(sum(c.due for c in counts.values()))
        metrics.deliveries_dead.set(sum(c.dead for c in counts.values()))
        metrics.delivery_age.set(max((c.oldest_due for c in counts.values()), default=0.0))
        metrics.checkpoint_age.set(now - written if written else 0.0)
        await self._pipeline.call(self._gauges)
        vitals.of_process(metrics, self._pipeline.state.config.data)
        if now >= self._sum_up_at:
            self._sum_up_at = now + SUM_UP
            vitals.of_build(metrics, self._db)
            metrics.store_bytes.set(await self._db.read(vitals.store_bytes))
            await ledger_gauges.refresh(self._db, metrics, now)
            await ledger_gauges.pages(self._db, self._pipeline.state, metrics, now)
            await self._heed(now)
        await weighing.refresh(self._db, self._pipeline, metrics, now)
        if await self._db.read(seals.wanting):
            await self._db.run(seals.close)
        state = self._pipeline.state
        for source in sorted(state.pushed & state.logs.sources()):  # nobody else says that a step is over
            await self._pipeline.queue.put(Pulled(source, now - SETTLED))

    async def _heed(self, now: float) -> None:
        """What people said of problems reaches the bars."""
        rows = await self._db.read(ties.standing, now - FORGOTTEN)
        said = [Said.of(row) for row in rows]
        await self._pipeline.call(lambda state: heed(state, said, now))

    async def rarely(self, now: float) -> None:
        """Forget series that are long gone, and what has outlived its retention."""
        config = self._pipeline.state.config
        await self._pipeline.call(lambda state: forget(state, now - config.detection.forget_after))
        await self._db.run(retention.purge, config.retention.seconds(), now)
        found: Any = await self._pipeline.call(lambda state: state.logs.catalogue())
        templates, merged = found
        await self._db.run(log_templates.save, templates, config.team)
        await self._db.run(log_templates.merge, merged, config.team)
        await asyncio.to_thread(give_back)

    def _gauges(self, state: State) -> None:
        metrics = self._metrics
        vitals.of_state(metrics, state)
        vitals.of_objectives(metrics, state)
        metrics.series.set(len(state.index))
        ready, live = state.detection.ready(), state.index.live()
        metrics.series_ready.set(int(np.count_nonzero(ready[live[live < len(ready)]])))
        metrics.bar.set(max((state.bar(s.name) for s in state.config.sources), default=0.0))
        metrics.runs_live.set(sum(1 for run in state.remediation.recent() if run.state in LIVE_RUN))
        for one in ProblemState:
            if one is not ProblemState.RESOLVED:
                count = sum(1 for p in state.problems.known if p.state is one)
                metrics.problems_open.labels(one.value).set(count)


def forget(state: State, before: float) -> None:
    """Drop the series unseen since `before` (epoch s), and what is kept of problems that are over."""
    state.welcome()  # what is announced must not be evicted before
    known = {problem.key for problem in state.problems.known}
    state.told = {key: told for key, told in state.told.items() if key in known}
    live = {alert.labels for alert in state.alerting.live.values()}
    for labels in live:
        slot = state.index.find(labels)
        if slot is not None:
            # a series with a live alert stays until the alert has gone
            state.index.touch(np.array([slot], np.int32), max(before, state.index.last_seen(slot)))
    gone = state.index.evict(before)
    if len(gone):
        state.links.forget(gone)
        state.slis.forget(gone)
        log.info("forgot %d series that had stopped", len(gone))
