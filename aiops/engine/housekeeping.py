"""What is done now and then: silences, eviction, retention, gauges."""

import logging
from typing import TYPE_CHECKING

import numpy as np
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

from aiops.core.silence import Silence
from aiops.engine.state import State
from aiops.model.lifecycle import LIVE_RUN, ProblemState
from aiops.store import backlog, silences
from aiops.store import problems as problem_rows

if TYPE_CHECKING:
    from aiops.engine.engine import Engine

log = logging.getLogger("aiops.housekeeping")

EVERY = 2.0
"""Seconds between looks at silences and gauges."""
RARELY = 300.0
"""Seconds between evictions and purges."""


async def run(engine: "Engine") -> None:
    """For ever; cancelled at the end."""
    purge_at = engine.clock.now() + RARELY
    while True:
        now = engine.clock.now()
        try:
            await often(engine, now)
            if now >= purge_at:
                purge_at = now + RARELY
                await rarely(engine, now)
        except (SQLAlchemyError, OSError) as why:
            log.warning("housekeeping put off: %s", why)
        await engine.clock.sleep(EVERY)


async def often(engine: "Engine", now: float) -> None:
    """Silences that people asked for reach the pipeline; gauges are brought up to date."""
    rows = await engine.db.read(silences.active, now)
    asked = [
        Silence(r.selector, r.starts, r.ends if r.ends is not None else float("inf"), r.reason) for r in rows
    ]
    await engine.pipeline.call(lambda state: state.silences.asked(asked))
    counts = await engine.db.read(backlog.counts, now)
    metrics = engine.metrics
    metrics.deliveries_due.set(sum(c.due for c in counts.values()))
    metrics.deliveries_dead.set(sum(c.dead for c in counts.values()))
    metrics.delivery_age.set(max((c.oldest_due for c in counts.values()), default=0.0))
    metrics.checkpoint_age.set(now - engine.checkpointer.written if engine.checkpointer.written else 0.0)
    await engine.pipeline.call(lambda state: _gauges(engine, state))


def _gauges(engine: "Engine", state: State) -> None:
    metrics = engine.metrics
    metrics.series.set(len(state.index))
    metrics.series_ready.set(int(state.detection.ready().sum()))
    metrics.bar.set(max((state.bar(s.name) for s in state.config.sources), default=0.0))
    metrics.runs_live.set(sum(1 for run in state.remediation.recent() if run.state in LIVE_RUN))
    for one in ProblemState:
        if one is not ProblemState.RESOLVED:
            count = sum(1 for p in state.problems.known if p.state is one)
            metrics.problems_open.labels(one.value).set(count)


async def rarely(engine: "Engine", now: float) -> None:
    """Forget series that are long gone, and what has outlived its retention."""
    forget = engine.config.detection.forget_after
    await engine.pipeline.call(lambda state: _forget(state, now - forget))
    await engine.db.run(
        _purge, now - engine.config.retention.problems, now - engine.config.retention.deliveries
    )


def _forget(state: State, before: float) -> None:
    known = {problem.key for problem in state.problems.known}
    state.told = {key: told for key, told in state.told.items() if key in known}
    live = {alert.labels for alert in state.alerting.live.values()}
    for labels in live:
        slot = state.index.find(labels)
        if slot is not None:
            # a series with a live alert stays until the alert has gone
            state.index.touch(np.array([slot], np.int32), max(before, state.index.last_seen(slot)))
    gone = state.index.evict(before)
    if gone:
        log.info("forgot %d series that had stopped", len(gone))


def _purge(conn: Connection, problems_before: float, deliveries_before: float) -> None:
    problem_rows.purge(conn, problems_before)
    backlog.prune(conn, deliveries_before)
