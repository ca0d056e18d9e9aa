"""Which messages a problem's change causes, and to whom. What they say is in `aiops.core.ticket`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from aiops.core.context import problem_context
from aiops.core.expressions import Expression
from aiops.core.problem_change import ACTOR, ProblemChange
from aiops.model.lifecycle import ProblemState
from aiops.model.problem import NotifyReason, Problem

UPDATE_EVERY = 300.0
"""Seconds between two messages that only bring new evidence; people read none that come more often."""


@dataclass(frozen=True, slots=True)
class Route:
    """Problems that match go to the sink `to`; asking a person goes to `escalate_to` as well."""

    match: Expression
    to: str
    escalate_to: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """What the outside knows of one problem. A problem without one has never been spoken of."""

    sinks: frozenset[str] = frozenset()
    """Sinks that have a ticket, or will get one."""
    at: float = 0.0
    """When anything was last said (epoch s)."""
    evidence: int = 0
    """How many alerts it spoke of."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One message to one sink, still without its body."""

    problem: Problem
    sink: str
    reason: NotifyReason
    why: str
    """The change's own words."""
    at: float


@dataclass(frozen=True)
class Router:
    """The configured routes and the names of all sinks. Without routes, every problem goes to every sink."""

    routes: Sequence[Route] = ()
    sinks: Sequence[str] = ()
    _everything: Expression = field(default_factory=lambda: Expression("true"), repr=False)

    def messages(self, changes: Sequence[ProblemChange], told: Mapping[str, Told]) -> list[Notice]:
        """What the changes of one commit cause, in the order in which it is to be said.

        `told` is by problem key. A sink that knows a problem goes on hearing of it, whatever the routes say
        by then; one that does not starts with `opened` (or `escalated`), never with `resolved`. Several
        changes at once are one message where it says them all, since each message is the whole ticket.
        """
        by_problem: dict[str, list[ProblemChange]] = {}
        for change in changes:
            by_problem.setdefault(change.problem.key, []).append(change)
        out: list[Notice] = []
        for key, its in by_problem.items():
            out += self._of_problem(its, told.get(key, Told()))
        return out

    def _of_problem(self, changes: Sequence[ProblemChange], told: Told) -> list[Notice]:
        worth = _condensed(changes, told)
        if not worth:
            return []
        problem = changes[0].problem
        context = {"problem": problem_context(problem)}
        matching = [route for route in self._routes() if route.match.matches(context)]
        knowing = set(told.sinks)
        out: list[Notice] = []
        for reason, change in worth:
            for sink in self._audience(reason, matching, knowing):
                first = sink not in knowing and reason is not NotifyReason.ESCALATED
                said = NotifyReason.OPENED if first else reason
                knowing.add(sink)
                out.append(Notice(problem, sink, said, change.reason, change.at))
        return out

    def _audience(self, reason: NotifyReason, matching: Sequence[Route], knowing: set[str]) -> list[str]:
        """Sink names, once each: those of the routes in their order, then others that know of it."""
        if reason is NotifyReason.RESOLVED:
            return [sink for sink in self.sinks if sink in knowing]
        wanted = [route.to for route in matching]
        if reason is NotifyReason.ESCALATED:
            wanted += [route.escalate_to for route in matching if route.escalate_to]
        wanted += [sink for sink in self.sinks if sink in knowing]
        return [sink for sink in dict.fromkeys(wanted) if sink in self.sinks]

    def _routes(self) -> Sequence[Route]:
        return self.routes or [Route(self._everything, sink) for sink in self.sinks]


def after(told: Mapping[str, Told], notices: Sequence[Notice]) -> dict[str, Told]:
    """What is known once `notices` are committed: the entries that changed."""
    changed: dict[str, Told] = {}
    for notice in notices:
        key = notice.problem.key
        before = changed.get(key) or told.get(key, Told())
        changed[key] = Told(before.sinks | {notice.sink}, notice.at, len(notice.problem.alerts))
    return changed


_SOFT = (
    NotifyReason.UPDATED,
    NotifyReason.REMEDIATING,
    NotifyReason.BREACHED,
    NotifyReason.REOPENED,
    NotifyReason.OPENED,
)
"""Of these, said at one time, only the last is worth a message: its body tells the others."""


def _condensed(changes: Sequence[ProblemChange], told: Told) -> list[tuple[NotifyReason, ProblemChange]]:
    """The changes worth a message, each with its reason."""
    out: list[tuple[NotifyReason, ProblemChange]] = []
    for change in changes:
        reason = _reason(change, told)
        if reason is None:
            continue
        if out and reason in _SOFT and out[-1][0] in _SOFT:
            if _SOFT.index(reason) > _SOFT.index(out[-1][0]):
                out[-1] = (reason, change)
        else:
            out.append((reason, change))
    return out


def _reason(change: ProblemChange, told: Told) -> NotifyReason | None:
    problem = change.problem
    if change.notify in (None, NotifyReason.UPDATED) and change.actor == ACTOR and problem.snoozed(change.at):
        return None
    if change.notify is not None:
        return change.notify
    if not told.sinks or problem.state is ProblemState.RESOLVED:
        return None
    news = len(problem.alerts) > told.evidence and change.at - told.at >= UPDATE_EVERY
    return NotifyReason.UPDATED if news else None
