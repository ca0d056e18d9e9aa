"""What playbooks may do by themselves, by the runs that have ended."""

from collections.abc import Mapping
from dataclasses import replace

from sqlalchemy.engine import Connection

from aiops.core.autonomy import Evidence, evidence_of, learnt, level, start
from aiops.core.playbook import Autonomy, Earning, Playbook
from aiops.model.autonomy import Earned, Standing
from aiops.model.problem import Run
from aiops.store import autonomy
from aiops.store.database import Database


def weigh(
    conn: Connection, playbooks: Mapping[str, Playbook], default: Earning, at: float
) -> list[tuple[Autonomy, Earned]]:
    """Let every run that has ended count, once; what moved, with the level before. ``at``: epoch s."""
    moved = []
    for run, verified in autonomy.unweighed(conn):
        playbook, evidence = playbooks.get(run.playbook), evidence_of(run, verified)
        if playbook is None or evidence is None:
            continue
        before, after = _weighed(conn, run, playbook, evidence, default, at)
        autonomy.put(conn, after, before, at)
        if after.standing.level is not before:
            moved.append((before, after))
    return moved


def _weighed(
    conn: Connection, run: Run, playbook: Playbook, evidence: Evidence, default: Earning, at: float
) -> tuple[Autonomy, Earned]:
    service = run.service or run.target
    stored = autonomy.get(conn, playbook.name, service)
    if stored is None:
        standing = Standing(start(playbook, default), since=run.queued)
    else:
        standing = replace(stored, level=level(playbook, stored.level, default))
    now = learnt(standing, evidence, playbook, default, run, at)
    return standing.level, Earned(playbook.name, service, now)


async def distrusted(
    db: Database,
    run: Run,
    playbook: Playbook,
    playbooks: Mapping[str, Playbook],
    default: Earning,
    at: float,
) -> str:
    """Why a run that nobody approved may no longer begin by itself, or the empty string."""
    if run.approved_by or not await db.read(autonomy.known, run.playbook, run.service):
        return ""
    now = await db.run(_level_now, run, playbook, playbooks, default, at)
    return "" if now is Autonomy.AUTO else f"{run.playbook} may only {now.value} for {run.service} by now"


def _level_now(
    conn: Connection,
    run: Run,
    playbook: Playbook,
    playbooks: Mapping[str, Playbook],
    default: Earning,
    at: float,
) -> Autonomy:
    weigh(conn, playbooks, default, at)
    stored = autonomy.get(conn, playbook.name, run.service)
    return level(playbook, stored.level if stored else None, default)
