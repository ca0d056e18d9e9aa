"""When a problem's likely causes are looked for, and what is news: also that it is two, or part of one."""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace

from aiops.core.components import entity_of
from aiops.core.problem_parts import Part, Split, led_by, parts
from aiops.core.rootcause import rank
from aiops.core.rootcause_apart import Fault, faults
from aiops.core.rootcause_gather import Sight, Trouble, began, gather
from aiops.model.cause import Causes
from aiops.model.frame import Change
from aiops.model.lifecycle import AlertState, ProblemState
from aiops.model.problem import Problem

EVERY = 10.0
"""Seconds between two looks at one problem, however much happens to it."""
REMEMBERED = 3600.0
"""Seconds for which the recent past may show a problem that is over."""
RARER = 0.25
"""Share of a problem's age after which it is looked at though nothing happened: evidence grows slower."""
TWINS = 1800.0
"""Seconds between the beginnings of two problems of one cause within which they are one."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`news` in words, or empty; `apart`: faults beside the first; `twin`: a problem that is the same."""

    news: str = ""
    apart: tuple[Split, ...] = ()
    twin: Problem | None = None


class Inquiry:
    """Ranks one problem at a time: a look takes some 40 ms, and detection waits for it."""

    def __init__(self, sight: Sight) -> None:
        self._sight = sight
        self._looked: dict[str, float] = {}
        self._news: set[str] = set()
        self._before: dict[str, str] = {}
        """The leader of the last look, by the problem's key; empty when none was known."""
        self._troubles: dict[str, Trouble] = {}
        """When problems of the last hour were there: what they did is not normal for those that follow."""
        self._told: dict[str, str] = {}
        self._agreed: set[str] = set()
        """Problems of which the last two looks named the same leader."""

    def adopt(self, old: "Inquiry") -> None:
        """Go on with what `old` had found."""
        self._looked, self._news = old._looked, old._news
        self._before, self._told, self._troubles = old._before, old._told, old._troubles
        self._agreed = old._agreed

    def next(self, problems: Iterable[Problem], changed: Container[str], now: float) -> Problem | None:
        """The problem to look at now: one that was never looked at before others, the longest unseen next."""
        open_ = [p for p in problems if p.state is not ProblemState.RESOLVED and began(p) == began(p)]
        keys = {p.key for p in open_}
        self._forget(keys)
        self._remember(open_, changed, now)
        self._news |= {key for key in keys if key in changed}
        due = [p for p in open_ if self._due(p, now)]
        return min(due, key=lambda p: self._looked.get(p.key, 0.0), default=None)

    def look(
        self,
        problem: Problem,
        changes: Sequence[Change],
        now: float,
        others: Sequence[Problem] = (),
        siblings: Container[str] = (),
    ) -> Finding:
        """Rank its causes, which then stand on the problem.

        A finding that was once known stays when later evidence is too thin: the time before moves out of
        sight. Another leader is news once two looks in a row agree on it. `others`: problems that are not
        over; `siblings`: keys of those that this one was split from, or they from it.
        """
        first = problem.key not in self._looked
        self._looked[problem.key] = now
        self._news.discard(problem.key)
        found, apart = self._seek(problem, changes, others)
        led = [p for p in others if p.key in siblings and _leads(p)]
        if found.lead and found.lead.component in map(_leads, led) and _leads(problem):
            return Finding()  # its sibling's fault, as its own is no longer told apart
        if found.known or problem.causes is None or not problem.causes.known:
            problem.causes = replace(found, at=now)
        lead = found.lead.component if found.lead else ""
        agreed = lead == self._before.get(problem.key)
        self._before[problem.key] = lead
        (self._agreed.add if lead and agreed and not first else self._agreed.discard)(problem.key)
        twin = None if apart else self._twin(problem, [p for p in others if p.key not in siblings])
        if found.lead is None or not (first or agreed) or self._told.get(problem.key) == lead:
            return Finding("", apart, twin)
        self._told[problem.key] = lead
        return Finding(f"likely cause: {lead}: {'; '.join(found.lead.reasons[:2])}", apart, twin)

    def _seek(
        self, problem: Problem, changes: Sequence[Change], others: Sequence[Problem]
    ) -> tuple[Causes, tuple[Split, ...]]:
        """The ranking; and, when several faults are at work, those beside the one that this problem keeps."""
        troubles = [trouble for key, trouble in self._troubles.items() if key != problem.key]
        evidence = gather(self._sight, problem, changes, troubles)
        if isinstance(evidence, str):
            return Causes((), False, evidence), ()
        found, told = rank(evidence), faults(evidence)
        taken = {_leads(p) for p in others}
        shared = parts(problem.alerts, told, self._sight) if len(told) > 1 else []
        mine = [part for part in shared if part.fault.component not in taken and _fires(part)]
        if not mine:
            return found, ()
        order = [one.component for one in found.ranked]
        was = _leads(problem)
        mine.sort(key=lambda part: (part.fault.component != was, order.index(part.fault.component)))
        kept, *rest = (_led(found, part, told) for part in mine)
        return kept.causes, tuple(rest)

    def _twin(self, problem: Problem, others: Iterable[Problem]) -> Problem | None:
        """An older problem of the same time and team that has the same cause, as two looks at each say."""
        if problem.key not in self._agreed:
            return None
        same = [
            p
            for p in others
            if p.key in self._agreed
            and p.team == problem.team
            and _leads(p) == _leads(problem)
            and abs(began(p) - began(problem)) <= TWINS
        ]
        return min(same, key=lambda p: p.opened, default=None)

    def _due(self, problem: Problem, now: float) -> bool:
        looked = self._looked.get(problem.key)
        if looked is None:
            return True
        wait = EVERY if problem.key in self._news else max(EVERY, RARER * (now - problem.opened))
        return now - looked >= wait

    def _remember(self, problems: Iterable[Problem], changed: Container[str], now: float) -> None:
        for problem in problems:
            known = self._troubles.get(problem.key)
            if known is None or problem.key in changed:
                names = frozenset(entity_of(a.labels, self._sight.by) for a in problem.alerts)
                self._troubles[problem.key] = Trouble(began(problem), now, names)
            else:
                self._troubles[problem.key] = replace(known, ended=now)
        self._troubles = {key: one for key, one in self._troubles.items() if now - one.ended <= REMEMBERED}

    def _forget(self, keys: set[str]) -> None:
        for gone in self._looked.keys() - keys:
            del self._looked[gone]
            self._news.discard(gone)
            self._agreed.discard(gone)
            self._before.pop(gone, None)
            self._told.pop(gone, None)


def _leads(problem: Problem) -> str:
    """The component that is its likely cause, or empty."""
    return problem.causes.lead.component if problem.causes and problem.causes.lead else ""


def _fires(part: Part) -> bool:
    return any(a.state is AlertState.FIRING and not a.silenced_by for a in part.alerts)


def _led(causes: Causes, part: Part, told: Sequence[Fault]) -> Split:
    lead = part.fault.component
    return Split(part, led_by(causes, lead, [one.component for one in told if one.component != lead]))
