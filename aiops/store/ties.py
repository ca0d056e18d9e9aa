"""How problems are tied to each other, and what people say they were. The caller owns the transaction."""

import math
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from aiops.model.problem import Mark, Problem, Tie, TieKind
from aiops.model.signal import Alert
from aiops.store.tables import alert, link, mark, problem, ticket

_NUMBERS = ("score", "peak", "observed", "expected", "lower", "upper", "bound")


def save(conn: Connection, near: Problem, tie: Tie, at: float, by: str) -> None:
    """`near` is tied to another from now on; after a merge or split its alerts follow. Both are stored."""
    if tie.kind is not TieKind.RELATED:
        _move_alerts(conn, near, tie)
    same = (link.c.problem_id == near.id) & (link.c.other_id == tie.other.id)
    conn.execute(link.delete().where(same & (link.c.kind == tie.kind.value)))
    values = {"problem_id": near.id, "other_id": tie.other.id, "kind": tie.kind.value, "note": tie.note}
    conn.execute(link.insert().values(**values, made=at, made_by=by, team=near.team))


def _move_alerts(conn: Connection, near: Problem, tie: Tie) -> None:
    """Of all firings of the alerts, the former ones too."""
    if tie.kind is TieKind.MERGED:
        mine, taker = alert.c.problem_id == near.id, tie.other
    else:
        prints = {one.fingerprint for one in tie.alerts}
        mine, taker = (alert.c.problem_id == tie.other.id) & alert.c.fingerprint.in_(prints), near
    conn.execute(alert.update().where(mine).values(problem_id=taker.id))


def judge(conn: Connection, judged: Problem, said: Mark, at: float, by: str) -> None:
    """Keep the verdict, with what it was spoken on."""
    conn.execute(
        mark.insert().values(
            problem_id=judged.id,
            problem_key=judged.key,
            verdict=said.verdict.value,
            note=said.note,
            made=at,
            made_by=by,
            evidence=_evidence(judged),
            team=judged.team,
        )
    )


def _evidence(judged: Problem) -> dict[str, Any]:
    """What the verdict was spoken on: enough to learn from when the problem itself is long purged."""
    return {
        "title": judged.title,
        "stage": judged.stage.value,
        "severity": judged.severity.value,
        "opened": judged.opened,
        "alerts": [_of_alert(one) for one in judged.alerts],
    }


def _of_alert(one: Alert) -> dict[str, Any]:
    numbers = {name: float(getattr(one, name)) for name in _NUMBERS}
    return {
        "fingerprint": one.fingerprint,
        "labels": dict(one.labels),
        "kind": one.kind.value,
        "rule": one.rule,
        "severity": one.severity.value,
        "started": one.started,
        **{name: value for name, value in numbers.items() if math.isfinite(value)},
    }


def of_problem(conn: Connection, problem_id: int) -> list[dict[str, Any]]:
    """Problems that are tied to this one, the latest first.

    Each: ``how`` (merged into, took in, split from, gave, related), ``note``, ``made``, ``made_by``; of the
    other problem ``id``, ``key``, ``title``, ``state``, ``severity``; and its ``tickets`` [{sink, ref, url}].
    """
    out = []
    ends = (link.c.problem_id, link.c.other_id)
    for near, far, said in ((*ends, _OUT), (*ends[::-1], _IN)):
        query = (
            sa.select(
                link.c.kind,
                link.c.note,
                link.c.made,
                link.c.made_by,
                *(problem.c[name] for name in ("id", "key", "title", "state", "severity")),
            )
            .join(problem, problem.c.id == far)
            .where(near == problem_id)
        )
        rows = conn.execute(query).mappings()
        out += [{**row, "how": said[row["kind"]]} for row in rows]
    tickets = _tickets(conn, [row["id"] for row in out])
    out = [row | {"tickets": tickets.get(row["id"], [])} for row in out]
    return sorted(out, key=lambda row: -row["made"])


def arranged(conn: Connection, problem_ids: list[int]) -> list[tuple[str, str, TieKind, str]]:
    """(key, key of the other, kind, by whom) of all ties of these problems."""
    near, far = problem.alias(), problem.alias()
    query = (
        sa.select(near.c.key, far.c.key, link.c.kind, link.c.made_by)
        .join(near, near.c.id == link.c.problem_id)
        .join(far, far.c.id == link.c.other_id)
        .where(link.c.problem_id.in_(problem_ids) | link.c.other_id.in_(problem_ids))
    )
    return [(one, other, TieKind(kind), by) for one, other, kind, by in conn.execute(query)]


_OUT = {"merged": "merged into", "split": "split from", "related": "related"}
_IN = {"merged": "took in", "split": "gave", "related": "related"}


def _tickets(conn: Connection, ids: list[int]) -> dict[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = {}
    if ids:
        query = sa.select(ticket.c.problem_id, ticket.c.sink, ticket.c.ref, ticket.c.url)
        for row in conn.execute(query.where(ticket.c.problem_id.in_(ids))).mappings():
            found.setdefault(row["problem_id"], []).append({k: row[k] for k in ("sink", "ref", "url")})
    return found


def marks_of(conn: Connection, problem_id: int) -> list[dict[str, Any]]:
    """What people said that the problem was, the latest first: ``verdict, note, made, made_by``."""
    columns = (mark.c.id, mark.c.verdict, mark.c.note, mark.c.made, mark.c.made_by)
    query = sa.select(*columns).where(mark.c.problem_id == problem_id).order_by(mark.c.id.desc())
    return [dict(row) for row in conn.execute(query).mappings()]


def standing(conn: Connection, since: float) -> list[dict[str, Any]]:
    """The last mark on each problem, of those made since then: ``verdict, made, evidence``."""
    latest = sa.select(sa.func.max(mark.c.id)).where(mark.c.made >= since).group_by(mark.c.problem_key)
    query = sa.select(mark.c.verdict, mark.c.made, mark.c.evidence).where(mark.c.id.in_(latest))
    return [dict(row) for row in conn.execute(query).mappings()]


def marks(conn: Connection, before: int | None, limit: int, verdict: str = "") -> list[dict[str, Any]]:
    """One page of all marks with their evidence, the latest first; ``before``: an id."""
    query = sa.select(mark).order_by(mark.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(mark.c.id < before)
    if verdict:
        query = query.where(mark.c.verdict == verdict)
    return [dict(row) for row in conn.execute(query).mappings()]
