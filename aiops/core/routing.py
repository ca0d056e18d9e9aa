"""Routes: which problems go to which sink, in which hours, and who is asked, one after the other."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiops.core.context import problem_context
from aiops.core.expressions import Expression
from aiops.core.hours import Hours
from aiops.model.problem import Problem


@dataclass(frozen=True, slots=True)
class Step:
    """After `after` seconds (of `hours` alone, where given) without an answer the sink `to` is told."""

    after: float
    to: str
    hours: Hours | None = None

    def due(self, since: float) -> float:
        """When that is (epoch s), for a problem that waits since `since`; infinity for never."""
        return self.hours.after(since, self.after) if self.hours else since + self.after


@dataclass(frozen=True, slots=True)
class Route:
    """Problems that match go to the sink `to`, into `queue` there; people are asked along `steps`."""

    match: Expression
    to: str
    queue: str = ""
    during: Hours | None = None
    outside: Hours | None = None
    last: bool = False
    steps: tuple[Step, ...] = ()

    def open_at(self, at: float) -> bool:
        """Whether it holds at that time of the week."""
        if self.during and not self.during.open_at(at):
            return False
        return not (self.outside and self.outside.open_at(at))

    @property
    def timed(self) -> bool:
        return bool(self.during or self.outside)


@dataclass(frozen=True)
class Routes:
    """As written, and the names of all sinks. Without routes, every problem goes to every sink."""

    routes: Sequence[Route] = ()
    sinks: Sequence[str] = ()
    _everything: Expression = field(default_factory=lambda: Expression("true"), repr=False)

    def all(self) -> Sequence[Route]:
        return self.routes or [Route(self._everything, sink) for sink in self.sinks]

    def taken(self, context: dict[str, Any], at: float) -> list[Route]:
        """Those that a problem takes at `at`; `context` is its `problem_context`."""
        found: list[Route] = []
        for route in self.all():
            if route.open_at(at) and route.match.matches({"problem": context}):
                found.append(route)
                if route.last:
                    break
        return found

    def of(self, problem: Problem, at: float) -> list[Route]:
        return self.taken(problem_context(problem), at)

    def wait(self, problem: Problem) -> float:
        """Seconds from when a person is waited for until one is asked; infinity when none is to be."""
        if not any(route.steps for route in self.routes):
            return math.inf
        since = waits_since(problem)
        context = problem_context(problem)
        # a route whose hours are over asks all the same: its step began in them
        matching = [r for r in self.routes if r.steps and r.match.matches({"problem": context})]
        return min((route.steps[0].due(since) - since for route in matching), default=math.inf)


def waits_since(problem: Problem) -> float:
    """Since when a person is waited for."""
    return problem.opened if math.isnan(problem.waited_from) else problem.waited_from


def asked_next(routes: Iterable[Route], problem: Problem, at: float, already: Iterable[str]) -> list[Step]:
    """Steps whose time has come and whose sink was not asked yet, in their order."""
    since, known = waits_since(problem), set(already)
    due = [step for route in routes for step in route.steps if step.due(since) <= at]
    return [step for step in due if step.to not in known]
