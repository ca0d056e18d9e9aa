"""When a problem's likely causes are looked for, and when a finding is worth telling."""

from collections.abc import Container, Iterable, Sequence
from dataclasses import replace

from aiops.core.components import entity_of
from aiops.core.rootcause import rank
from aiops.core.rootcause_gather import Sight, Trouble, began, gather
from aiops.model.cause import Causes
from aiops.model.frame import Change
from aiops.model.lifecycle import ProblemState
from aiops.model.problem import Problem

EVERY = 10.0
"""Seconds between two looks at one problem, however much happens to it."""
REMEMBERED = 3600.0
"""Seconds for which the recent past may show a problem that is over."""
RARER = 0.25
"""Share of a problem's age after which it is looked at though nothing happened: evidence grows slower."""


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

    def adopt(self, old: "Inquiry") -> None:
        """Go on with what `old` had found."""
        self._looked, self._news = old._looked, old._news
        self._before, self._told, self._troubles = old._before, old._told, old._troubles

    def next(self, problems: Iterable[Problem], changed: Container[str], now: float) -> Problem | None:
        """The problem to look at now: one that was never looked at before others, the longest unseen next."""
        open_ = [p for p in problems if p.state is not ProblemState.RESOLVED and began(p) == began(p)]
        keys = {p.key for p in open_}
        self._forget(keys)
        self._remember(open_, changed, now)
        self._news |= {key for key in keys if key in changed}
        due = [p for p in open_ if self._due(p, now)]
        return min(due, key=lambda p: self._looked.get(p.key, 0.0), default=None)

    def look(self, problem: Problem, changes: Sequence[Change], now: float) -> str:
        """Rank its causes, which then stand on the problem. Returns what is news of that, in words.

        A finding that was once known stays when later evidence is too thin: the time before moves out of
        sight. Another leader is news once two looks in a row agree on it.
        """
        first = problem.key not in self._looked
        self._looked[problem.key] = now
        self._news.discard(problem.key)
        others = [trouble for key, trouble in self._troubles.items() if key != problem.key]
        evidence = gather(self._sight, problem, changes, others)
        found = Causes((), False, evidence) if isinstance(evidence, str) else rank(evidence)
        if found.known or problem.causes is None or not problem.causes.known:
            problem.causes = replace(found, at=now)
        lead = found.lead.component if found.lead else ""
        agreed = first or lead == self._before.get(problem.key)
        self._before[problem.key] = lead
        if found.lead is None or not agreed or self._told.get(problem.key) == lead:
            return ""
        self._told[problem.key] = lead
        return f"likely cause: {found.lead.component}: {'; '.join(found.lead.reasons[:2])}"

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
            self._before.pop(gone, None)
            self._told.pop(gone, None)
