"""The first stage of the one path: what runs and people said about problems."""

import logging

from aiops.core import handling
from aiops.core.playbook import Autonomy
from aiops.core.problem_change import ACTOR, ProblemChange
from aiops.core.problem_ties import NoSense
from aiops.core.problems import Problems
from aiops.engine import messages as say
from aiops.engine.asking import asked
from aiops.engine.state import State
from aiops.engine.work import Work
from aiops.model.lifecycle import RunState
from aiops.model.problem import EscalationReason, Problem, Run, Verdict

log = logging.getLogger("aiops.pipeline")

_GOES_ON = say.RunStarted | say.RunEnded | say.Comment | say.Heard | say.Reopen
"""What was said of a merged problem and is meant for the one that it went into; closing a duplicate's ticket
is not closing the other's."""


def answer(state: State, work: Work) -> None:
    """Runs first take their own course; then the problem takes notice."""
    message = work.message
    if message is None:
        return
    match message:
        case say.RunStarted(run_id=run_id):
            state.remediation.heard(run_id, RunState.RUNNING, work.now)
        case say.RunEnded(run_id=run_id, state=ended):
            state.remediation.heard(run_id, ended, work.now)
    problem = state.problems.find(message.problem_id)
    if problem is None:
        log.warning("message for problem %s, which is over: %s", message.problem_id, message)
        return
    if isinstance(message, _GOES_ON):
        problem = state.problems.heir(problem)
    if isinstance(message, say.Remediate):
        work.problem_changes += asked(state, work, problem, message)
    elif isinstance(message, say.RunStarted | say.RunEnded):
        run = state.remediation.run(message.run_id)
        work.problem_changes += _of_run(problem, message, run, work.now)
    else:
        try:
            work.problem_changes += _of_people(state.problems, problem, message, work.now)
        except NoSense as why:
            log.warning("%s cannot be done: %s", message, why)


def _of_run(
    problem: Problem, message: say.RunStarted | say.RunEnded, run: Run | None, now: float
) -> list[ProblemChange]:
    match message:
        case say.RunEnded(dry_run=True, text=text) if run and run.autonomy == Autonomy.OBSERVE:
            return handling.note(problem, text, now, ACTOR)
        case say.RunStarted(text=text):
            return handling.remediating(problem, text, now)
        case say.RunEnded(dry_run=True, text=text):
            return handling.comment(problem, text, now, ACTOR)
        case say.RunEnded(state=RunState.SUCCEEDED, text=text):
            return handling.repaired(problem, text, now)
        case say.RunEnded(reason=None, text=text):
            return handling.let_go(problem, text, now)
        case say.RunEnded(reason=EscalationReason() as reason, text=text):
            return handling.escalate(problem, reason, text, now)
    return []


def _of_people(
    problems: Problems, problem: Problem, message: say.Handling | say.Heard, now: float
) -> list[ProblemChange]:
    by = message.by
    match message:
        case say.Acknowledge():
            return handling.acknowledge(problem, now, by)
        case say.Resolve(note=note):
            return handling.resolve(problem, note or f"resolved by {by}", now, by)
        case say.Escalate(note=note):
            return handling.escalate(problem, EscalationReason.BY_HAND, note, now, by)
        case say.Reopen(note=note):
            return handling.reopen(problem, note or f"opened again by {by}", now, by)
        case say.Assign(to=to, heard=heard):
            return handling.assign(problem, to, now, by, tell=not heard)
        case say.Snooze(until=until, note=note):
            return handling.snooze(problem, until, note, now, by)
        case say.Wake():
            return handling.wake(problem, f"woken by {by}", now, by)
        case say.Heard(text=text):
            return handling.note(problem, text, now, by)
        case say.Comment(text=text):
            return handling.comment(problem, text, now, by)
    return _of_several(problems, problem, message, now)


def _of_several(
    problems: Problems, problem: Problem, message: say.Handling | say.Heard, now: float
) -> list[ProblemChange]:
    """What touches other problems too. Raises `NoSense`."""
    by = message.by
    match message:
        case say.Link(other_id=other_id, note=note):
            return handling.link(problem, _known(problems, other_id), note, now, by)
        case say.Merge(into_id=into_id, note=note):
            kept = problems.heir(_known(problems, into_id))
            return problems.merge(kept, problem, note or f"{by} says they are one", now, by)
        case say.Split(alert_ids=ids, note=note):
            going = [alert for alert in problem.alerts if alert.id in ids]
            return problems.split(problem, going, note or f"{by} says they are two", now, by)
        case say.Judge(verdict=verdict, note=note, duplicate_of=other_id):
            marked = handling.mark(problem, verdict, note, now, by)
            if verdict is not Verdict.DUPLICATE or not other_id:
                return marked
            kept = problems.heir(_known(problems, other_id))
            return [*marked, *problems.merge(kept, problem, note or f"a duplicate, says {by}", now, by)]
    return []


def _known(problems: Problems, problem_id: int) -> Problem:
    found = problems.find(problem_id)
    if found is None:
        raise NoSense(f"problem {problem_id} is not known")
    return found
