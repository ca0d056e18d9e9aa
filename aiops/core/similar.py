"""Problems of the past that looked like this one: what is shared, weighted by how rare it is.

A weighted Jaccard index over *traits* (texts such as ``metric:db_pool_in_use_ratio``): what both have over
what either has, each trait weighing as much as its kind tells, times the inverse document frequency
(K. Sparck Jones, 1972), so that a host's name that stands in every problem says little.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from aiops.core.components import entity_of
from aiops.model.problem import Problem
from aiops.model.signal import Alert, AlertKind

MOST = 5
LEAST = 0.2
"""Below this two problems have little in common: one metric of many, or one host."""
LONGEST = 300

_WEIGHTS = {"cause": 3.0, "pattern": 2.5, "rule": 1.5, "metric": 1.5, "entity": 1.0}
_WORDS = {
    "cause": "same likely cause",
    "pattern": "same log pattern",
    "rule": "same limit",
    "metric": "same metric",
    "entity": "same component",
}


@dataclass(frozen=True, slots=True)
class Likeness:
    """How much a problem of the past resembles one: 1 = the same traits."""

    problem_id: int
    score: float
    because: str


def traits(problem: Problem, by: Sequence[str]) -> frozenset[str]:
    """The signature of a problem: components, metrics, limits, log patterns and the likely cause.

    `by`: labels that name components, in order.
    """
    found = {text for alert in problem.alerts for text in _of_alert(alert, by)}
    if problem.causes and problem.causes.lead:
        found.add(f"cause:{problem.causes.lead.component}")
    return frozenset(text[:LONGEST] for text in found)


def _of_alert(alert: Alert, by: Sequence[str]) -> list[str]:
    labels = dict(alert.labels)
    out = [f"entity:{entity}"] if (entity := entity_of(alert.labels, by)) else []
    if alert.kind is AlertKind.LOG:
        out.append(f"pattern:{labels.get('template') or alert.rule}")
    elif alert.metric:
        out.append(f"metric:{alert.metric}")
    if alert.kind in (AlertKind.LIMIT, AlertKind.SLI, AlertKind.FORECAST, AlertKind.BURN):
        out.append(f"rule:{alert.rule}")
    return out


def alike(
    mine: frozenset[str],
    past: Mapping[int, Iterable[str]],
    spread: Mapping[str, int],
    problems: int,
    most: int = MOST,
) -> list[Likeness]:
    """Those of `past` (problem id -> traits) that resemble `mine`, the most alike first.

    `spread`: in how many of all `problems` each trait stands; absent = in one.
    """
    weights: dict[str, float] = {}

    def weight(text: str) -> float:
        if text not in weights:
            kind = _WEIGHTS.get(text.partition(":")[0], 1.0)
            weights[text] = kind * math.log1p(max(problems, 1) / max(spread.get(text, 1), 1))
        return weights[text]

    out = []
    for ident, texts in past.items():
        near, far = _comparable(mine, frozenset(texts))
        whole = sum(map(weight, near | far))
        score = sum(map(weight, near & far)) / whole if whole else 0.0
        if score >= LEAST:
            out.append(Likeness(ident, round(score, 3), _because(near & far, weight)))
    return sorted(out, key=lambda one: (-one.score, -one.problem_id))[:most]


def _comparable(mine: frozenset[str], other: frozenset[str]) -> tuple[frozenset[str], frozenset[str]]:
    """A cause that is not known on one side tells nothing: it is no difference."""
    known = [{text for text in texts if text.startswith("cause:")} for texts in (mine, other)]
    if all(known):
        return mine, other
    return mine - known[0], other - known[1]


def _because(shared: frozenset[str], weight: Callable[[str], float]) -> str:
    """What is shared, the most telling first: ``same log pattern T12; same metric a, b``."""
    by_kind: dict[str, list[str]] = {}
    for text in sorted(shared, key=lambda one: (-weight(one), one)):
        kind, _, value = text.partition(":")
        by_kind.setdefault(kind, []).append(value)
    return "; ".join(f"{_WORDS.get(kind, kind)} {', '.join(values[:3])}" for kind, values in by_kind.items())
