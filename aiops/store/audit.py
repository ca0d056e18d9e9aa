"""The audit trail: one row for every transition of anything."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from aiops.model.problem import Run
from aiops.store import rows
from aiops.store.tables import audit

ACTOR = "forewarn"


def note(
    conn: Connection,
    *,
    at: float,
    entity: str,
    entity_id: object,
    current: str,
    to: str,
    reason: str,
    problem_id: int | None = None,
    actor: str = ACTOR,
    team: str = "default",
) -> None:
    """Write one row, in the caller's transaction; ``at`` in seconds since the epoch."""
    made = row(at, entity, entity_id, current, to, reason, problem_id, actor, team)
    conn.execute(audit.insert(), made)


def note_all(conn: Connection, made: Sequence[Mapping[str, Any]]) -> None:
    """Write many, in their order, of what `row` gave."""
    for batch in rows.batches(made):
        conn.execute(audit.insert(), batch)


def row(
    at: float,
    entity: str,
    entity_id: object,
    current: str,
    to: str,
    reason: str,
    problem_id: int | None = None,
    actor: str = ACTOR,
    team: str = "default",
) -> dict[str, Any]:
    """What `note` writes, by its columns."""
    return {
        "at": at,
        "actor": actor,
        "entity": entity,
        "entity_id": str(entity_id),
        "from_state": current,
        "to_state": to,
        "reason": reason,
        "problem_id": problem_id,
        "team": team,
    }


def note_run(
    conn: Connection,
    one: Run,
    at: float,
    *,
    was: str | None = None,
    reason: str | None = None,
    actor: str = ACTOR,
) -> None:
    """A run's row; by default it stays in its state, and the reason is the run's own."""
    note(
        conn,
        at=at,
        entity="run",
        entity_id=one.id,
        current=one.state if was is None else was,
        to=one.state,
        reason=one.reason if reason is None else reason,
        problem_id=one.problem_id,
        actor=actor,
        team=one.team,
    )


def of_problem(conn: Connection, problem_id: int, limit: int | None = None) -> list[dict[str, Any]]:
    """A problem's timeline, oldest first; of a longer one the latest `limit`."""
    mine = sa.select(audit).where(audit.c.problem_id == problem_id)
    rows = conn.execute(mine.order_by(audit.c.at.desc(), audit.c.id.desc()).limit(limit)).mappings()
    return [dict(row) for row in rows][::-1]
