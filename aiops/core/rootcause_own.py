"""What a component shows of its own: its symptoms less what those it calls account for.

In the metric's own unit: a callee accounts for its own excess, once for each call of it that a request of the
caller makes (how many is bounded by what is usual: a caller takes at least as long as all its calls).
"""

import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from aiops.core.rootcause_graph import Graph
from aiops.core.rootcause_score import Family, Floats, shifts
from aiops.core.rootcause_types import Evidence, Measure, Side

LEAST = 3.0
"""The strength that a symptom must have: more than a leader needs, as two faults at once are rare."""
SHARE = 0.25
"""Part of a caller's excess that its callees must leave over."""
SURE, ALONE = 3.0, 2.0
"""Standard errors by which the median of what is left over must differ from none; the second where no callee
shows the like, so that nothing was taken off."""
ROWS = 8
"""Rows of the fault's window that are needed."""
LAG = 3.0
"""Rows that tell of the same requests: a window's mean repeats itself."""
SEEN = 0.1
"""Share of calls that must go well below for a failure above to be seen at all."""
_UNITS = (
    (re.compile(r"_ms$|milli|\(ms\)"), 1e-3),
    (re.compile(r"_us$|micro"), 1e-6),
    (re.compile(r"_ns$|nano"), 1e-9),
    (re.compile(r"second|\(s\)|_s$"), 1.0),
)


ALL, MANY = 0.8, 1e6
"""Calls for each request of a caller from which a callee seems to report all of them, as a cache or a probe
would not; and what is taken for their number when nothing tells."""
_COUNTED = ("_bucket", "_count", "_sum")
"""Parts of a histogram: alone they are no time."""


class Symptom(StrEnum):
    SLOW = "slow"
    FAILING = "failing"


_KIND = {
    Family.LATENCY: Symptom.SLOW,
    Family.ERRORS: Symptom.FAILING,
    Family.AVAILABILITY: Symptom.FAILING,
}
_TELLING = {*_KIND, Family.WAITING, Family.LOAD}


def symptom_of(family: Family) -> Symptom | None:
    """The kind of symptom that a metric of this family tells of."""
    return _KIND.get(family)


@dataclass(frozen=True, slots=True)
class Own:
    """What one component shows of its own: part of its excess, in its metric's unit."""

    part: float
    whole: float
    metric: str
    below: tuple[str, ...]
    """Those it calls that show the like, and account for the rest."""


class Parts:
    """The columns of `evidence` that tell of symptoms, by component and kind."""

    def __init__(self, evidence: Evidence) -> None:
        ends = [(m.component, m.callee or m.component) for m in evidence.measures]
        self.names = list(dict.fromkeys(name for both in ends for name in both))
        self.at = {name: i for i, name in enumerate(self.names)}
        links = [(self.at[a], self.at[b]) for a, b in evidence.calls if a in self.at and b in self.at]
        self.graph = Graph(len(self.names), links)
        self.silent = {self.at[name] for name in evidence.silent if name in self.at}
        keep = [i for i, m in enumerate(evidence.measures) if m.family in _TELLING]
        measures = [evidence.measures[i] for i in keep]
        normal, fault = evidence.normal[:, keep], evidence.fault[:, keep]
        self.evidence = evidence = replace(evidence, measures=measures, normal=normal, fault=fault)
        families = [m.family for m in measures]
        self.strength = shifts(normal, fault, families).strength
        self.normal, self.fault = _failing(normal, families), _failing(fault, families)
        self.usual, self.now = np.nan_to_num(_median(self.normal)), np.nan_to_num(_median(self.fault))
        self.columns: dict[tuple[int, Symptom], list[int]] = {}
        self.edges: dict[tuple[int, int, Symptom], list[int]] = {}
        self.load: dict[int, dict[str, int]] = {}
        for i, measure in enumerate(measures):
            self._file(i, measure)

    def _file(self, i: int, measure: Measure) -> None:
        kind, one = _KIND.get(measure.family), self.at[measure.component]
        if measure.callee:
            felt = Symptom.SLOW if measure.family is Family.WAITING else kind
            if felt and measure.side is Side.CALLER:
                self.edges.setdefault((one, self.at[measure.callee], felt), []).append(i)
        elif kind and not measure.metric.endswith(_COUNTED):
            self.columns.setdefault((one, kind), []).append(i)
        elif measure.family is Family.LOAD:
            self.load.setdefault(one, {})[measure.metric] = i

    def own(self, one: int) -> dict[Symptom, Own]:
        """What is left of each symptom of a component; the clearest of its columns speaks."""
        out = {}
        for kind in Symptom:
            found = [own for i in self.columns.get((one, kind), ()) if (own := self._left(one, kind, i))]
            if found:
                out[kind] = max(found, key=lambda own: own.part / own.whole)
        return out

    def _left(self, one: int, kind: Symptom, i: int) -> Own | None:
        if self.strength[i] < LEAST:
            return None
        excess = self.fault[:, i] - self.usual[i]
        below = self.below(one, kind, i)
        ratio = kind is Symptom.FAILING and bool(np.nanmax(self.fault[:, i], initial=0.0) <= 1.0)
        theirs, usual = np.zeros(len(excess)), np.zeros(len(self.normal))
        for callee, columns in below.items():
            times = self.calls(one, callee)
            theirs = _joined(theirs, self._worst(self.fault, columns), times, ratio)
            usual = _joined(usual, self._worst(self.normal, columns), times, ratio)
        left = _without(excess, theirs, ratio)
        calm = _without(self.normal[:, i] - self.usual[i], usual, ratio)
        whole, part = float(_median(excess)), float(_median(left))
        ill = tuple(self.names[c] for c, cs in below.items() if max(self.strength[cs]) >= LEAST)
        if not self._much(left, calm, part, whole, bool(ill)):
            return None
        return Own(part, whole, self.evidence.measures[i].metric, ill)

    def _much(self, left: Floats, calm: Floats, part: float, whole: float, shared: bool) -> bool:
        """Whether what is left over is a good part, and more than is usual; steady, where it is `shared`."""
        have = np.isfinite(left)
        if have.sum() < ROWS or not part > 0 or part < SHARE * whole:
            return False
        usual = float(np.nanpercentile(np.abs(calm), 98)) if np.isfinite(calm).any() else 0.0
        spread = 1.4826 * float(_median(np.abs(left - part)))
        error = 1.2533 * spread / np.sqrt(have.sum() / LAG)
        return part > usual and part >= (SURE if shared else ALONE) * error

    def below(self, one: int, kind: Symptom, like: int) -> dict[int, list[int]]:
        """Nearest descendants that tell of such a symptom in the same terms, and the columns that do."""
        found: dict[int, list[int]] = {}
        seen, edge = {one}, list(self.graph.callees[one])
        while edge:
            callee = edge.pop()
            if callee in seen:
                continue
            seen.add(callee)
            columns = self._alike(self.columns.get((callee, kind), []), like)
            columns += self._alike(self.edges.get((one, callee, kind), []), like)
            if columns:
                found[callee] = columns
            else:
                edge += self.graph.callees[callee]
        return found

    def _alike(self, columns: Iterable[int], like: int) -> list[int]:
        """Of the same metric, else in the same unit."""
        measures = self.evidence.measures
        same = [i for i in columns if measures[i].metric == measures[like].metric]
        unit = unit_of(measures[like].metric)
        return same or [i for i in columns if unit_of(measures[i].metric) == unit]

    def _worst(self, values: Floats, columns: list[int]) -> Floats:
        excess: Floats = np.nan_to_num(values[:, columns] - self.usual[columns]).max(1)
        return np.maximum(excess, 0.0)

    def calls(self, one: int, callee: int) -> float:
        """How often at most a request of `one` asks `callee`: by what is usual of rates, else of times."""
        mine, theirs = self.load.get(one, {}), self.load.get(callee, {})
        both = [(self.usual[mine[m]], self.usual[theirs[m]]) for m in theirs if m in mine]
        rates = max((float(below / above) for above, below in both if above > 0), default=0.0)
        return max(1.0, rates) if rates >= ALL else max(1.0, self._by_time(one, callee))

    def _by_time(self, one: int, callee: int) -> float:
        """A request takes at least as long as all its calls; where no time is known, any number."""
        found = [
            float(self.usual[i] / max(self.usual[columns].max(), 1e-9))
            for i in self.columns.get((one, Symptom.SLOW), ())
            if (columns := self._alike(self.columns.get((callee, Symptom.SLOW), ()), i))
        ]
        return min(found, default=MANY)

    def under(self, one: int) -> set[int]:
        """All that it needs, however far down."""
        seen: set[int] = set()
        edge = list(self.graph.callees[one])
        while edge:
            callee = edge.pop()
            if callee not in seen and callee != one:
                seen.add(callee)
                edge += self.graph.callees[callee]
        return seen


def _median(values: Floats) -> Floats:
    """Of each column, blind to gaps; NaN where there is nothing but gaps."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        found: Floats = np.nanmedian(values, axis=0)
    return found


def _failing(values: Floats, families: Sequence[Family]) -> Floats:
    """Availability told as the share that fails; all else as it is."""
    out = values.copy()
    for i, one in enumerate(families):
        if one is Family.AVAILABILITY:
            whole = 1.0 if np.nanmax(values[:, i], initial=0.0) <= 1.0 else 100.0
            out[:, i] = 1.0 - values[:, i] / whole
    return out


def _joined(one: Floats, other: Floats, times: float, ratio: bool) -> Floats:
    """Excess of two callees that a request asks in turn, the other so many times."""
    return 1 - (1 - one) * (1 - np.minimum(other, 1.0)) ** times if ratio else one + times * other


def _without(excess: Floats, below: Floats, ratio: bool) -> Floats:
    """What is left of a caller's excess; nothing where all fails below, as no more can be seen."""
    if not ratio:
        return excess - below
    well = 1 - below
    return np.where(well >= SEEN, 1 - (1 - excess) / np.maximum(well, SEEN), 0.0)


def unit_of(metric: str) -> float:
    """Seconds that one of a time's unit is; 0 for what is no time."""
    name = metric.lower()
    for pattern, seconds in _UNITS:
        if pattern.search(name):
            return seconds
    return 0.0
