"""Taking up where a former process stopped, however it stopped."""

import asyncio
import logging
from typing import Any, TypeAlias

from sqlalchemy.engine import Connection

from aiops.config import Config
from aiops.core.changes import KEPT
from aiops.core.notify import Told
from aiops.core.playbook import Playbook
from aiops.core.recent import Evidence
from aiops.core.remediate import history_seconds
from aiops.engine import checkpoint, tell
from aiops.engine.asked import asked_silences
from aiops.engine.clock import Clock
from aiops.engine.items import SPOOL
from aiops.engine.patience import RelaySettings
from aiops.engine.scale.build import scaled
from aiops.engine.scale.signals import keep_signals
from aiops.engine.state import State
from aiops.engine.tenure import AWAY, first_line
from aiops.model.lifecycle import AlertState
from aiops.model.problem import Problem, Run
from aiops.model.signal import Alert
from aiops.store import autonomy, causes, leases, outbox, runs, ties, views
from aiops.store import problems as problem_rows
from aiops.store.database import Database

AGAIN = 0.3
"""Seconds between two tries to read from a store that is away."""

log = logging.getLogger("aiops.engine")

Points: TypeAlias = dict[int, dict[str, list[float | None]]]
"""Alert id -> the stored course of its series."""


async def taken_up(
    db: Database, config: Config, playbooks: list[Playbook], clock: Clock, alone: bool, epoch: int = 0
) -> tuple[State, dict[str, Any]]:
    """All that was learnt and what lives, and the facts that stood beside it; `alone` as for `restore`.

    With several engines a store that goes away meanwhile is waited for: whoever takes over is ready when it
    is back, instead of starting once more.
    """
    while True:
        index, arrays, facts = await asyncio.to_thread(checkpoint.load_index, config.data / "checkpoints")
        state = State(config, playbooks, index)
        if checkpoint.take_up(state, arrays, facts):
            log.info("took up what was learnt about %d series", len(index))
        try:
            await restore(db, state, clock.now(), alone)
            apart = arrays, config.data / "shards", config.scale, epoch * checkpoint.EPOCH
            state.detection = await asyncio.to_thread(scaled, state.detection, *apart)
            if state.detection.away:
                keep_signals()
            return state, facts
        except AWAY as why:
            if alone:
                raise
            log.warning("the store went away while its problems were taken up: %s", first_line(why))
        await asyncio.sleep(AGAIN)


async def restore(db: Database, state: State, now: float, alone: bool = True) -> None:
    """Problems, alerts, runs and watermarks into `state`.

    `alone`: no other engine is on this store, so whoever held a lease is dead.
    """
    since = now - 2 * state.config.grouping.reopen_within
    if alone:
        await db.run(outbox.release_all, now + RelaySettings().settle)
        await db.run(leases.let_all_go)
    found = await db.read(_read, since, now - history_seconds(state.remediation.playbooks))
    state.silences.asked(await asked_silences(db, now))
    state.changes.restore(await db.read(causes.changes, now - KEPT))
    problems, loose, watermarks, told, history, points = found
    firing = [a for p in problems for a in p.alerts if a.state is AlertState.FIRING] + loose
    state.alerting.restore(firing)
    state.evidence = {a.key: Evidence.from_json(points[a.id]) for a in firing if a.id in points}
    state.problems.restore(problems, [a for a in loose if not a.silenced_by], now)
    for near, other, kind, by in await db.read(ties.arranged, [p.id for p in problems]):
        state.problems.arranged.note(near, other, kind, by)
    state.acted_until = watermarks
    state.acted_before = watermarks.get(SPOOL, 0.0)
    for run in history:
        state.remediation.note(run)
    state.told = told
    state.remediation.trust(await db.read(autonomy.levels))
    if problems:
        log.info("took up %d problems and %d firing alerts", len(problems), len(firing))


def _read(
    conn: Connection, since: float, runs_since: float
) -> tuple[list[Problem], list[Alert], dict[str, float], dict[str, Told], list[Run], Points]:
    problems, loose = problem_rows.load_known(conn, since), problem_rows.load_firing(conn)
    found = causes.of_problems(conn, [p.id for p in problems])
    for problem in problems:
        problem.causes = found.get(problem.id)
    firing = [a.id for p in problems for a in p.alerts if a.state is AlertState.FIRING]
    return (
        problems,
        loose,
        problem_rows.watermarks(conn),
        tell.recall(conn, problems),
        runs.recent(conn, runs_since),
        views.evidence_of(conn, firing + [a.id for a in loose]),
    )
