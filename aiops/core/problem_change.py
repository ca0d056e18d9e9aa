"""What happened to a problem, as one value; and the two ways in which it happens."""

import math
from dataclasses import dataclass

from aiops.model.lifecycle import ProblemState, check
from aiops.model.problem import Mark, NotifyReason, Problem, Tie

ACTOR = "forewarn"
"""Who acts when nobody else does."""


@dataclass(frozen=True, slots=True)
class ProblemChange:
    """What happened to a problem: a transition, or a remark when ``current`` and ``to`` are the same."""

    problem: Problem
    current: str
    to: str
    reason: str
    at: float
    notify: NotifyReason | None = None
    actor: str = ACTOR
    tie: Tie | None = None
    mark: Mark | None = None


def move(
    problem: Problem,
    to: ProblemState,
    reason: str,
    now: float,
    actor: str = ACTOR,
    tie: Tie | None = None,
) -> ProblemChange:
    """Bring `problem` into the state `to`. Raises `IllegalTransition`, changing nothing."""
    check(problem.state, to)
    current, problem.state = problem.state, to
    problem.reason, problem.updated = reason, now
    if to is ProblemState.RESOLVED:
        problem.resolved, problem.snoozed_until = now, math.nan
    elif current is ProblemState.RESOLVED:
        problem.resolved, problem.escalation = math.nan, None
        problem.last_evidence = problem.waited_from = now
        problem.flaps += 1
    notify = NotifyReason.REOPENED if current is ProblemState.RESOLVED else _NOTIFY[to]
    return ProblemChange(problem, current, to, reason, now, notify, actor, tie)


def remark(
    problem: Problem,
    text: str,
    now: float,
    notify: NotifyReason | None = None,
    actor: str = ACTOR,
    tie: Tie | None = None,
    mark: Mark | None = None,
) -> ProblemChange:
    """Something worth a line in the timeline that leaves the state as it is."""
    return ProblemChange(problem, problem.state, problem.state, text, now, notify, actor, tie, mark)


_NOTIFY = {
    ProblemState.OPEN: None,
    ProblemState.REMEDIATING: NotifyReason.REMEDIATING,
    ProblemState.ESCALATED: NotifyReason.ESCALATED,
    ProblemState.RESOLVED: NotifyReason.RESOLVED,
}
