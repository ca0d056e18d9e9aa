"""The false pages that would have come at any bar: counted as the samples pass, they teach a team's budget.

A series' firing level is the bar below which it would have fired: the `fire`-th highest of its last `of`
scores. In each block of time the levels of one component's series make the level at which a problem would
have opened there: the `open_at`-th highest, or that of the one series that would have been major. A
component whose level stays above a bar from block to block has one problem, not many: only what a block
adds to the block before is counted.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from aiops.core.anomalies import MAJOR_ABOVE
from aiops.core.budget import LOWEST, WEEK, Budget
from aiops.core.components import entity_of
from aiops.core.detect import Scored
from aiops.core.settings import AlertingSettings, GroupingSettings
from aiops.model.series import Labels

BLOCK = 600.0
"""Seconds; as long as a problem that is over may come back as the same."""
SETTLED = 1000
"""Samples of a series before its levels count: what a detector says while it learns says little of later."""
LEAST_SCORE, CANDIDATES = 0.7, 200.0
"""Scores below the first are not looked at; nor, of many series, below what about so many samples of a row
exceed."""
MOST, MOST_SERIES = 2048, 4096
"""Scores of a row, and series of a block, that are looked at: the highest. More at once are one fault."""
SOONEST = WEEK
"""Seconds of watching, of which the first are already being forgotten, before the counts are believed."""
SET_BACK = 6
"""Blocks: rows of several sources do not come in order, but so far back only when a clock was put right."""
NARROWEST, WIDEST = 1.5, 26.0
"""No bar is outside: below the first alerts would be noise, above the second no fault would be seen."""

Found: TypeAlias = tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.float64]]
"""Slots, their firing levels, and the highest scores that went into these."""


class Pages:
    """One team's series and its budget."""

    def __init__(self, asked: float, alerting: AlertingSettings, grouping: GroupingSettings) -> None:
        self.budget = Budget(asked)
        self._fire, self._of = alerting.fire, alerting.of
        self._by, self._open_at = grouping.by, grouping.open_at
        self._slots, self._stamps = np.zeros(0, np.int32), np.zeros(0, np.int64)
        self._scores = np.zeros(0)
        """High scores of late: whose, at which of its samples, and how high."""
        self._block = -1
        self._found: list[Found] = []
        self._before: dict[str, float] = {}
        """Component -> its level in the block before."""
        self._bar = float("nan")

    def see(self, scored: Scored, seen: NDArray[np.uint32]) -> None:
        """Take in one row; ``seen[slot]`` counts a slot's samples, this one among them."""
        floor = max(LEAST_SCORE, float(np.log10(max(len(seen), 1) / CANDIDATES)))
        high = np.flatnonzero(scored.score >= floor)
        high = high[seen[scored.slots[high]] >= SETTLED]
        if not len(high):
            return
        if len(high) > MOST:
            high = high[np.argpartition(-scored.score[high], MOST)[:MOST]]
        slots = scored.slots[high]
        age = seen[self._slots] - self._stamps
        kept = (age >= 0) & (age < self._of)  # below 0: the slot is another series' by now
        self._slots = np.concatenate([self._slots[kept], slots])
        self._stamps = np.concatenate([self._stamps[kept], seen[slots].astype(np.int64)])
        self._scores = np.concatenate([self._scores[kept], scored.score[high]])
        self._fired(slots)

    def _fired(self, slots: NDArray[np.int32]) -> None:
        """Keep the firing levels of `slots`, which have a high score in this row."""
        mine = np.flatnonzero(np.isin(self._slots, slots)) if len(self._slots) > len(slots) else slice(None)
        of, scores = self._slots[mine], self._scores[mine]
        order = np.lexsort((-scores, of))
        of, scores = of[order], scores[order]
        first = np.flatnonzero(np.r_[True, of[1:] != of[:-1]])
        long = np.diff(np.r_[first, len(of)]) >= self._fire
        top = first[long]
        top = top[scores[top + self._fire - 1] >= LOWEST]
        if len(top):
            self._found.append((of[top], scores[top + self._fire - 1], scores[top]))

    def due(self, now: float) -> bool:
        """Whether a block is over; `now` is the time of a row (epoch s)."""
        ahead = int(now // BLOCK) - self._block
        return ahead > 0 or ahead < -SET_BACK

    def close(
        self, now: float, labels: Callable[[int], Labels | None], counts: Callable[[Labels], bool]
    ) -> None:
        """Count the block that is over. `counts` says of a series whether it does: a real fault does not."""
        block = int(now // BLOCK)
        began, self._block = self._block, block
        if began < 0:
            self._found = []
            return
        levels = self._levels(labels, counts)
        before = self._before if block == began + 1 else {}
        pairs = [(level, before.get(name, 0.0)) for name, level in levels.items()]
        risen = [(level, last) for level, last in pairs if level >= LOWEST and level > last]
        self.budget.take(
            np.array([level for level, _ in risen]),
            block * BLOCK,
            np.array([last for _, last in risen if last >= LOWEST]),
            BLOCK,
        )
        self._before, self._found = levels, []
        self._bar = self.budget.bar(float("nan")) if self.budget.watched >= SOONEST else float("nan")

    def _levels(
        self, labels: Callable[[int], Labels | None], counts: Callable[[Labels], bool]
    ) -> dict[str, float]:
        """Per component, the bar below which it would have paged in this block."""
        of: dict[str, list[tuple[float, float]]] = {}
        for slot, level, top in _highest(self._found):
            named = labels(slot)
            if named is not None and counts(named):
                of.setdefault(entity_of(named, self._by) or str(slot), []).append((level, top))
        return {name: self._opens(those) for name, those in of.items()}

    def _opens(self, those: Sequence[tuple[float, float]]) -> float:
        """``(firing level, highest score)`` of its series, by descending level."""
        several = those[self._open_at - 1][0] if len(those) >= self._open_at else 0.0
        return max(several, *(min(level, top - MAJOR_ABOVE) for level, top in those))

    def bar(self, prior: float) -> float:
        """The bar for as many false pages as were asked for; `prior` until enough was seen."""
        return prior if np.isnan(self._bar) else min(WIDEST, max(NARROWEST, self._bar))

    def expected(self, prior: float) -> float:
        """False pages a week at the bar, by what was counted; NaN while too little was."""
        return self.budget.expected(self.bar(prior))

    def snapshot(self) -> dict[str, Any]:
        """JSON-able."""
        return self.budget.snapshot()

    def restore(self, data: Mapping[str, Any]) -> None:
        """Take up what `snapshot` gave. Raises ValueError, changing nothing, when it is none."""
        self.budget.restore(data)
        self._bar = self.budget.bar(float("nan")) if self.budget.watched >= SOONEST else float("nan")


def _highest(found: Sequence[Found]) -> list[tuple[int, float, float]]:
    """``slot, firing level, highest score`` of each series, the highest levels first."""
    if not found:
        return []
    slots, levels, tops = (np.concatenate(each) for each in zip(*found, strict=True))
    series, row = np.unique(slots, return_inverse=True)
    best = np.zeros((2, len(series)))
    np.maximum.at(best[0], row, levels)
    np.maximum.at(best[1], row, tops)
    order = np.argsort(-best[0], kind="stable")[:MOST_SERIES]
    return list(zip(series[order].tolist(), best[0, order].tolist(), best[1, order].tolist(), strict=True))
