"""Taking up where a former process stopped, however it stopped."""

import logging
from typing import TypeAlias

from sqlalchemy.engine import Connection

from aiops.core.changes import KEPT
from aiops.core.notify import Told
from aiops.core.recent import Evidence
from aiops.core.remediate import history_seconds
from aiops.engine import tell
from aiops.engine.patience import RelaySettings
from aiops.engine.pipeline import SPOOL
from aiops.engine.state import State
from aiops.model.lifecycle import AlertState
from aiops.model.problem import Problem, Run
from aiops.model.signal import Alert
from aiops.store import autonomy, causes, leases, outbox, runs, ties, views
from aiops.store import problems as problem_rows
from aiops.store.database import Database

log = logging.getLogger("aiops.engine")

Points: TypeAlias = dict[int, dict[str, list[float | None]]]
"""Alert id -> the stored course of its series."""


async def restore(db: Database, state: State, now: float, alone: bool = True) -> None:
    """Problems, alerts, runs and watermarks into `state`.

    `alone`: no other engine is on this store, so whoever held a lease is dead.
    """
    since = now - 2 * state.config.grouping.reopen_within
    if alone:
        await db.run(outbox.release_all, now + RelaySettings().settle)
        await db.run(leases.let_all_go)
    found = await db.read(_read, since, now - history_seconds(state.remediation.playbooks))
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
