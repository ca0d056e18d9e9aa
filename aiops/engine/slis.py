"""How the SLIs stand: what they are now, what is left of their error budgets, how fast that is spent."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aiops.config.models import Sli
from aiops.core.objectives import ObjectiveWatch
from aiops.core.rules import RuleWatch
from aiops.engine.state import State
from aiops.model.signal import AlertKind

MOST = 1000
"""Series of one SLI that are looked at: 20 ms of them."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Of one SLI.

    ``value``: that of its worst series by the latest sample, NaN before any; ``breached``: since when users
    notice (epoch s), NaN while they do not. ``left``: share of the error budget, below 0 when more was spent
    than there is, NaN when not known; ``rates``: (seconds, how many times as fast as it lasts it is spent).
    """

    sli: Sli
    series: int
    value: float
    breached: float
    left: float = math.nan
    rates: Sequence[tuple[float, float]] = ()


def standings(slis: Sequence[Sli], state: State) -> list[Standing]:
    """Of each, in the order of the configuration. An engine that stands by knows nothing of them."""
    rules = {
        one.rule.name: one
        for one in state.rules
        if isinstance(one, RuleWatch) and one.rule.kind is AlertKind.SLI
    }
    budgets = {one.rule.name: one for one in state.rules if isinstance(one, ObjectiveWatch)}
    found = []
    for sli in slis:
        count, value, since = _now(rules[sli.name], state) if sli.name in rules else (0, math.nan, math.nan)
        budget = budgets.get(sli.name)
        left = (budget.left(), budget.rates()) if budget else (math.nan, ())
        found.append(Standing(sli, count, value, since, *left))
    return found


def _now(watch: RuleWatch, state: State) -> tuple[int, float, float]:
    """Its live series, the worst value of them, and since when one is breached for long enough."""
    live = state.index.live()
    slots = live[watch.columns["member"][live]]
    worst, first = math.nan, math.nan
    for slot in slots[:MOST].tolist():
        points = state.recent.points(slot)
        known = np.flatnonzero(~np.isnan(points["observed"]))
        if not len(known):
            continue
        value, at = float(points["observed"][known[-1]]), float(points["times"][known[-1]])
        if not (value - worst) * watch.rule.sign <= 0:
            worst = value
        since = float(watch.columns["since"][slot])
        if at - since >= watch.rule.hold:
            first = min(first, since) if first == first else since
    return len(slots), worst, first
