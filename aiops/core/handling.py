"""What runs and people do to one problem. Each returns what changed: nothing where it is too late for it.

Times are epoch seconds, `actor` is whose doing it is.
"""

import math

from aiops.core import words
from aiops.core.problem_change import ACTOR, ProblemChange, move, remark
from aiops.model.lifecycle import ProblemState
from aiops.model.problem import EscalationReason, Mark, NotifyReason, Problem, Tie, TieKind, Verdict

_OVER = ProblemState.RESOLVED


def remediating(problem: Problem, text: str, now: float) -> list[ProblemChange]:
    """A playbook begins."""
    if problem.state not in (ProblemState.OPEN, ProblemState.ESCALATED):
        return []
    return [move(problem, ProblemState.REMEDIATING, text, now)]


def repaired(problem: Problem, text: str, now: float) -> list[ProblemChange]:
    """A repair was verified."""
    return [] if problem.state is _OVER else [move(problem, _OVER, text, now)]


def let_go(problem: Problem, text: str, now: float) -> list[ProblemChange]:
    """A run ended without repairing it, and nobody has to be asked for that."""
    if problem.state is ProblemState.REMEDIATING:
        return [move(problem, ProblemState.OPEN, text, now)]
    if problem.state is _OVER:  # no word to a ticket that is closed
        return note(problem, text, now, ACTOR)
    return comment(problem, text, now, ACTOR)


def escalate(
    problem: Problem, reason: EscalationReason, text: str, now: float, actor: str = ACTOR
) -> list[ProblemChange]:
    """Ask a person, with the reason named. Nothing happens to a problem that is over."""
    if problem.state in (_OVER, ProblemState.ESCALATED):
        return []
    problem.escalation = reason
    said = f"{reason.value}: {text}" if text else reason.value
    return [move(problem, ProblemState.ESCALATED, said, now, actor)]


def resolve(problem: Problem, text: str, now: float, actor: str) -> list[ProblemChange]:
    return [] if problem.state is _OVER else [move(problem, _OVER, text, now, actor)]


def reopen(problem: Problem, text: str, now: float, actor: str) -> list[ProblemChange]:
    """A person says that it is not over: it then stays theirs until a person says that it is."""
    if problem.state is not _OVER:
        return []
    opened = move(problem, ProblemState.OPEN, text, now, actor)
    return [opened, *escalate(problem, EscalationReason.REOPENED, text, now, actor)]


def acknowledge(problem: Problem, now: float, actor: str) -> list[ProblemChange]:
    """Somebody looks at it, and it is theirs."""
    if problem.state is _OVER:
        return []
    problem.acknowledged, problem.assignee, problem.updated = now, actor, now
    return [remark(problem, f"acknowledged by {actor}", now, NotifyReason.UPDATED, actor)]


def assign(problem: Problem, to: str, now: float, actor: str, tell: bool = True) -> list[ProblemChange]:
    """It is theirs from now on; nobody's with an empty name. `tell`: unless the sinks said so themselves."""
    if problem.assignee == to:
        return []
    problem.assignee, problem.updated = to, now
    notify = NotifyReason.UPDATED if tell else None
    return [remark(problem, f"assigned to {to or 'nobody'}", now, notify, actor)]


def comment(problem: Problem, text: str, now: float, actor: str) -> list[ProblemChange]:
    problem.updated = now
    return [remark(problem, text, now, NotifyReason.UPDATED, actor)]


def note(problem: Problem, text: str, now: float, actor: str) -> list[ProblemChange]:
    """A comment that is not told to the sinks."""
    return [remark(problem, text, now, actor=actor)]


def snooze(problem: Problem, until: float, text: str, now: float, actor: str) -> list[ProblemChange]:
    """No news and no asking until then, unless it grows worse or users notice."""
    if problem.state is _OVER or until <= now:
        return []
    problem.snoozed_until, problem.updated = until, now
    said = f"snoozed for {words.duration(until - now)}" + (f": {text}" if text else "")
    return [remark(problem, said, now, NotifyReason.UPDATED, actor)]


def wake(problem: Problem, text: str, now: float, actor: str = ACTOR) -> list[ProblemChange]:
    """The snooze is over: a person is waited for from now on."""
    if math.isnan(problem.snoozed_until):
        return []
    problem.snoozed_until = math.nan
    problem.waited_from = problem.updated = now
    return [remark(problem, text, now, NotifyReason.UPDATED, actor)]


def link(problem: Problem, other: Problem, text: str, now: float, actor: str) -> list[ProblemChange]:
    """A person says that the two belong together; both stay as they are."""
    if other is problem:
        return []
    why = f": {text}" if text else ""
    tie = Tie(other, TieKind.RELATED, text)
    problem.updated = other.updated = now
    return [
        remark(problem, f"linked with {other.name}{why}", now, NotifyReason.UPDATED, actor, tie),
        remark(other, f"linked with {problem.name}{why}", now, NotifyReason.UPDATED, actor),
    ]


def mark(problem: Problem, verdict: Verdict, text: str, now: float, actor: str) -> list[ProblemChange]:
    """What a person says that it was. A false alarm is over, and its alerts do not bring it back."""
    problem.verdict, problem.updated = verdict, now
    said = _VERDICTS[verdict] + (f": {text}" if text else "")
    marked = remark(problem, said, now, NotifyReason.UPDATED, actor, mark=Mark(verdict, text))
    if verdict is not Verdict.FALSE or problem.state is _OVER:
        return [marked]
    return [marked, move(problem, _OVER, said, now, actor)]


_VERDICTS = {
    Verdict.TRUE: "marked as a true problem",
    Verdict.FALSE: "marked as a false alarm",
    Verdict.DUPLICATE: "marked as a duplicate",
}
