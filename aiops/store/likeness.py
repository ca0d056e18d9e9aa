"""Signatures of problems, and which of the past resemble one. The caller owns the transaction."""

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from aiops.model.lifecycle import ProblemState, RunState
from aiops.store.tables import likeness, problem, run, trait

CANDIDATES = 200
LATEST = 2000
"""Problems a trait is looked for in: what is common says little, and must not cost much."""


def save_traits(conn: Connection, problem_id: int, texts: Iterable[str], team: str) -> bool:
    """Replace the signature; whether it changed."""
    wanted = set(texts)
    mine = trait.c.problem_id == problem_id
    known = set(conn.scalars(sa.select(trait.c.text).where(mine)))
    if wanted == known:
        return False
    if gone := known - wanted:
        conn.execute(trait.delete().where(mine & trait.c.text.in_(gone)))
    if new := wanted - known:
        rows = [{"problem_id": problem_id, "text": text, "team": team} for text in sorted(new)]
        conn.execute(trait.insert(), rows)
    return True


def candidates(
    conn: Connection, problem_id: int, texts: Iterable[str], team: str
) -> tuple[dict[int, set[str]], dict[str, int], int]:
    """Earlier problems that share a trait, with all theirs; in how many each stands; how many there are.

    Of merged and false ones nothing is to be learnt: they are left out.
    """
    wanted = sorted(texts)
    holders: dict[int, int] = {}
    spread: dict[str, int] = {}
    for text in wanted:
        same = (trait.c.text == text) & (trait.c.team == team) & (trait.c.problem_id < problem_id)
        query = sa.select(trait.c.problem_id).where(same).order_by(trait.c.problem_id.desc()).limit(LATEST)
        ids = list(conn.scalars(query))
        spread[text] = len(ids) + 1
        for ident in ids:
            holders[ident] = holders.get(ident, 0) + 1
    nearest = sorted(holders, key=lambda ident: (-holders[ident], -ident))[:CANDIDATES]
    c = problem.c
    learnable = c.id.in_(nearest) & (c.merged_into == "") & (c.verdict.not_in(("false", "duplicate")))
    query = sa.select(trait.c.problem_id, trait.c.text).join(problem, c.id == trait.c.problem_id)
    past: dict[int, set[str]] = {}
    for ident, text in conn.execute(query.where(learnable)):
        past.setdefault(ident, set()).add(text)
    return past, spread, conn.execute(sa.select(sa.func.count()).select_from(problem)).scalar_one()


def save(conn: Connection, problem_id: int, found: Iterable[tuple[int, float, str]], team: str) -> None:
    """(other problem, score, because), replacing what was found before."""
    conn.execute(likeness.delete().where(likeness.c.problem_id == problem_id))
    rows = [
        {"problem_id": problem_id, "other_id": other, "score": score, "because": because, "team": team}
        for other, score, because in found
    ]
    if rows:
        conn.execute(likeness.insert(), rows)


def of_problem(conn: Connection, problem_id: int) -> list[dict[str, Any]]:
    """Problems of the past like this one, the most alike first, with what fixed each.

    Each: ``id, key, title, state, stage, severity, opened, resolved, score, because``; ``fix``: in words,
    empty while it is not over; ``playbook``: of the run that repaired it, or empty.
    """
    names = ("id", "key", "title", "state", "stage", "severity", "opened", "resolved", "reason")
    query = (
        sa.select(likeness.c.score, likeness.c.because, *(problem.c[name] for name in names))
        .join(problem, problem.c.id == likeness.c.other_id)
        .where(likeness.c.problem_id == problem_id)
        .order_by(likeness.c.score.desc(), problem.c.id.desc())
    )
    rows = [dict(row) for row in conn.execute(query).mappings()]
    repaired = _repairs(conn, [row["id"] for row in rows])
    for row in rows:
        row["playbook"] = repaired.get(row["id"], "")
        over = row["state"] == ProblemState.RESOLVED.value
        row["fix"] = _fix(row["playbook"], row.pop("reason")) if over else ""
    return rows


def _fix(playbook: str, reason: str) -> str:
    return f"playbook {playbook}" if playbook else reason


def _repairs(conn: Connection, ids: list[int]) -> dict[int, str]:
    done = run.c.problem_id.in_(ids) & (run.c.state == RunState.SUCCEEDED.value) & ~run.c.dry_run
    query = sa.select(run.c.problem_id, run.c.playbook).where(done).order_by(run.c.id)
    return {row.problem_id: row.playbook for row in conn.execute(query)}
