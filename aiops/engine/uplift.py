"""Gathers, for every playbook, how the problems that it fits went with it and without it."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sqlalchemy.engine import Connection

from aiops.core.acts import BadArguments
from aiops.core.context import problem_context
from aiops.core.playbook import Playbook
from aiops.core.terms import service_of
from aiops.core.uplift import Course, Uplift, by_history, randomised
from aiops.model.lifecycle import LIVE_RUN, RunState
from aiops.model.problem import Problem, Run
from aiops.model.signal import Severity
from aiops.store import uplift

WINDOW = 600.0
"""Seconds within which a problem heals or does not."""


@dataclass(slots=True)
class Found:
    """Of one playbook and service; an empty service: of all of them together."""

    playbook: str
    service: str
    courses: list[Course] = field(default_factory=list)

    def history(self, window: float, now: float) -> Uplift:
        return by_history(self.courses, window, now)

    def randomised(self, now: float) -> tuple[Uplift, float] | None:
        return randomised(self.courses, now)


def measure(conn: Connection, playbooks: Iterable[Playbook], since: float) -> list[Found]:
    """For every playbook that has met a problem since then (epoch s): all services, then each by itself.

    Of the newest problems, as many as `aiops.store.uplift` gives.
    """
    known, by_hand = uplift.problems_since(conn, since), uplift.ended_by_hand(conn, since)
    of_problem = uplift.runs_of(conn, known)
    found: dict[tuple[str, str], Found] = {}
    for playbook in playbooks:
        for problem in known:
            met = _met(playbook, problem, of_problem.get(problem.id, ()), problem.id in by_hand)
            if met is not None:
                for service in ("", met[0]):
                    key = (playbook.name, service)
                    found.setdefault(key, Found(*key)).courses.append(met[1])
    return [found[key] for key in sorted(found)]


def _met(
    playbook: Playbook, problem: Problem, its: Iterable[Run], by_hand: bool
) -> tuple[str, Course] | None:
    """Service and course of a problem that the playbook fits; None when it does not, or another acted."""
    began = [run for run in its if not run.dry_run and not math.isnan(run.started)]
    mine = [run for run in its if run.playbook == playbook.name and not run.asked_by]
    if any(run.playbook != playbook.name or run.asked_by for run in began):
        return None
    over = problem.resolved
    if mine:
        return mine[0].service or mine[0].target, _course(problem, mine, over, by_hand)
    context: Mapping[str, object] = {"problem": problem_context(problem)}
    if not playbook.match.matches(context):
        return None
    try:
        service = service_of(dict(problem.labels), playbook.target_of(context))
    except BadArguments:
        return None
    return service, Course(problem.opened, over, acted=False, by_hand=by_hand)


def _course(problem: Problem, mine: list[Run], over: float, by_hand: bool) -> Course:
    """From the first run; what was dry, or ended before it began, is a problem that was let be."""
    first = next((run for run in mine if not run.dry_run), mine[0])
    acted = [run for run in mine if not run.dry_run and not math.isnan(run.started)]
    noticed = problem.breached <= first.queued or problem.severity is Severity.CRITICAL
    waited = not math.isnan(first.expires)
    return Course(
        first.queued,
        over,
        acted=bool(acted),
        verified=any(run.state is RunState.SUCCEEDED for run in acted),
        by_hand=by_hand,
        held_until=first.not_before or math.nan,
        eligible=not (noticed or waited or first.dry_run or first.state in LIVE_RUN),
    )
