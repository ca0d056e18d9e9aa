"""Is it one fault or several?

Of two faults in one chain of calls the upper is hidden in what it inherits. So a second fault is told apart
where a component shows much, and steadily, that its callees do not account for (`rootcause_own`), and nothing
else explains it: a callee so slow that callers give up, one that fails and is asked again, or a caller that
asks too much.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from aiops.core import words
from aiops.core.rootcause_own import LEAST, ROWS, Own, Parts, Symptom, symptom_of, unit_of
from aiops.core.rootcause_types import Evidence

PATIENCE = 1.0
"""Seconds that callers wait at least before they give up: a slower callee explains failures above it."""
BUSIER = 1.25
"""Factor on what a component is usually asked from which its callers retry, or drive it too hard."""
EARLIER = 2 / 3
"""Part of the window that must tell of several faults already."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: where it is, what it shows of its own there, and how that is known."""

    component: str
    symptoms: frozenset[Symptom]
    because: str


def faults(evidence: Evidence) -> list[Fault]:
    """The faults that `evidence` shows, those that nothing else explains; most often one, or none.

    Several are told only when the first two thirds of the window told them too. The second may have come
    later: then the latest rows are looked at. Raises ValueError as `rank`.
    """
    found = _steady(evidence)
    if len(found) < 2 and evidence.late is not None:
        later = _steady(replace(evidence, fault=evidence.late))
        return later if len(later) > 1 else found
    return found


def _steady(evidence: Evidence) -> list[Fault]:
    found = _faults(evidence)
    if len(found) < 2:
        return found
    rows = int(EARLIER * len(evidence.fault))
    before = {one.component for one in _faults(replace(evidence, fault=evidence.fault[:rows]))}
    return [one for one in found if one.component in before]


def _faults(evidence: Evidence) -> list[Fault]:
    telling = any(symptom_of(m.family) for m in evidence.measures)
    if len(evidence.fault) < ROWS or not len(evidence.normal) or not telling:
        return []
    parts = Parts(evidence)
    real = [one for one, name in enumerate(parts.names) if name not in evidence.virtual]
    own = {one: found for one in real if (found := parts.own(one))}
    left = {
        one: {kind: what for kind, what in shown.items() if not _from_below(parts, one, kind, own)}
        for one, shown in own.items()
    }
    first = [one for one, shown in left.items() if shown]
    out = []
    for one in first:
        if not _driven(parts, one, first):
            name = parts.names[one]
            because = "; ".join(_said(name, kind, what) for kind, what in left[one].items())
            out.append(Fault(name, frozenset(left[one]), because))
    return out


def _from_below(parts: Parts, one: int, kind: Symptom, own: dict[int, dict[Symptom, Own]]) -> bool:
    """Whether a fault below accounts for it in another way than by the like symptom."""
    for other in parts.under(one):
        if other in parts.silent:
            return True
        theirs = own.get(other, {})
        if kind is Symptom.FAILING and Symptom.SLOW in theirs and _tries_patience(parts, other):
            return True
        if kind is Symptom.SLOW and Symptom.FAILING in theirs:
            asked = [c for c in parts.graph.callees[one] if c == other or other in parts.under(c)]
            if any(_busier(parts, callee, True) for callee in asked):
                return True
    return False


def _driven(parts: Parts, one: int, faulty: Iterable[int]) -> bool:
    """Whether it is asked too much, by a caller that has a fault."""
    return any(one in parts.under(other) for other in faulty) and _busier(parts, one, False)


def _tries_patience(parts: Parts, one: int) -> bool:
    """Whether callers may have given up on it."""
    level = [
        (unit_of(parts.evidence.measures[i].metric), float(parts.now[i]))
        for i in parts.columns.get((one, Symptom.SLOW), ())
        if parts.strength[i] >= LEAST
    ]
    return any(not unit or now * unit >= PATIENCE for unit, now in level)


def _busier(parts: Parts, one: int, unknown: bool) -> bool:
    """Whether it is asked more often than usual; `unknown` when nothing tells."""
    rates = [(parts.usual[i], parts.now[i]) for i in parts.load.get(one, {}).values()]
    return any(now >= BUSIER * usual for usual, now in rates if usual > 0) if rates else unknown


def _said(name: str, kind: Symptom, own: Own) -> str:
    amount = words.number(float(f"{own.part:.2g}"), own.metric)
    if not own.below:
        return f"{name} is {kind} and nothing that it calls is"
    return f"{name} is {kind} by {amount} more than {' and '.join(own.below)} can account for"
