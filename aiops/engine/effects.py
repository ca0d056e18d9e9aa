"""What changes of problems bring besides their own rows: ties, verdicts, and what resembles them."""

from collections.abc import Sequence

from sqlalchemy.engine import Connection

from aiops.core import similar
from aiops.core.problem_change import ProblemChange
from aiops.model.problem import Problem
from aiops.store import likeness, ties


def record(conn: Connection, changes: Sequence[ProblemChange], by: Sequence[str]) -> None:
    """In the transaction that has stored the problems and their alerts. `by`: labels that name components."""
    for change in changes:
        if change.tie is not None:
            ties.save(conn, change.problem, change.tie, change.at, change.actor)
        if change.mark is not None:
            ties.judge(conn, change.problem, change.mark, change.at, change.actor)
    for problem in {change.problem.key: change.problem for change in changes}.values():
        if problem.alerts:
            _compare(conn, problem, by)


def _compare(conn: Connection, problem: Problem, by: Sequence[str]) -> None:
    """Look for its like whenever its signature has changed."""
    mine = similar.traits(problem, by)
    if not likeness.save_traits(conn, problem.id, mine, problem.team):
        return
    past, spread, count = likeness.candidates(conn, problem.id, mine, problem.team)
    found = similar.alike(mine, past, spread, count)
    rows = [(one.problem_id, one.score, one.because) for one in found]
    likeness.save(conn, problem.id, rows, problem.team)
