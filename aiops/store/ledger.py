"""What the store knows for the lead-time ledger."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from aiops.model.lifecycle import RunState
from aiops.model.problem import Verdict
from aiops.store.tables import alert, delivery, mark, problem, run

_MOMENTS = ("opened", "breached", "resolved")


def noise(conn: Connection, since: float) -> dict[str, int]:
    """How many alerts fired since then, how many ``problems`` they became, and how many ``tickets``."""

    def count(table: sa.Table, condition: sa.ColumnElement[bool]) -> int:
        return int(conn.execute(sa.select(sa.func.count()).select_from(table).where(condition)).scalar_one())

    opened = (problem.c.opened >= since) & (problem.c.merged_into == "")
    return {
        "alerts": count(alert, alert.c.fired >= since),
        "problems": count(problem, opened),
        "tickets": count(delivery, (delivery.c.sent >= since) & (delivery.c.seq == 1)),
    }


def verdicts(conn: Connection, since: float) -> dict[str, int]:
    """Verdict -> problems of which a person last said so since then."""
    latest = sa.select(sa.func.max(mark.c.id)).where(mark.c.made >= since).group_by(mark.c.problem_key)
    query = sa.select(mark.c.verdict, sa.func.count()).where(mark.c.id.in_(latest)).group_by(mark.c.verdict)
    return {verdict: int(count) for verdict, count in conn.execute(query)}


def unconfirmed(conn: Connection, since: float) -> dict[str, int]:
    """Team -> problems opened since then that are over, and that nothing and nobody has borne out.

    No SLI was breached, no repair was needed, no person said that it was true.
    """
    fixed = sa.exists().where(
        run.c.problem_id == problem.c.id, run.c.state == RunState.SUCCEEDED.value, ~run.c.dry_run
    )
    latest = sa.select(sa.func.max(mark.c.id)).group_by(mark.c.problem_key)
    # a list that is made once, not a question for each problem
    true = problem.c.key.in_(
        sa.select(mark.c.problem_key).where(mark.c.id.in_(latest), mark.c.verdict == Verdict.TRUE.value)
    )
    query = (
        sa.select(problem.c.team, sa.func.count())
        .where(problem.c.opened >= since, problem.c.merged_into == "", problem.c.breached.is_(None))
        .where(problem.c.resolved.is_not(None), ~fixed, ~true)
        .group_by(problem.c.team)
    )
    return {team: int(count) for team, count in conn.execute(query)}


def rows(conn: Connection, since: float, limit: int, signs: int | None = None) -> list[dict[str, Any]]:
    """Problems opened since then (epoch s), the newest first.

    ``first_anomaly``, ``opened``, ``breached``, ``resolved``, ``expected``: epoch s, None = never;
    ``repaired``: a run succeeded that was no dry one. Of the newest `signs` (all) only ``first_anomaly`` is
    looked for: it takes as long as all the rest.
    """
    fixed = sa.exists().where(
        run.c.problem_id == problem.c.id, run.c.state == RunState.SUCCEEDED.value, ~run.c.dry_run
    )
    query = (
        sa.select(
            problem.c.id,
            problem.c.key,
            problem.c.title,
            *(problem.c[name] for name in _MOMENTS),
            problem.c.breach_expected.label("expected"),
            fixed.label("repaired"),
        )
        .where(problem.c.opened >= since, problem.c.merged_into == "")
        .order_by(problem.c.opened.desc(), problem.c.id.desc())
        .limit(limit)
    )
    found = conn.execute(query).mappings().all()
    began = _first_signs(conn, [row["id"] for row in found[:signs]])
    return [{**row, "first_anomaly": began.get(row["id"])} for row in found]


def _first_signs(conn: Connection, ids: list[int]) -> dict[int, float]:
    """Problem id -> when the first of its alerts began."""
    query = sa.select(alert.c.problem_id, sa.func.min(alert.c.started)).where(alert.c.problem_id.in_(ids))
    return {row[0]: row[1] for row in conn.execute(query.group_by(alert.c.problem_id))}
