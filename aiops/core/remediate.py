"""Which playbook is tried on a problem, when it may act, and every transition of a run. Pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from math import inf
from typing import Any, TypeAlias

from aiops.core import autonomy
from aiops.core.acts import BadArguments
from aiops.core.autonomy import Levels
from aiops.core.brakes import Brakes, braked
from aiops.core.endings import detail_of, ending, escalation_of
from aiops.core.playbook import PHASES, Autonomy, Playbook
from aiops.core.resume import Resume, on_resume
from aiops.core.terms import Policy, approval_of, domain_of, held_back, service_of
from aiops.model.lifecycle import LIVE_RUN, AlertState, ProblemState, RunState, check, sentence
from aiops.model.problem import NAN, EscalationReason, Problem, Run
from aiops.plugin.params import format_duration

__all__ = [
    "Decision",
    "Refusal",
    "Remediation",
    "Resume",
    "advance",
    "detail_of",
    "ending",
    "escalation_of",
    "history_seconds",
    "on_resume",
    "plan_of",
    "refused_by",
    "rest",
]

_MIN_HISTORY = 3600.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """A playbook fits but may not act; a person is asked."""

    reason: EscalationReason
    text: str
    playbook: str


Decision: TypeAlias = Run | Refusal | None


class Remediation:
    """The choice of playbooks. `history` is every run of late; `note` keeps it so.

    `playbooks` are tried in order and the first that fits decides: whether it runs, waits or is refused.
    Assign `playbooks`, `enabled`, `brakes` or `policy` anew on a reload; `levels` is what playbooks have
    earned, as the store knows it.
    """

    def __init__(
        self,
        playbooks: Iterable[Playbook],
        enabled: bool,
        history: Iterable[Run] = (),
        brakes: Brakes | None = None,
        policy: Policy | None = None,
    ) -> None:
        self.playbooks = list(playbooks)
        self.enabled = enabled
        self.brakes = brakes or Brakes()
        self.policy = policy or Policy()
        self.levels: Levels = {}
        self._history = {run.id: run for run in history}
        active = [_last_active(run) for run in self._history.values()]
        self._latest, self._oldest = max(active, default=-inf), min(active, default=inf)

    def trust(self, levels: Levels) -> None:
        """What playbooks have earned by now, as the store knows it."""
        self.levels = levels

    def named(self, name: str) -> Playbook | None:
        return next((p for p in self.playbooks if p.name == name), None)

    def note(self, run: Run) -> None:
        """A stored run (``id`` > 0) was made or has changed."""
        self._history[run.id] = replace(run)
        active = _last_active(run)
        self._latest, self._oldest = max(self._latest, active), min(self._oldest, active)
        since = self._latest - history_seconds(self.playbooks, self.brakes)
        if self._oldest >= since:  # a takeover notes thousands: to look all through for each took seconds
            return
        kept = [one for one in self._history.values() if one.state in LIVE_RUN or _last_active(one) >= since]
        self._history = {one.id: one for one in kept}
        self._oldest = min(map(_last_active, kept), default=inf)

    def heard(self, run_id: int, to: RunState, now: float) -> None:
        """A run began or ended, as the worker tells."""
        if (known := self._history.get(run_id)) is not None:
            began = now if to is RunState.RUNNING else known.started
            ended = known.ended if to in LIVE_RUN else now
            self.note(replace(known, state=to, started=began, ended=ended))

    def run(self, run_id: int) -> Run | None:
        return self._history.get(run_id)

    def recent(self) -> list[Run]:
        """What the guards look at; for a successor after a reload."""
        return list(self._history.values())

    def consider(
        self,
        problem: Problem,
        context: Mapping[str, Any],
        now: float,
        openings: Iterable[float] = (),
        replicas: Callable[[], int] = lambda: 0,
    ) -> Decision:
        """A run to store and queue, a refusal to escalate, or None: nothing fits or all is under way.

        `context` is the `problem_context` of `problem`; `openings`: when problems opened of late (epoch s);
        `replicas` counts those of its service that are watched, 0 when not known. Asking again is harmless:
        a problem with a run that has not ended gets no other, and a dry run is not repeated; a refusal is,
        while its cause lasts.
        """
        context = {"problem": context}
        mine = self._of(problem)
        if problem.state is ProblemState.RESOLVED or any(run.state in LIVE_RUN for run in mine):
            return None
        playbook = next((p for p in self.playbooks if p.match.matches(context)), None)
        if playbook is None or (playbook.guards.only_while_firing and not _fires(problem)):
            return None
        decision = self._made(playbook, problem, context, now, "")
        if isinstance(decision, Refusal):
            return decision
        if decision.dry_run:
            again = any(r.dry_run and _same(r, decision) for r in mine)
            return None if again else decision
        decision.replicas = replicas()
        return self._held(playbook, decision, openings, now)

    def asked(
        self,
        problem: Problem,
        context: Mapping[str, Any],
        name: str,
        by: str,
        now: float,
        openings: Iterable[float] = (),
        replicas: Callable[[], int] = lambda: 0,
    ) -> Run | Refusal:
        """As `consider`, of the playbook `name` that a person, `by`, asks for.

        It waits for another's approval unless the playbook may act by itself.
        """
        context = {"problem": context}
        playbook = self.named(name)
        if playbook is None:
            return Refusal(EscalationReason.REFUSED_BY_GUARD, f"there is no playbook {name}", name)
        why = ""
        if any(run.state in LIVE_RUN for run in self._of(problem)):
            why = "a run is under way"
        elif not playbook.match.matches(context):
            why = f"{name} does not fit this problem"
        elif playbook.guards.only_while_firing and not _fires(problem):
            why = "the problem does not fire any more"
        if why:
            return Refusal(EscalationReason.REFUSED_BY_GUARD, why, name)
        decision = self._made(playbook, problem, context, now, by)
        if isinstance(decision, Refusal) or decision.dry_run:
            return decision
        decision.replicas = replicas()
        return self._held(playbook, decision, openings, now)

    def level(self, playbook: Playbook, service: str) -> Autonomy:
        """How far the playbook may go by itself for the service."""
        return autonomy.level(playbook, self.levels.get((playbook.name, service)), self.policy.earn)

    def _of(self, problem: Problem) -> list[Run]:
        return [run for run in self._history.values() if run.problem_id == problem.id and problem.id]

    def _held(self, playbook: Playbook, run: Run, openings: Iterable[float], now: float) -> Run | Refusal:
        """The run, unless a brake or a guard holds it."""
        history = self._history.values()
        refused = braked(self.brakes, playbook, run, history, openings, now)
        refused = refused or refused_by(playbook, run, history, now)
        return Refusal(EscalationReason.REFUSED_BY_GUARD, refused, playbook.name) if refused else run

    def _made(
        self, playbook: Playbook, problem: Problem, context: Mapping[str, Any], now: float, by: str
    ) -> Run | Refusal:
        try:
            target = playbook.target_of(context)
            plan = plan_of(playbook, context)
        except BadArguments as why:
            text = f"{playbook.name} cannot be made for this problem: {why}"
            return Refusal(EscalationReason.REFUSED_BY_GUARD, text, playbook.name)
        labels = dict(context["problem"].get("labels", {}))
        service = service_of(labels, target)
        level = self.level(playbook, service)
        # A person may begin what is only suggested; what is only observed nobody begins
        acts = level.acts or bool(by and playbook.autonomy is not Autonomy.OBSERVE)
        dry = not (self.enabled and acts)
        waits = not dry and level is not Autonomy.AUTO
        needs, approvers, within = approval_of(playbook, self.policy)
        wait = 0.0 if dry or waits or by else held_back(problem, playbook, self.policy)
        return Run(
            problem_id=problem.id,
            playbook=playbook.name,
            revision=playbook.revision,
            target=target,
            state=RunState.AWAITING_APPROVAL if waits else RunState.QUEUED,
            autonomy=level.value,
            dry_run=dry,
            queued=now,
            reason=(f"asked for by {by}" if by else f"playbook {playbook.name} fits")
            + (" (dry run)" if dry else ""),
            asked_by=by,
            needs=needs,
            approvers=approvers,
            expires=now + within if waits else NAN,
            plan=plan,
            service=service,
            domain=domain_of(labels, self.policy.domains),
            not_before=now + wait if wait else 0.0,
            team=problem.team,
        )


def plan_of(playbook: Playbook, context: Mapping[str, Any]) -> list[str]:
    """What each step would do, in words; `context` is ``{"problem": ...}``.

    Raises `BadArguments` for whichever part of the playbook cannot be made.
    """
    plans = {phase: [f"{act.name}: {act.plan(context)}" for act in playbook.acts(phase)] for phase in PHASES}
    return plans["step"]


def advance(run: Run, to: RunState, reason: str, now: float) -> str:
    """Move `run` on and return the sentence to log. Raises `IllegalTransition`, changing nothing."""
    check(run.state, to)
    said = sentence("run", run.id, run.state, to, reason)
    if to is RunState.RUNNING:
        run.started = now
    elif to not in LIVE_RUN:
        run.ended = now
    run.state, run.reason = to, reason
    return said


def refused_by(playbook: Playbook, run: Run, history: Iterable[Run], now: float) -> str:
    """Why a guard holds `run` back now, or the empty string.

    A run still under way on the same target is no reason: the later one waits in the queue.
    """
    others = [r for r in history if r.playbook == playbook.name and not r.dry_run and r.id != run.id]
    if wait := rest(playbook, run, others, now):
        whole, left = format_duration(playbook.guards.cooldown), format_duration(max(1.0, round(wait)))
        return f"{playbook.name} acted on {run.target} of late: its cool-down of {whole} lasts another {left}"
    budget = playbook.guards.max_runs
    spent = [r for r in others if (r.state in LIVE_RUN or _acted(r)) and _last_active(r) > now - budget.per]
    if len(spent) >= budget.count:
        return f"{playbook.name} has used its {budget.count} runs per {format_duration(budget.per)}"
    return ""


def rest(playbook: Playbook, run: Run, history: Iterable[Run], now: float) -> float:
    """Seconds of cool-down that `run`'s target still needs; 0 when none."""
    earlier = (r for r in history if r.playbook == playbook.name and r.target == run.target and not r.dry_run)
    ends = [r.ended for r in earlier if r.id != run.id and _acted(r)]
    return max(0.0, max(ends) + playbook.guards.cooldown - now) if ends else 0.0


def history_seconds(playbooks: Iterable[Playbook], brakes: Brakes | None = None) -> float:
    """How far back the guards and the brakes look."""
    brakes = brakes or Brakes()
    spans = [max(p.guards.cooldown, p.guards.max_runs.per, p.guards.breaker.per) for p in playbooks]
    return max([_MIN_HISTORY, brakes.history, *spans])


def _same(one: Run, other: Run) -> bool:
    return one.revision == other.revision and one.target == other.target


def _fires(problem: Problem) -> bool:
    return not problem.alerts or any(alert.state is AlertState.FIRING for alert in problem.alerts)


def _acted(run: Run) -> bool:
    """Whether it began before it ended; one that only waited spends nothing."""
    return run.state not in LIVE_RUN and run.started == run.started


def _last_active(run: Run) -> float:
    return max(t for t in (run.queued, run.started, run.ended) if t == t)
