"""What the store knows for the lead-time ledger."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from aiops.model.lifecycle import RunState
from aiops.store.tables import alert, problem, run

_MOMENTS = ("opened", "breached", "resolved")


def rows(conn: Connection, since: float, limit: int) -> list[dict[str, Any]]:
    """Problems opened since then (epoch s), the newest first.

    ``first_anomaly``, ``opened``, ``breached``, ``resolved``, ``expected``: epoch s, None = never;
    ``repaired``: a run succeeded that was no dry one.
    """
    first = sa.select(sa.func.min(alert.c.started)).where(alert.c.problem_id == problem.c.id)
    fixed = sa.exists().where(
        run.c.problem_id == problem.c.id, run.c.state == RunState.SUCCEEDED.value, ~run.c.dry_run
    )
    query = (
        sa.select(
            problem.c.key,
            problem.c.title,
            *(problem.c[name] for name in _MOMENTS),
            problem.c.breach_expected.label("expected"),
            first.scalar_subquery().label("first_anomaly"),
            fixed.label("repaired"),
        )
        .where(problem.c.opened >= since)
        .order_by(problem.c.opened.desc(), problem.c.id.desc())
        .limit(limit)
    )
    return [dict(row) for row in conn.execute(query).mappings()]
