"""Problems: opened, joined, breached, resolved, reopened; all of them, and what time alone brings."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from aiops.core import handling, problem_ties, words
from aiops.core.correlate import Correlator, Placement, still_firing
from aiops.core.log_evidence import witnesses
from aiops.core.problem_change import ACTOR, ProblemChange, move, remark
from aiops.core.problem_looks import noticed, rewrite, sli_firing
from aiops.core.problem_parts import Split
from aiops.core.problem_regroup import Arranged, led_apart
from aiops.core.settings import GroupingSettings
from aiops.core.topology import Topology
from aiops.model.lifecycle import AlertState, ProblemState, Stage, check
from aiops.model.problem import EscalationReason, NotifyReason, Problem, TieKind, Verdict
from aiops.model.signal import Alert, Severity

__all__ = ["ACTOR", "ProblemChange", "Problems"]

AFTER_RETURN = 60.0
"""Seconds of quiet that a problem which came back once needs to be over; each return doubles them."""
LONGEST_QUIET = 3600.0


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
        self.arranged = Arranged()

    def restore(self, problems: Iterable[Problem], loose: Iterable[Alert], now: float) -> None:
        """Take up stored problems, and firing alerts that were not yet enough for one."""
        self.known = list(problems)
        for alert in loose:
            self._join(alert, now)

    def adopt(self, old: "Problems") -> None:
        """Go on with the problems of `old`, under our own settings."""
        self.known, self._brewing = old.known, old._brewing
        self._correlator.adopt(old._correlator)
        self.arranged = old.arranged

    def find(self, problem_id: int) -> Problem | None:
        return next((p for p in self.known if p.id == problem_id), None)

    def heir(self, problem: Problem) -> Problem:
        """The problem that this one went into, however often; itself when it was never merged."""
        seen = {problem.key}
        while problem.merged_into and problem.merged_into not in seen:
            seen.add(problem.merged_into)
            following = next((p for p in self.known if p.key == problem.merged_into), None)
            if following is None:
                break
            problem = following
        return problem

    def recall(self, problem: Problem) -> None:
        """Take up a stored problem that was over long ago and that somebody speaks of again."""
        if self.find(problem.id) is None:
            self.known.append(problem)

    def merge(
        self, kept: Problem, gone: Problem, because: str, now: float, actor: str = ACTOR
    ) -> list[ProblemChange]:
        """Two problems were found to be one. Raises `problem_ties.NoSense`."""
        out = problem_ties.merge(kept, gone, because, now, actor)
        self.arranged.note(gone.key, kept.key, TieKind.MERGED, actor)
        return out

    def split(
        self, problem: Problem, alerts: Sequence[Alert], because: str, now: float, actor: str = ACTOR
    ) -> list[ProblemChange]:
        """Some alerts of `problem` are another's: it is that of the first change. Raises `NoSense`."""
        out = problem_ties.split(problem, alerts, self._new_key(), because, now, actor)
        self.known.append(out[0].problem)
        self.arranged.note(out[0].problem.key, problem.key, TieKind.SPLIT, actor)
        return out

    def regroup(
        self, problem: Problem, apart: Iterable[Split], twin: Problem | None, now: float
    ) -> list[ProblemChange]:
        """Split off what a look at its causes told apart, or merge it with the problem that is the same.

        What people arranged, and what was split before, stays as it is (`Arranged`). New problems carry their
        likely causes already.
        """
        out: list[ProblemChange] = []
        for one in apart:
            if self.arranged.may_split(problem) and self._worth(one.part.alerts):
                changes = self.split(problem, one.part.alerts, one.part.fault.because, now)
                changes[0].problem.causes = replace(one.causes, at=now)
                out += changes
        if twin is not None and self.arranged.may_merge(problem, twin):
            kept, gone = sorted((problem, twin), key=lambda p: p.opened)
            assert kept.causes is not None
            because = f"both are caused by {kept.causes.ranked[0].component}"
            out += self.merge(kept, gone, because, now)
        return out

    @property
    def correlator(self) -> Correlator:
        """What places alerts, for its learnt state."""
        return self._correlator

    @property
    def topology(self) -> Topology:
        """What depends on what, as alerts are placed by."""
        return self._correlator.affinity.topology

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
            if problem.snoozed_until <= now:
                out += handling.wake(problem, "its snooze is over", now)
            if still_firing(problem):
                problem.quiet_since = math.nan
            elif math.isnan(problem.quiet_since):
                problem.quiet_since = now
            out += self._by_time(problem, now)
        self._forget(now - 2 * self.settings.reopen_within)
        return out

    def _by_time(self, problem: Problem, now: float) -> list[ProblemChange]:
        held = problem.escalation is EscalationReason.REOPENED
        waiting = problem.state in (ProblemState.OPEN, ProblemState.ESCALATED)
        if waiting and not held and now - problem.quiet_since >= self._quiet_needed(problem):
            return [move(problem, ProblemState.RESOLVED, _cleared(problem), now)]
        if problem.state is ProblemState.RESOLVED and self._unsettled(problem, now):
            return [move(problem, ProblemState.OPEN, "its alerts never stopped", now)]
        if problem.state is ProblemState.OPEN and not problem.snoozed(now):
            since = problem.opened if math.isnan(problem.waited_from) else problem.waited_from
            if now - since >= self._escalate_after(problem):
                text = f"still open after {words.duration(now - since)}"
                return handling.escalate(problem, EscalationReason.TIMEOUT, text, now)
        return []

    def _quiet_needed(self, problem: Problem) -> float:
        """Alerts clear with hysteresis of their own; what comes back in spite of it needs longer."""
        if not problem.flaps:
            return self.settings.resolve_after
        longer = max(self.settings.resolve_after, AFTER_RETURN)
        return float(max(longer, min(LONGEST_QUIET, longer * 2.0 ** (problem.flaps - 1))))

    def _unsettled(self, problem: Problem, now: float) -> bool:
        """Alerts computed over a window go on firing for a while after a repair; later it was none."""
        if problem.verdict is Verdict.FALSE or not still_firing(problem):
            return False
        latest = max(a.updated for a in problem.alerts if a.state is AlertState.FIRING)
        return now - problem.resolved > self.settings.reopen_within and latest > problem.resolved

    def _forget(self, before: float) -> None:
        """Those resolved before then and quiet since: they cannot be reopened any more."""
        self.known = [p for p in self.known if not (p.resolved < before and not still_firing(p))]
        self.arranged.forget(p.key for p in self.known)

    # -- how one alert finds its place

    def _join(self, alert: Alert, now: float) -> list[ProblemChange]:
        placed = self._correlator.place(alert, [*self.known, *self._brewing], now)
        if placed.problem is None:
            self._brewing.append(_fresh(self._new_key(), alert, now))
            return []
        kept, out = placed.problem, self._attach(placed, now)
        for other in placed.same:
            kept, changes = self._unite(kept, other, placed, now)
            out += changes
        return out

    def _unite(
        self, one: Problem, other: Problem, placed: Placement, now: float
    ) -> tuple[Problem, list[ProblemChange]]:
        """Groups of alerts were found to be one: so are their problems, unless their causes are two."""
        kept, gone = sorted((one, other), key=lambda p: (p in self._brewing, p.opened))
        if gone in self._brewing:
            self._brewing.remove(gone)
            out = [c for a in gone.alerts for c in self._attach(Placement(a, kept, placed.because), now)]
            return kept, out
        if led_apart(kept, gone) or not self.arranged.may_merge(kept, gone):
            return one, []
        both = f"{words.of_alert(placed.alert)} belongs to both ({placed.because})"
        return kept, self.merge(kept, gone, both, now)

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
        if problem.state is ProblemState.RESOLVED and problem.verdict is not Verdict.FALSE:
            return [move(problem, ProblemState.OPEN, placed.because, now)]
        return [remark(problem, f"{words.of_alert(alert)} (joined: {placed.because})", now)]

    def _brew(self, problem: Problem, now: float) -> list[ProblemChange]:
        """Open a gathering of alerts once it is worth somebody's time; drop it when it has cleared."""
        firing = [a for a in problem.alerts if _counts(a)]
        if not firing:
            self._brewing.remove(problem)
            for alert in problem.alerts:
                alert.problem_key = ""
            return []
        if not self._worth(firing):
            return []
        self._brewing.remove(problem)
        self.known.append(problem)
        problem.opened = problem.updated = now
        rewrite(problem)
        return [ProblemChange(problem, "new", ProblemState.OPEN, problem.title, now, NotifyReason.OPENED)]

    def _worth(self, alerts: Iterable[Alert]) -> bool:
        """Whether these are enough for a problem."""
        firing = [a for a in alerts if _counts(a)]
        grave = any(a.severity.level >= Severity.MAJOR.level for a in firing)
        return bool(firing) and (grave or witnesses(firing) >= self.settings.open_at)

    def _refresh(self, problem: Problem, now: float) -> list[ProblemChange]:
        """What its alerts say by now: worse severity, or the breach of its SLI. Either ends a snooze."""
        before = problem.severity
        rewrite(problem)
        sli = sli_firing(problem)
        if sli is not None and problem.stage is Stage.PREDICTED:
            check(problem.stage, Stage.ACTIVE)
            problem.breached, problem.stage, problem.updated = noticed(sli), Stage.ACTIVE, now
            lead = problem.lead_seconds
            early = f"lead time {words.duration(lead)}" if lead > 0 else "nothing announced it"
            text = f"{words.of_alert(sli)}; {early}"
            active = ProblemChange(problem, Stage.PREDICTED, Stage.ACTIVE, text, now, NotifyReason.BREACHED)
            return [*handling.wake(problem, "woken: users notice", now), active]
        if problem.severity.level > before.level:
            text = f"severity raised from {before} to {problem.severity}"
            woken = handling.wake(problem, "woken: it grew worse", now)
            return [*woken, remark(problem, text, now, NotifyReason.UPDATED)]
        return []


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
