"""A problem's evidence gathered by component."""

import numpy as np

from aiops.core.rootcause_graph import Graph
from aiops.core.rootcause_score import Family, Floats, Shift
from aiops.core.rootcause_types import Evidence, Side

SYMPTOMS = (Family.LATENCY, Family.ERRORS, Family.AVAILABILITY)
"""What a caller inherits from those it calls; a busy CPU is nobody else's."""
QUIET_CALL = 0.5
"""How much a normal call speaks for both its ends."""
CALLEE_PART = 0.5
"""Share of a call's strength at its callee that is taken off what its caller saw."""


class View:
    """The evidence by component: ``of[f]`` is the evidence ``[N]`` of family f, in ln(1 + strength)."""

    def __init__(self, evidence: Evidence, shift: Shift) -> None:
        self.evidence, self.shift = evidence, shift
        self.surprise = np.log1p(shift.strength)
        own = [m.component for m in evidence.measures if not m.callee]
        met = [m.callee for m in evidence.measures if m.callee]
        self.names = list(dict.fromkeys([*own, *(m.component for m in evidence.measures), *met]))
        self.at = {name: i for i, name in enumerate(self.names)}
        self.graph = Graph(
            len(self.names),
            [(self.at[a], self.at[b]) for a, b in evidence.calls if a in self.at and b in self.at],
        )
        self.of = {family: self._family(family) for family in Family}
        self.silent = [self.at[name] for name in sorted(evidence.silent) if name in self.at]
        for found in (self.of[family] for family in SYMPTOMS):
            self.lend(found)
        self.calls = _votes(self)
        self.columns = self._columns()

    def lend(self, symptom: Floats) -> None:
        """In place: what is silent is as ill as the worst of its callers; nothing else can be said of it."""
        for i in self.silent:
            symptom[i] = max([symptom[i], *(symptom[c] for c in self.callers(i))])

    def callers(self, component: int) -> list[int]:
        return [i for i, callees in enumerate(self.graph.callees) if component in callees]

    def _family(self, family: Family) -> Floats:
        out = np.zeros(len(self.names))
        columns: dict[int, list[float]] = {}
        for i, measure in enumerate(self.evidence.measures):
            if measure.family is family and not measure.callee:
                columns.setdefault(self.at[measure.component], []).append(float(self.surprise[i]))
        for component, found in columns.items():
            out[component] = max(found) + 0.2 * sum(found) / len(found)
        return out

    def _columns(self) -> list[list[int]]:
        """The columns of each component, its calls' on both sides, the strongest first."""
        out: list[list[int]] = [[] for _ in self.names]
        for i in np.argsort(-self.shift.strength, kind="stable"):
            measure = self.evidence.measures[i]
            for name in {measure.component, measure.callee or measure.component}:
                out[self.at[name]].append(int(i))
        return out


def _votes(view: View) -> Floats:
    """Each call votes for both its ends: for when it is slow, against when it is not.

    What the callee itself measured is taken off: the rest is the way between, and the caller.
    """
    slow: dict[tuple[int, int], dict[Side, float]] = {}
    for i, measure in enumerate(view.evidence.measures):
        if measure.callee:
            ends = view.at[measure.component], view.at[measure.callee]
            sides = slow.setdefault(ends, {})
            sides[measure.side] = max(sides.get(measure.side, 0.0), float(view.shift.strength[i]))
    votes: list[list[float]] = [[] for _ in view.names]
    for (caller, callee), sides in slow.items():
        excess = max(0.0, sides.get(Side.CALLER, 0.0) - CALLEE_PART * sides.get(Side.CALLEE, 0.0))
        vote = min(max((excess - 1) / 2, 0.0), 1.0)
        votes[caller].append(vote)
        votes[callee].append(vote)
    return np.array([max(0.0, sum(v) - QUIET_CALL * sum(1 - one for one in v)) for v in votes])
