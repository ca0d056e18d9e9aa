"""Runs that are asked for: by the fit of a playbook, or by a person; and whom they ask for approval."""

from aiops.core import handling
from aiops.core.context import problem_context
from aiops.core.problem_change import ProblemChange, remark
from aiops.core.remediate import Refusal
from aiops.core.terms import SERVICE
from aiops.engine import messages as say
from aiops.engine.state import State
from aiops.engine.work import Work
from aiops.model.lifecycle import RunState
from aiops.model.problem import NotifyReason, Problem, Run

REPLICA = ("instance", "pod", "host", "container")
"""Labels of which one tells the replicas of a service apart; the first that its series bear."""


def asked(state: State, work: Work, problem: Problem, message: say.Remediate) -> list[ProblemChange]:
    """A person asks for a run of a playbook; why it may not be, is said in the problem's timeline."""
    openings = [one.opened for one in state.problems.known]
    decision = state.remediation.asked(
        problem,
        problem_context(problem),
        message.playbook,
        message.by,
        work.now,
        openings,
        lambda: replicas_of(state, problem),
    )
    if isinstance(decision, Refusal):
        text = f"{message.playbook} is not run, which {message.by} asked for: {decision.text}"
        return handling.note(problem, text, work.now, message.by)
    return queued(work, problem, decision)


def queued(work: Work, problem: Problem, run: Run) -> list[ProblemChange]:
    """Store the run with this work; whom it asks for approval is told with the problem."""
    work.runs.append((problem, run))
    by = f", which {run.asked_by} asked for," if run.asked_by else ""
    if run.state is RunState.AWAITING_APPROVAL:
        text = f"{run.playbook}{by} waits for approval: it would act on {run.target}"
        return [remark(problem, text, work.now, NotifyReason.UPDATED)]
    return (
        handling.note(problem, f"{run.playbook} begins, as {run.asked_by} asked", work.now, run.asked_by)
        if by
        else []
    )


def replicas_of(state: State, problem: Problem) -> int:
    """How many replicas of the problem's service are watched; 0 when that cannot be told."""
    service = dict(problem.labels).get(SERVICE, "")
    found = [dict(state.index.labels(slot)) for slot in state.components.slots(service)] if service else []
    for name in REPLICA:
        if values := {labels[name] for labels in found if labels.get(name)}:
            return len(values)
    return 0
