"""What the store knows of how problems went, with and without a run."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from aiops.model.lifecycle import ProblemState
from aiops.model.problem import Problem, Run
from aiops.store import audit as trail
from aiops.store import problems, runs
from aiops.store.tables import alert, audit, problem

MOST = 2000
"""Problems that are weighed, the newest: a second of them."""
TELLING = 20
"""Alerts of each that playbooks are matched with; a problem may have thousands."""


def problems_since(conn: Connection, since: float) -> list[Problem]:
    """The newest `MOST` that were opened since then (epoch s) and not merged, each with `TELLING` alerts."""
    c, a = problem.c, alert.c
    query = sa.select(problem).where(c.opened >= since, c.merged_into == "")
    query = query.order_by(c.opened.desc(), c.id.desc()).limit(MOST)
    rows = {row["id"]: row for row in conn.execute(query).mappings()}
    # in the order of ix_alert_worst; "firing" comes first in the alphabet too
    order = sa.func.row_number().over(partition_by=a.problem_id, order_by=(a.state, a.peak.desc(), a.id))
    placed = sa.select(a.id, order.label("place")).where(a.problem_id.in_(rows)).subquery()
    told = sa.select(alert).join(placed, placed.c.id == a.id).where(placed.c.place <= TELLING)
    alerts: dict[int, list[sa.RowMapping]] = {ident: [] for ident in rows}
    for row in conn.execute(told).mappings():
        alerts[row["problem_id"]].append(row)
    return [problems.built(row, alerts[ident]) for ident, row in rows.items()]


def runs_of(conn: Connection, wanted: list[Problem]) -> dict[int, list[Run]]:
    """Problem id -> its runs, oldest first."""
    found: dict[int, list[Run]] = {}
    for one in runs.of_problems(conn, [each.id for each in wanted]):
        found.setdefault(one.problem_id, []).append(one)
    return found


def ended_by_hand(conn: Connection, since: float) -> set[int]:
    """Problems that a person resolved since then."""
    ended = (audit.c.entity == "problem") & (audit.c.to_state == ProblemState.RESOLVED.value)
    query = sa.select(audit.c.problem_id).where(ended, audit.c.at >= since, audit.c.actor != trail.ACTOR)
    return {ident for ident in conn.execute(query).scalars() if ident is not None}
