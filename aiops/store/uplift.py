"""What the store knows of how problems went, with and without a run."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from aiops.model.lifecycle import ProblemState
from aiops.model.problem import Run
from aiops.store import audit as trail
from aiops.store import runs
from aiops.store.tables import audit, run


def runs_since(conn: Connection, since: float) -> dict[int, list[Run]]:
    """Problem -> its runs that were queued since then (epoch s), oldest first."""
    idents = conn.execute(sa.select(run.c.id).where(run.c.queued >= since).order_by(run.c.id)).scalars()
    found: dict[int, list[Run]] = {}
    for ident in list(idents):
        if (one := runs.get(conn, ident)) is not None:
            found.setdefault(one.problem_id, []).append(one)
    return found


def ended_by_hand(conn: Connection, since: float) -> set[int]:
    """Problems that a person resolved since then."""
    ended = (audit.c.entity == "problem") & (audit.c.to_state == ProblemState.RESOLVED.value)
    query = sa.select(audit.c.problem_id).where(ended, audit.c.at >= since, audit.c.actor != trail.ACTOR)
    return {ident for ident in conn.execute(query).scalars() if ident is not None}
