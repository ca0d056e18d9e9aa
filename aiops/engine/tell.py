"""From changes of problems to rows of the outbox, inside the transaction that records the changes."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy.engine import Connection

from aiops.config import Config
from aiops.config.locale import translator
from aiops.config.routing import RouteRule
from aiops.config.tickets import TicketStyle
from aiops.core import ticket, ticket_approval, ticket_plots, ticket_ties
from aiops.core.expressions import Expression
from aiops.core.hours import Hours
from aiops.core.notify import Router, Told, after
from aiops.core.problem_change import ProblemChange
from aiops.core.routing import Route, Routes, Step
from aiops.core.ticket_style import PLAIN, Style, dress
from aiops.core.ticket_words import english
from aiops.model.lifecycle import ProblemState
from aiops.model.problem import NotifyReason, Problem
from aiops.store import approvals, audit, backlog, likeness, outbox, ties, views


def router_of(config: Config) -> Router:
    """The routes as configured."""
    hours = {name: rule.hours for name, rule in config.hours.items()}
    routes = [_route(rule, hours) for rule in config.routes]
    known = Routes(routes, [sink.name for sink in config.sinks])
    styles = {sink.name: _style(config.tickets.sinks.get(sink.name, config.tickets)) for sink in config.sinks}
    return Router(known, config.storm.most, config.storm.window, styles)


def _style(rule: TicketStyle) -> Style:
    tr = translator(rule.language) if rule.language != "en" else english
    return Style(rule.title, rule.text, tr, rule.defaults, tuple(rule.required))


def _route(rule: RouteRule, hours: Mapping[str, Hours]) -> Route:
    steps = tuple(Step(one.after, one.to or rule.to, hours.get(one.during)) for one in rule.escalate)
    when = (hours.get(rule.during), hours.get(rule.outside))
    return Route(Expression(rule.match), rule.to, rule.queue, *when, rule.last, steps)


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
        if notice.held:
            continue
        problem = notice.problem
        body = ticket_ties.with_others(
            ticket.body(notice, console, audit.of_problem(conn, problem.id)),
            ties.of_problem(conn, problem.id),
            likeness.of_problem(conn, problem.id),
        )
        body = ticket_approval.with_approval(body, approvals.wanted(conn, problem.id))
        style = router.styles.get(notice.sink, PLAIN)
        body = dress(body, notice, style, _plots(conn, problem) if notice.reason in _PICTURED else ())
        outbox.enqueue(conn, problem.id, notice.sink, notice.reason, body, at=notice.at, team=problem.team)
    return after(told, notices)


_PICTURED = (NotifyReason.OPENED, NotifyReason.BREACHED, NotifyReason.ESCALATED)


def _plots(conn: Connection, problem: Problem) -> list[dict[str, Any]]:
    alerts = ticket_plots.shown(problem)
    return ticket_plots.plots(alerts, views.evidence_of(conn, [alert.id for alert in alerts]))


def recall(conn: Connection, problems: Iterable[Problem]) -> dict[str, Told]:
    """`told` as it stood at the last commit, for stored problems; for a restart."""
    known = {problem.id: problem for problem in problems}
    return {known[ident].key: _told(known[ident], said) for ident, said in backlog.said(conn, known).items()}


def _told(problem: Problem, said: Sequence[backlog.Said]) -> Told:
    asked: set[str] = set()
    for one in said:
        if one.reason is NotifyReason.REOPENED:
            asked.clear()
        if one.reason is NotifyReason.ESCALATED:
            asked.add(one.sink)
    return Told(
        frozenset(one.sink for one in said),
        problem.updated,
        len(problem.alerts),
        said[0].at,
        frozenset(asked),
        title=problem.title,
        over=problem.state is ProblemState.RESOLVED,
    )
