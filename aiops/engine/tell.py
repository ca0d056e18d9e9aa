"""From changes of problems to rows of the outbox, inside the transaction that records the changes."""

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy.engine import Connection

from aiops.config import Config
from aiops.core import ticket, ticket_ties
from aiops.core.expressions import Expression
from aiops.core.notify import Route, Router, Told, after
from aiops.core.problems import ProblemChange
from aiops.model.problem import Problem
from aiops.store import audit, backlog, likeness, outbox, ties


def router_of(config: Config) -> Router:
    """The routes as configured."""
    routes = [Route(Expression(r.match), r.to, r.escalate.to if r.escalate else "") for r in config.routes]
    return Router(routes, [sink.name for sink in config.sinks])


def tell(
    conn: Connection,
    router: Router,
    changes: Sequence[ProblemChange],
    told: Mapping[str, Told],
    console: str = "",
) -> dict[str, Told]:
    """Enqueue what `changes` cause; returns the entries of `told` that hold once it is committed.

    Changes nothing but the database, so a transaction that failed can be tried again. The problems and their
    audit rows must be written before.
    """
    notices = router.messages(changes, told)
    for notice in notices:
        problem = notice.problem
        body = ticket_ties.with_others(
            ticket.body(notice, console, audit.of_problem(conn, problem.id)),
            ties.of_problem(conn, problem.id),
            likeness.of_problem(conn, problem.id),
        )
        outbox.enqueue(conn, problem.id, notice.sink, notice.reason, body, at=notice.at, team=problem.team)
    return after(told, notices)


def recall(conn: Connection, problems: Iterable[Problem]) -> dict[str, Told]:
    """`told` as it stood at the last commit, for stored problems; for a restart."""
    by_id = {problem.id: problem for problem in problems}
    return {
        by_id[ident].key: Told(sinks, by_id[ident].updated, len(by_id[ident].alerts))
        for ident, sinks in backlog.told(conn, list(by_id)).items()
        if sinks
    }
