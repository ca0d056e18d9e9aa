"""Problems: opened, joined, breached, remediating, resolved, escalated. Owns their every transition."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from aiops.core import words
from aiops.core.correlate import Correlator, Placement, common_labels, importance, still_firing
from aiops.core.settings import GroupingSettings
from aiops.model.lifecycle import AlertState, ProblemState, Stage, check
from aiops.model.problem import EscalationReason, NotifyReason, Problem
from aiops.model.signal import Alert, AlertKind, Severity

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


class Problems:
    """All problems that are not over, and those that may still be reopened."""

    def __init__(
        self,
        settings: GroupingSettings,
        new_key: Callable[[], str],
        escalate_after: Callable[[Problem], float],
    ) -> None:
        self.settings = settings
        self._new_key = new_key
        self._escalate_after = escalate_after
        self._correlator = Correlator(settings)
        self.known: list[Problem] = []
        self._brewing: list[Problem] = []
        self._reopened: dict[str, float] = {}
        """Per key, when a problem came back: a person has only been waited for since then."""

    def restore(self, problems: Iterable[Problem], loose: Iterable[Alert], now: float) -> None:
        """Take up stored problems, and firing alerts that were not yet enough for one."""
        self.known = list(problems)
        for alert in loose:
            self._join(alert, now)

    def adopt(self, old: "Problems") -> None:
        """Go on with the problems of `old`, under our own settings."""
        self.known, self._brewing, self._reopened = old.known, old._brewing, old._reopened
        self._correlator.adopt(old._correlator)

    def find(self, problem_id: int) -> Problem | None:
        return next((p for p in self.known if p.id == problem_id), None)

    def correlate(self, live: Iterable[Alert], now: float) -> list[ProblemChange]:
        """Place alerts that fire and have no place yet, and open what has gathered enough evidence.

        `live`: all alerts that have not resolved. One that was silenced finds its place when that is over.
        """
        out: list[ProblemChange] = []
        for alert in live:
            if _counts(alert) and not alert.problem_key:
                out += self._join(alert, now)
        for brewing in list(self._brewing):
            out += self._brew(brewing, now)
        for problem in self.known:
            if problem.state is not ProblemState.RESOLVED:
                out += self._refresh(problem, now)
        return out

    def tick(self, now: float) -> list[ProblemChange]:
        """What time alone brings: cleared, still broken after a repair, or too long without an answer."""
        out: list[ProblemChange] = []
        for problem in self.known:
            firing = still_firing(problem)
            held = problem.escalation is EscalationReason.REOPENED
            if problem.state in (ProblemState.OPEN, ProblemState.ESCALATED) and not firing and not held:
                out.append(self._move(problem, ProblemState.RESOLVED, _cleared(problem), now))
            elif problem.state is ProblemState.RESOLVED and firing and self._unsettled(problem, now):
                out.append(self._move(problem, ProblemState.OPEN, "its alerts never stopped", now))
            elif problem.state is ProblemState.OPEN:
                waited = now - self._reopened.get(problem.key, problem.opened)
                if waited >= self._escalate_after(problem):
                    text = f"still open after {words.duration(waited)}"
                    out += self.escalate(problem, EscalationReason.TIMEOUT, text, now)
        self._forget(now - 2 * self.settings.reopen_within)
        return out

    def _forget(self, before: float) -> None:
        """Those resolved before then and quiet since: they cannot be reopened any more."""
        self.known = [p for p in self.known if not (p.resolved < before and not still_firing(p))]
        keys = {p.key for p in self.known}
        self._reopened = {key: at for key, at in self._reopened.items() if key in keys}

    def remediating(self, problem: Problem, text: str, now: float) -> list[ProblemChange]:
        if problem.state not in (ProblemState.OPEN, ProblemState.ESCALATED):
            return []
        return [self._move(problem, ProblemState.REMEDIATING, text, now)]

    def repaired(self, problem: Problem, text: str, now: float) -> list[ProblemChange]:
        """A repair was verified."""
        if problem.state is ProblemState.RESOLVED:
            return []
        return [self._move(problem, ProblemState.RESOLVED, text, now)]

    def let_go(self, problem: Problem, text: str, now: float) -> list[ProblemChange]:
        """A run ended without repairing it, and nobody has to be asked for that."""
        if problem.state is not ProblemState.REMEDIATING:
            return self.comment(problem, text, now, ACTOR)
        return [self._move(problem, ProblemState.OPEN, text, now)]

    def escalate(
        self, problem: Problem, reason: EscalationReason, text: str, now: float, actor: str = ACTOR
    ) -> list[ProblemChange]:
        """Ask a person, with the reason named. Nothing happens to a problem that is over."""
        if problem.state in (ProblemState.RESOLVED, ProblemState.ESCALATED):
            return []
        problem.escalation = reason
        words_of_it = f"{reason.value}: {text}" if text else reason.value
        return [self._move(problem, ProblemState.ESCALATED, words_of_it, now, actor)]

    def resolve(self, problem: Problem, text: str, now: float, actor: str) -> list[ProblemChange]:
        if problem.state is ProblemState.RESOLVED:
            return []
        return [self._move(problem, ProblemState.RESOLVED, text, now, actor)]

    def reopen(self, problem: Problem, text: str, now: float, actor: str) -> list[ProblemChange]:
        """A person says that it is not over: it then stays theirs until a person says that it is."""
        if problem.state is not ProblemState.RESOLVED:
            return []
        opened = self._move(problem, ProblemState.OPEN, text, now, actor)
        return [opened, *self.escalate(problem, EscalationReason.REOPENED, text, now, actor)]

    def recall(self, problem: Problem) -> None:
        """Take up a stored problem that was over long ago and that somebody speaks of again."""
        if self.find(problem.id) is None:
            self.known.append(problem)

    def assign(self, problem: Problem, to: str, now: float, actor: str) -> list[ProblemChange]:
        if problem.assignee == to:
            return []
        problem.assignee, problem.updated = to, now
        return [self._remark(problem, f"assigned to {to or 'nobody'}", now, actor=actor)]

    def acknowledge(self, problem: Problem, now: float, actor: str) -> list[ProblemChange]:
        problem.acknowledged, problem.assignee, problem.updated = now, actor, now
        return [self._remark(problem, f"acknowledged by {actor}", now, actor=actor)]

    def comment(self, problem: Problem, text: str, now: float, actor: str) -> list[ProblemChange]:
        problem.updated = now
        return [self._remark(problem, text, now, NotifyReason.UPDATED, actor)]

    def note(self, problem: Problem, text: str, now: float, actor: str) -> list[ProblemChange]:
        """A comment that is not told to the sinks."""
        return [self._remark(problem, text, now, actor=actor)]

    # -- how one alert finds its place

    def _join(self, alert: Alert, now: float) -> list[ProblemChange]:
        placed = self._correlator.place(alert, [*self.known, *self._brewing], now)
        if placed.problem is None:
            self._brewing.append(_fresh(self._new_key(), alert, now))
            return []
        return self._attach(placed, now)

    def _attach(self, placed: Placement, now: float) -> list[ProblemChange]:
        problem, alert = placed.problem, placed.alert
        assert problem is not None
        same = [i for i, known in enumerate(problem.alerts) if known.key == alert.key]
        for i in same:
            problem.alerts[i] = alert
        if not same:
            problem.alerts.append(alert)
        alert.problem_key = problem.key
        problem.last_evidence = problem.updated = now
        if problem in self._brewing:
            return []
        out = []
        if problem.state is ProblemState.RESOLVED:
            out.append(self._move(problem, ProblemState.OPEN, placed.because, now))
        else:
            out.append(self._remark(problem, f"{words.of_alert(alert)} (joined: {placed.because})", now))
        return out

    def _brew(self, problem: Problem, now: float) -> list[ProblemChange]:
        """Open a gathering of alerts once it is worth somebody's time; drop it when it has cleared."""
        firing = [a for a in problem.alerts if _counts(a)]
        if not firing:
            self._brewing.remove(problem)
            for alert in problem.alerts:
                alert.problem_key = ""
            return []
        grave = any(a.severity.level >= Severity.MAJOR.level for a in firing)
        if not grave and len(firing) < self.settings.open_at:
            return []
        self._brewing.remove(problem)
        self.known.append(problem)
        problem.opened = problem.updated = now
        self._rewrite(problem)
        return [ProblemChange(problem, "new", ProblemState.OPEN, problem.title, now, NotifyReason.OPENED)]

    def _refresh(self, problem: Problem, now: float) -> list[ProblemChange]:
        """What its alerts say by now: worse severity, or the breach of its SLI."""
        before = problem.severity
        self._rewrite(problem)
        out = []
        sli = next(
            (a for a in problem.alerts if a.kind is AlertKind.SLI and a.state is AlertState.FIRING), None
        )
        if sli is not None and problem.stage is Stage.PREDICTED:
            check(problem.stage, Stage.ACTIVE)
            problem.breached, problem.stage, problem.updated = sli.fired, Stage.ACTIVE, now
            lead = problem.lead_seconds
            early = f"lead time {words.duration(lead)}" if lead > 0 else "nothing announced it"
            text = f"{words.of_alert(sli)}; {early}"
            out.append(
                ProblemChange(problem, Stage.PREDICTED, Stage.ACTIVE, text, now, NotifyReason.BREACHED)
            )
        elif problem.severity.level > before.level:
            text = f"severity raised from {before} to {problem.severity}"
            out.append(self._remark(problem, text, now, NotifyReason.UPDATED))
        return out

    def _rewrite(self, problem: Problem) -> None:
        """Title, labels, severity and time to breach follow from the alerts."""
        problem.severity = max(
            (problem.severity, *(a.severity for a in problem.alerts)), key=lambda s: s.level
        )
        leading = max(problem.alerts, key=importance)
        if leading.state is AlertState.FIRING:
            problem.title = words.of_alert(leading)
        problem.labels = common_labels(problem.alerts)
        ahead = [a for a in problem.alerts if math.isfinite(a.breach_expected)]
        if ahead:
            first = min(ahead, key=lambda a: a.breach_expected)
            problem.breach_earliest = first.breach_earliest
            problem.breach_expected, problem.breach_latest = first.breach_expected, first.breach_latest

    # -- transitions

    def _move(
        self, problem: Problem, to: ProblemState, reason: str, now: float, actor: str = ACTOR
    ) -> ProblemChange:
        check(problem.state, to)
        current, problem.state = problem.state, to
        problem.reason, problem.updated = reason, now
        if to is ProblemState.RESOLVED:
            problem.resolved = now
        elif current is ProblemState.RESOLVED:
            problem.resolved, problem.escalation, problem.last_evidence = math.nan, None, now
            self._reopened[problem.key] = now
        notify = NotifyReason.REOPENED if current is ProblemState.RESOLVED else _NOTIFY[to]
        return ProblemChange(problem, current, to, reason, now, notify, actor)

    def _remark(
        self,
        problem: Problem,
        text: str,
        now: float,
        notify: NotifyReason | None = None,
        actor: str = ACTOR,
    ) -> ProblemChange:
        return ProblemChange(problem, problem.state, problem.state, text, now, notify, actor)

    def _unsettled(self, problem: Problem, now: float) -> bool:
        """Alerts computed over a window go on firing for a while after a repair; later it was none."""
        latest = max(a.updated for a in problem.alerts if a.state is AlertState.FIRING)
        return now - problem.resolved > self.settings.reopen_within and latest > problem.resolved


_NOTIFY = {
    ProblemState.OPEN: None,
    ProblemState.REMEDIATING: NotifyReason.REMEDIATING,
    ProblemState.ESCALATED: NotifyReason.ESCALATED,
    ProblemState.RESOLVED: NotifyReason.RESOLVED,
}


def _fresh(key: str, alert: Alert, now: float) -> Problem:
    problem = Problem(key=key, opened=now, team=alert.team, severity=alert.severity, alerts=[alert])
    problem.last_evidence = problem.updated = now
    alert.problem_key = key
    return problem


def _counts(alert: Alert) -> bool:
    return alert.state is AlertState.FIRING and not alert.silenced_by


def _cleared(problem: Problem) -> str:
    count = len(problem.alerts)
    return "its alert cleared" if count == 1 else f"all {count} alerts cleared"
