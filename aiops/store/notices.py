"""News of runs for their problems: written with the transition, gone with what it brings about.

Whoever carries a run out need not be the engine that keeps the problems. A notice stays until the pipeline
has recorded what it means, in that very transaction; so no news is lost to a crash, and none is heard twice.
"""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from aiops.model.lifecycle import LIVE_RUN, RunState
from aiops.model.problem import Run
from aiops.store.tables_duty import notice


def add(conn: Connection, one: Run) -> None:
    """`one` has begun, or has ended; other transitions are no news, and the start of a dry run is none."""
    if one.state in LIVE_RUN and (one.state is not RunState.RUNNING or one.dry_run):
        return
    conn.execute(notice.insert().values(run_id=one.id, state=one.state.value, team=one.team))


def waiting(conn: Connection) -> list[tuple[int, RunState]]:
    """(run, state) that were not heard of yet, in the order in which they happened."""
    rows = conn.execute(sa.select(notice.c.run_id, notice.c.state).order_by(notice.c.id))
    return [(row.run_id, RunState(row.state)) for row in rows]


def heard(conn: Connection, run_id: int, state: RunState) -> None:
    """Its problem has taken notice."""
    conn.execute(notice.delete().where(notice.c.run_id == run_id, notice.c.state == state.value))
