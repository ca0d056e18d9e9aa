"""Routes in words: what each asks for, and what one problem's way through them is."""

import math
from datetime import UTC, datetime

from aiops.core import words
from aiops.core.context import problem_context
from aiops.core.routing import Route, Routes, Step, waits_since
from aiops.model.problem import Problem


def of_route(route: Route) -> str:
    """One line: ``problem.level >= level.major: itsm, queue Network; oncall after 15 min``."""
    match = "every problem" if route.match.text == "true" else route.match.text
    where = f"{route.to}, queue {route.queue}" if route.queue else route.to
    timed = " in its hours" if route.timed else ""
    steps = "".join(f"; {step.to} after {words.duration(step.after)}" for step in route.steps)
    return f"{match}: {where}{timed}{steps}{'; the last' if route.last else ''}"


def explain(routes: Routes, problem: Problem, at: float) -> list[str]:
    """Which routes `problem` takes at `at` (epoch s), and why not the others; whom each asks, and when."""
    context: dict[str, object] = {"problem": problem_context(problem)}
    lines: list[str] = []
    taken, over = 0, 0
    for number, route in enumerate(routes.all(), 1):
        why = f"route {over} is the last" if over else _why_not(route, context, at)
        lines.append(f"{number}. {of_route(route)}")
        lines.append(f"   not taken: {why}" if why else "   taken")
        if why:
            continue
        taken += 1
        over = number if route.last else 0
        lines += [f"   {_asks(step, problem)}" for step in route.steps]
    if not taken:
        lines.append("Nobody is told: no route takes it.")
    return lines


def _why_not(route: Route, context: dict[str, object], at: float) -> str:
    if not route.match.matches(context):
        return "its match does not hold"
    if route.during and not route.during.open_at(at):
        begins = route.during.open_from(at)
        return f"its hours begin at {_clock(begins)}" if math.isfinite(begins) else "its hours never begin"
    if route.outside and route.outside.open_at(at):
        return "it does not hold in these hours"
    return ""


def _asks(step: Step, problem: Problem) -> str:
    due = step.due(waits_since(problem))
    when = f"at {_clock(due)}" if math.isfinite(due) else "never, since its hours never come"
    return f"asks {step.to} if nobody answers for {words.duration(step.after)}: {when}"


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%a %Y-%m-%d %H:%M UTC")
