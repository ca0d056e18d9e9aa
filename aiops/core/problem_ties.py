"""Two problems that are one, and one that is two."""

import math
from collections.abc import Sequence

from aiops.core import handling
from aiops.core.problem_change import ACTOR, ProblemChange, move, remark
from aiops.core.problem_looks import noticed, rewrite, sli_firing, take_breach
from aiops.model.lifecycle import AlertState, ProblemState, Stage, check
from aiops.model.problem import NotifyReason, Problem, Tie, TieKind
from aiops.model.signal import Alert, Severity


class NoSense(ValueError):
    """These problems cannot be merged, or split that way; the message says why."""


def merge(kept: Problem, gone: Problem, because: str, now: float, actor: str = ACTOR) -> list[ProblemChange]:
    """All of `gone` goes into `kept`, which is then as early, as grave and as far as either was.

    `gone` is resolved, and its tickets are told into which problem it went; its runs are heard as those of
    `kept` (`Problems.heir`). Raises `NoSense`.
    """
    if kept is gone or kept.key == gone.key:
        raise NoSense("a problem cannot be merged with itself")
    if kept.team != gone.team:
        raise NoSense(f"{kept.name} is of team {kept.team}, {gone.name} of team {gone.team}")
    if gone.merged_into or kept.merged_into:
        merged = gone if gone.merged_into else kept
        raise NoSense(f"{merged.name} was merged already")
    out = [remark(kept, f"took in {gone.name}: {because}", now, NotifyReason.UPDATED, actor)]
    out += _state_of_both(kept, gone, now, actor)
    moved = _take_alerts(kept, gone)
    out += _lives_of_both(kept, gone, now)
    gone.merged_into = kept.key
    tie = Tie(kept, TieKind.MERGED, because, moved)
    said = f"merged into {kept.name}: {because}"
    if gone.state is ProblemState.RESOLVED:
        out.append(remark(gone, said, now, NotifyReason.UPDATED, actor, tie))
    else:
        out.append(move(gone, ProblemState.RESOLVED, said, now, actor, tie))
    if kept.alerts:
        rewrite(kept)
    return out


def _state_of_both(kept: Problem, gone: Problem, now: float, actor: str) -> list[ProblemChange]:
    if gone.state is ProblemState.RESOLVED:
        return []
    out = []
    if kept.state is ProblemState.RESOLVED:
        out.append(move(kept, ProblemState.OPEN, f"{gone.name} is the same and is not over", now, actor))
    if gone.state is ProblemState.REMEDIATING:
        out += handling.remediating(kept, f"the repair of {gone.name} goes on here", now)
    if gone.state is ProblemState.ESCALATED and gone.escalation and kept.state is ProblemState.OPEN:
        out += handling.escalate(kept, gone.escalation, f"from {gone.name}", now, actor)
    return out


def _take_alerts(kept: Problem, gone: Problem) -> tuple[Alert, ...]:
    moved = tuple(gone.alerts)
    places = {alert.key: place for place, alert in enumerate(kept.alerts)}
    for alert in moved:
        alert.problem_key = kept.key
        place = places.get(alert.key)
        if place is None:
            kept.alerts.append(alert)
        elif alert.started > kept.alerts[place].started:
            kept.alerts[place] = alert
    gone.alerts = []
    return moved


def _lives_of_both(kept: Problem, gone: Problem, now: float) -> list[ProblemChange]:
    kept.opened = min(kept.opened, gone.opened)
    kept.last_evidence = max(filter(math.isfinite, (kept.last_evidence, gone.last_evidence)), default=now)
    kept.severity = max((kept.severity, gone.severity), key=lambda s: s.level)
    kept.assignee = kept.assignee or gone.assignee
    if math.isnan(kept.acknowledged):
        kept.acknowledged = gone.acknowledged
    kept.quiet_since, kept.updated = math.nan, now
    if gone.stage is not Stage.ACTIVE:
        return []
    if kept.stage is Stage.ACTIVE:
        kept.breached = min(gone.breached, kept.breached)
        return []
    check(kept.stage, Stage.ACTIVE)
    kept.stage, kept.breached = Stage.ACTIVE, gone.breached
    text = f"users notice, as {gone.name} says"
    return [ProblemChange(kept, Stage.PREDICTED, Stage.ACTIVE, text, now, NotifyReason.BREACHED)]


def split(
    problem: Problem, alerts: Sequence[Alert], key: str, because: str, now: float, actor: str = ACTOR
) -> list[ProblemChange]:
    """`alerts` leave `problem` for one of their own: that of the first change, under `key`.

    `problem` is over when nothing is left in it that fires. Raises `NoSense` unless some of its alerts go and
    some stay.
    """
    going = {alert.key for alert in alerts}
    moved = [alert for alert in problem.alerts if alert.key in going]
    if not moved or len(moved) == len(problem.alerts):
        raise NoSense("some of its alerts must go, and some must stay")
    told = min((a.fired for a in moved if math.isfinite(a.fired)), default=now)
    new = Problem(key=key, opened=max(problem.opened, told), team=problem.team, alerts=moved)
    new.updated = new.last_evidence = problem.updated = now
    problem.alerts = [alert for alert in problem.alerts if alert.key not in going]
    for alert in moved:
        alert.problem_key = key
    new.severity = Severity.INFO
    rewrite(new)
    _look_again(problem)
    tie = Tie(problem, TieKind.SPLIT, because, tuple(moved))
    said = f"split from {problem.name}: {because}"
    notify = NotifyReason.OPENED
    new.reason = said
    out = [ProblemChange(new, "new", ProblemState.OPEN, said, now, notify, actor, tie)]
    sli = sli_firing(new)
    if sli is not None:
        new.stage, new.breached = Stage.ACTIVE, noticed(sli)
        text = "users notice: its SLI came along"
        out.append(ProblemChange(new, Stage.PREDICTED, Stage.ACTIVE, text, now, NotifyReason.BREACHED))
    count = f"{len(moved)} alert{'s' if len(moved) > 1 else ''}"
    went = f"{count} went to a problem of their own, {new.name}: {because}"
    if _over(problem, moved):
        out.append(move(problem, ProblemState.RESOLVED, f"{went}; nothing is left that fires", now, actor))
    else:
        out.append(remark(problem, went, now, NotifyReason.UPDATED, actor))
    return out


def _look_again(problem: Problem) -> None:
    """Nothing of what it shows may come from alerts that it no longer has."""
    problem.severity, problem.title = Severity.INFO, ""
    take_breach(problem, Problem("", math.nan))
    rewrite(problem)


def _over(problem: Problem, moved: Sequence[Alert]) -> bool:
    """Whether all that still fired of it went; a repair under way is heard to its end."""
    fire = [any(a.state is AlertState.FIRING for a in those) for those in (moved, problem.alerts)]
    return fire == [True, False] and problem.state in (ProblemState.OPEN, ProblemState.ESCALATED)
