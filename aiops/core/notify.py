"""Which messages a problem's change causes, and to whom. What they say is in `aiops.core.ticket`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from aiops.core import words
from aiops.core.problem_change import ACTOR, ProblemChange, remark
from aiops.core.routing import Route, Routes, asked_next, waits_since
from aiops.core.ticket_style import Style
from aiops.core.told import Notice, Told
from aiops.model.lifecycle import ProblemState
from aiops.model.problem import NotifyReason, Problem

__all__ = ["Notice", "Route", "Router", "Told", "after"]

UPDATE_EVERY = 300.0
"""Seconds between two messages that only bring new evidence; people read none that come more often."""
GATHER_EVERY = 60.0
"""Seconds between two messages that only say how many problems more a storm has brought."""
LOOK_EVERY = 5.0
"""Seconds between two looks at what time alone makes worth saying."""


@dataclass
class Router:
    """Routes, and how many new tickets a sink gets: `most` within `window` seconds, then one for the rest."""

    routes: Routes = field(default_factory=Routes)
    most: int = 50
    window: float = 600.0
    styles: Mapping[str, Style] = field(default_factory=dict)
    """By sink; `PLAIN` for the others."""
    _looked: float = field(default=0.0, repr=False)

    def messages(self, changes: Sequence[ProblemChange], told: Mapping[str, Told]) -> list[Notice]:
        """What the changes of one commit cause, in the order in which it is to be said.

        `told` is by problem key. A sink that knows a problem goes on hearing of it, whatever the routes say
        by then; one that does not starts with `opened` (or `escalated`), never with `resolved`. Several
        changes at once are one message where it says them all, since each message is the whole ticket.
        Some are `held`: they are not to be sent.
        """
        by_problem: dict[str, list[ProblemChange]] = {}
        for change in changes:
            by_problem.setdefault(change.problem.key, []).append(change)
        known = dict(told)
        out: list[Notice] = []
        for key, its in by_problem.items():
            for notice in self._of_problem(its, known.get(key, Told())):
                out.append(self._gathered(notice, known))
                known |= after(known, out[-1:])
        return out

    def reminders(
        self, problems: Iterable[Problem], told: Mapping[str, Told], now: float
    ) -> list[ProblemChange]:
        """What time alone makes worth saying: whom to ask next, what a storm brought, hours that begin."""
        if now - self._looked < LOOK_EVERY:
            return []
        self._looked = now
        out: list[ProblemChange] = []
        for problem in problems:
            if problem.state is not ProblemState.RESOLVED and not problem.snoozed(now):
                out += self._remind(problem, told.get(problem.key, Told()), told, now)
        return out

    def _of_problem(self, changes: Sequence[ProblemChange], told: Told) -> list[Notice]:
        worth = _condensed(changes, told)
        if not worth:
            return []
        problem = changes[0].problem
        knowing = set(told.sinks)
        out: list[Notice] = []
        for reason, change in worth:
            taken = self.routes.of(problem, change.at)
            queues = {route.to: route.queue for route in reversed(taken)}
            for sink, said in self._audience(reason, change, taken, knowing, told).items():
                if sink not in knowing and said is not NotifyReason.ESCALATED:
                    said = NotifyReason.OPENED
                knowing.add(sink)
                out.append(Notice(problem, sink, said, change.reason, change.at, queues.get(sink, "")))
        return out

    def _audience(
        self,
        reason: NotifyReason,
        change: ProblemChange,
        taken: Sequence[Route],
        knowing: set[str],
        told: Told,
    ) -> dict[str, NotifyReason]:
        """Sink -> why it is told: those of the routes in their order, then others that know of it."""
        knows = {sink: reason for sink in self.routes.sinks if sink in knowing}
        wanted = dict.fromkeys((route.to for route in taken), reason)
        if reason is NotifyReason.RESOLVED:
            wanted = knows
        elif reason is NotifyReason.ESCALATED:
            due = [step.to for step in asked_next(taken, change.problem, change.at, told.asked)]
            if change.current == change.to:  # nothing new but whom to ask
                wanted = dict.fromkeys(due, reason)
            else:
                first = [route.steps[0].to for route in taken if route.steps]
                wanted |= dict.fromkeys(first + due, reason)
                wanted |= {sink: NotifyReason.UPDATED for sink in knows if sink not in wanted}
        else:
            wanted |= knows
        return {sink: why for sink, why in wanted.items() if sink in self.routes.sinks}

    def _gathered(self, notice: Notice, told: Mapping[str, Told]) -> Notice:
        """As it is; or held, since a ticket of this storm stands for it; or as that ticket."""
        sink, its = notice.sink, told.get(notice.problem.key, Told())
        if sink in its.sinks:
            return replace(notice, gathered=_held(sink, told)) if sink in its.gathers else notice
        since = notice.at - self.window
        if sum(sink in t.sinks and t.opened > since for t in told.values()) < self.most:
            return notice
        if any(sink in t.gathers and not t.over and t.opened > since for t in told.values()):
            return replace(notice, held=True)
        return replace(notice, gathers=True)

    def _remind(
        self, problem: Problem, its: Told, told: Mapping[str, Told], now: float
    ) -> list[ProblemChange]:
        if its.gathers and now - its.at >= GATHER_EVERY:
            more = max(len(_held(sink, told)) for sink in its.gathers)
            if more > its.gathered:
                text = f"the storm has brought {more} problems more that have no ticket of their own"
                return [remark(problem, text, now, NotifyReason.UPDATED)]
        routes = self.routes.routes
        waiting = problem.state is ProblemState.ESCALATED and not problem.acknowledged >= waits_since(problem)
        if waiting and any(len(route.steps) > 1 for route in routes):
            return self._ask_next(problem, its, now)
        if any(route.timed for route in routes) and not its.held:
            new = [r.to for r in self.routes.of(problem, now) if r.timed and r.to not in its.sinks]
            if new:
                return [remark(problem, f"the hours of {new[0]} have begun", now, NotifyReason.UPDATED)]
        return []

    def _ask_next(self, problem: Problem, its: Told, now: float) -> list[ProblemChange]:
        steps = asked_next(self.routes.of(problem, now), problem, now, its.asked)
        steps = [step for step in steps if step.to in self.routes.sinks]
        if not steps:
            return []
        text = f"nobody has acknowledged it for {words.duration(now - waits_since(problem))}"
        return [remark(problem, f"{text}: asking {steps[0].to}", now, NotifyReason.ESCALATED)]


def _held(sink: str, told: Mapping[str, Told]) -> tuple[str, ...]:
    return tuple(one.title for one in told.values() if sink in one.held)


def after(told: Mapping[str, Told], notices: Sequence[Notice]) -> dict[str, Told]:
    """What is known once `notices` are committed: the entries that changed."""
    changed: dict[str, Told] = {}
    for notice in notices:
        key = notice.problem.key
        changed[key] = (changed.get(key) or told.get(key, Told())).after(notice)
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
