"""Which problems may be merged or split without being asked: what people arranged stays as it is."""

from collections.abc import Iterable

from aiops.core.problem_change import ACTOR
from aiops.model.lifecycle import ProblemState
from aiops.model.problem import Problem, TieKind

SPLITS, MERGES = 3, 10
"""How often one problem is split, and takes in others, of our own accord: beyond that, people decide."""


class Arranged:
    """How the problems that are known were merged and split so far, and by whom."""

    def __init__(self) -> None:
        self._apart: set[frozenset[str]] = set()
        self._by_hand: set[str] = set()
        self._took_in: dict[str, int] = {}

    def note(self, near: str, other: str, kind: TieKind, by: str) -> None:
        """The problem of key `near` was split from `other`, or went into it, by the hand of `by`."""
        if kind is TieKind.SPLIT:
            self._apart.add(frozenset((near, other)))
        elif kind is TieKind.MERGED:
            self._took_in[other] = self._took_in.get(other, 0) + 1
        if by != ACTOR and kind is not TieKind.RELATED:
            self._by_hand |= {near, other}

    def siblings(self, problem: Problem) -> set[str]:
        """Keys of those that were split from it, or it from them."""
        return {key for pair in self._apart if problem.key in pair for key in pair - {problem.key}}

    def may_split(self, problem: Problem) -> bool:
        return _live(problem) and problem.key not in self._by_hand and len(self.siblings(problem)) < SPLITS

    def may_merge(self, one: Problem, other: Problem) -> bool:
        """Never what was once split, nor what people have spoken on."""
        if one.key == other.key or one.team != other.team or not (_live(one) and _live(other)):
            return False
        if self._by_hand & {one.key, other.key} or other.key in self.siblings(one):
            return False
        return max(self._took_in.get(p.key, 0) for p in (one, other)) < MERGES

    def forget(self, known: Iterable[str]) -> None:
        """Keep what concerns problems of these keys."""
        keys = set(known)
        self._apart = {pair for pair in self._apart if pair & keys}
        self._by_hand &= keys
        self._took_in = {key: count for key, count in self._took_in.items() if key in keys}


def led_apart(one: Problem, other: Problem) -> bool:
    """Whether the likely causes of both are known, and are two."""
    leads = [p.causes.lead.component for p in (one, other) if p.causes and p.causes.lead]
    return len(set(leads)) == 2


def _live(problem: Problem) -> bool:
    return problem.state is not ProblemState.RESOLVED and problem.verdict is None and not problem.merged_into
