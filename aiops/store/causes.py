"""Likely causes and changes in the store. Plain functions; the caller owns the transaction."""

from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from aiops.model.cause import Cause, Causes
from aiops.model.frame import Change
from aiops.store.rows import labels_in, labels_out
from aiops.store.tables import cause, change

MOST = 20
"""Components that are kept of a ranking."""


def save(conn: Connection, problem_id: int, causes: Causes, team: str) -> None:
    """Replaces what was found before."""
    ranked = [
        {
            "component": one.component,
            "score": one.score,
            "share": one.share,
            "reasons": list(one.reasons),
            "counterfactual": one.counterfactual,
        }
        for one in causes.ranked[:MOST]
    ]
    values = {"at": causes.at, "known": causes.known, "because": causes.because, "ranked": ranked}
    changed = conn.execute(cause.update().where(cause.c.problem_id == problem_id).values(values))
    if changed.rowcount == 0:
        conn.execute(cause.insert().values(problem_id=problem_id, team=team, **values))


def of_problems(conn: Connection, problem_ids: Iterable[int]) -> dict[int, Causes]:
    """Problem id -> what was found last."""
    rows = conn.execute(sa.select(cause).where(cause.c.problem_id.in_(list(problem_ids)))).mappings()
    return {
        row["problem_id"]: Causes(
            tuple(_cause(one) for one in row["ranked"]), row["known"], row["because"], row["at"]
        )
        for row in rows
    }


def of_problem(conn: Connection, problem_id: int) -> dict[str, Any] | None:
    """The row as it is: ``{at, known, because, ranked}``; None before anything was looked for."""
    row = conn.execute(sa.select(cause).where(cause.c.problem_id == problem_id)).mappings().first()
    return dict(row) if row else None


def add_change(conn: Connection, source: str, one: Change, team: str) -> None:
    conn.execute(
        change.insert().values(
            time=one.time,
            kind=one.kind,
            title=one.title,
            source=source,
            labels=labels_in(one.labels),
            url=one.url,
            detail=one.detail,
            team=team,
        )
    )


def changes(conn: Connection, since: float, limit: int = 5000) -> list[Change]:
    """Those made since then (epoch s), oldest first; the newest `limit` when there are more."""
    query = sa.select(change).where(change.c.time >= since).order_by(change.c.time.desc()).limit(limit)
    rows = list(conn.execute(query).mappings())
    return [
        Change(r["time"], r["kind"], r["title"], labels_out(r["labels"]), r["url"], dict(r["detail"]))
        for r in reversed(rows)
    ]


def purge_changes(conn: Connection, before: float) -> int:
    """Delete changes made before then."""
    return conn.execute(change.delete().where(change.c.time < before)).rowcount


def _cause(data: Mapping[str, Any]) -> Cause:
    reasons = tuple(data["reasons"])
    return Cause(data["component"], data["score"], data["share"], reasons, data["counterfactual"])
