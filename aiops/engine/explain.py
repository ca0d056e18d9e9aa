"""Two stages of the one path: changes that were made, and why a problem is there."""

from aiops.core import changes, handling
from aiops.core.components import entity_of
from aiops.core.inquiry import Finding
from aiops.core.rootcause_gather import began, surroundings
from aiops.engine.state import State
from aiops.engine.work import Work
from aiops.model.frame import Change
from aiops.model.lifecycle import ProblemState
from aiops.model.problem import NotifyReason, Problem, TieKind


def hear(state: State, work: Work) -> None:
    """A deploy or the like joins the timeline of every open problem that it may concern."""
    work.changes = [change for change in work.changes if state.changes.take(change)]
    for change in work.changes:
        for problem in state.problems.known:
            if problem.state is not ProblemState.RESOLVED and _concerns(state, change, problem):
                text = changes.words_of(change)
                work.problem_changes += handling.note(problem, text, change.time, actor=work.source)


def explain(state: State, work: Work) -> None:
    """Rank the likely causes of at most one problem: a look takes some 40 ms, and detection waits for it."""
    opened = {c.problem.key for c in work.problem_changes if c.notify is NotifyReason.OPENED}
    changed = {c.problem.key for c in work.problem_changes}
    for problem in state.problems.known:
        if problem.key in opened:
            _tell_changes(state, work, problem)
    due = state.inquiry.next(state.problems.known, changed, work.now)
    if due is None:
        return
    open_ = [p for p in state.problems.known if p.state is not ProblemState.RESOLVED and p is not due]
    siblings = state.problems.arranged.siblings(due)
    finding = state.inquiry.look(due, state.changes.before(began(due)), work.now, open_, siblings)
    work.explained.append(due)
    if finding.news:
        # a message that opens the problem tells it anyway
        tell = handling.note if due.key in opened else handling.comment
        work.problem_changes += tell(due, finding.news, work.now, actor="forewarn")
    _regroup(state, work, due, finding)


def _regroup(state: State, work: Work, due: Problem, finding: Finding) -> None:
    """Problems that turn out to be two, or one."""
    changes = state.problems.regroup(due, finding.apart, finding.twin, work.now)
    work.problem_changes += changes
    for change in changes:
        if change.tie and change.tie.kind is TieKind.SPLIT:
            work.explained.append(change.problem)
            _tell_changes(state, work, change.problem)


def _tell_changes(state: State, work: Work, problem: Problem) -> None:
    """What was changed shortly before a new problem began."""
    start = began(problem)
    for change in state.changes.before(start):
        if _concerns(state, change, problem):
            text = f"{changes.words_of(change)}, {changes.when(change, start)}"
            work.problem_changes += handling.note(problem, text, change.time, actor="forewarn")


def _concerns(state: State, change: Change, problem: Problem) -> bool:
    by = state.config.grouping.by
    named = dict.fromkeys(filter(None, (entity_of(a.labels, by) for a in problem.alerts)))
    return state.changes.concern(change, surroundings(state.problems.topology, list(named)))
