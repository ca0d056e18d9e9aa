"""What is known of a problem's surroundings, as the ranker takes it: recent samples on one grid."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aiops.core import words
from aiops.core.components import Call, Components, entity_of
from aiops.core.recent import POINTS, Recent
from aiops.core.rootcause_score import PRESENT, Family, Floats, family
from aiops.core.rootcause_types import Changed, Evidence, Measure, Side
from aiops.core.telemetry import META
from aiops.core.topology import Topology
from aiops.model.frame import Change
from aiops.model.problem import Problem
from aiops.model.series import NAME, Labels, SeriesIndex
from aiops.model.signal import Alert, AlertKind

COMPONENTS = 60
"""Components that are looked at: those with alerts, what they need, and who is near."""
COLUMNS = 400
"""Series that are looked at; 40 ms of work."""
EACH = 40
"""Series of one component."""
FAULT = 60
"""Rows of the fault's window: later ones say less of where it began."""
BEFORE, SINCE = 3.0, 1.5
"""Steps before the first odd sample where normal ends, and where the fault begins: it is seen a bit late."""
HELD = 2.5
"""Steps of its own for which a sample stands."""
AFTER = 8.0
"""Steps after a problem in which its surroundings are not yet normal: rates still count what was."""
LEAST = 8
"""Rows of normal that a comparison needs."""
LATEST = 3
"""Rows at the end in which a component that is silent has no sample."""
TELEMETRY = frozenset({AlertKind.SILENCE})
"""Kinds of alert that speak of the watching, not of what is watched."""
_CLIENT = "client"
_FELT = (Family.LATENCY, Family.WAITING, Family.ERRORS)
"""What a call can be felt by."""


@dataclass(frozen=True, slots=True)
class Sight:
    """Where evidence is looked for. `by`: grouping labels; `slis`: what each SLI speaks of, by its name."""

    index: SeriesIndex
    recent: Callable[[], Recent]
    """The ring may be replaced by another's."""
    components: Components
    topology: Topology
    by: Sequence[str]
    slis: Mapping[str, Family]


@dataclass(frozen=True, slots=True)
class Trouble:
    """When another problem was there (epoch s), and on which components."""

    began: float
    ended: float
    components: frozenset[str]


def began(problem: Problem) -> float:
    """When the first of its alerts saw something odd (epoch s); NaN when only the watching is at fault."""
    return min((a.started for a in problem.alerts if a.kind not in TELEMETRY), default=math.nan)


def surroundings(topology: Topology, named: Sequence[str]) -> list[str]:
    """The components `named`, what they need however far down, and who is within two hops."""
    around = topology.below(named, COMPONENTS)
    near = [other for one in named for other in sorted(topology.near(one))]
    return list(dict.fromkeys([*around, *near]))[:COMPONENTS]


def gather(
    sight: Sight, problem: Problem, changes: Iterable[Change], troubles: Iterable[Trouble] = ()
) -> Evidence | str:
    """The evidence, or why there is none. What `troubles` of the same surroundings cover is not normal."""
    alerts = [a for a in problem.alerts if a.kind not in TELEMETRY]
    named = list(dict.fromkeys(filter(None, (entity_of(a.labels, sight.by) for a in alerts))))
    if not named:
        return "its alerts name no component"
    names = surroundings(sight.topology, named)
    chosen = _chosen(sight, names, alerts)
    start = began(problem)
    grid, values = _on_grid(sight.recent(), [slot for slot, _ in chosen])
    if not len(grid):
        return "nothing was measured lately"
    step = grid[1] - grid[0]
    before = grid <= start - BEFORE * step
    calm = before & ~_troubled(grid, AFTER * step, troubles, names)
    normal = values[calm if calm.sum() >= LEAST else before]
    if len(normal) < LEAST:
        return "too little is known of the time before it"
    measures = [measure for _, measure in chosen]
    heard = np.array([m.family is Family.LOG for m in measures])
    # no line of a pattern is a rate of 0, unlike a series that is silent
    since = values[grid > start - SINCE * step]
    normal, fault, late = (
        np.where(heard & np.isnan(part), 0.0, part) for part in (normal, since[:FAULT], since[-FAULT:])
    )
    own = {m.component for m in measures if not m.callee}
    links = [(a, b) for a in names for b in sorted(sight.topology.callees.get(a, ())) if b in names]
    return Evidence(
        measures, normal, fault, links, _sli(alerts, chosen, sight), _changed(changes, sight.by, start),
        frozenset(names) - own, _silent(measures, normal, since[-LATEST:]),
        late if len(since) > FAULT else None,
    )  # fmt: skip


def _chosen(sight: Sight, names: Sequence[str], alerts: Sequence[Alert]) -> list[tuple[int, Measure]]:
    """(slot, column) of all that is looked at, the series that fire before all others."""
    fired = {slot for a in alerts if (slot := sight.index.find(a.labels)) is not None}
    each = max(8, min(EACH, COLUMNS // len(names)))
    found = []
    for name in names:
        slots = [slot for slot in sight.components.slots(name) if not _of_scraping(sight, slot)]
        some = _spread(slots, fired, sight.components.family)[:each]
        found += [(slot, _measure(sight, slot, name, slot in fired)) for slot in some]
    for call in sight.components.calls_among(names):
        slots = [slot for slot in sight.components.slots(call) if sight.components.family[slot] in _FELT]
        found += [(slot, _measure(sight, slot, call, slot in fired)) for slot in slots]
    return found[:COLUMNS]


def _of_scraping(sight: Sight, slot: int) -> bool:
    """What Prometheus says of a scrape is no symptom of what is scraped."""
    return dict(sight.index.labels(slot)).get(NAME, "") in META


def _spread(slots: Sequence[int], first: set[int], of: Mapping[int, Family]) -> list[int]:
    """Those of `first`, then the families in turn, so that a part of them tells of everything."""
    seen: dict[Family, int] = {}
    place = {}
    for slot in slots:
        place[slot] = seen[of[slot]] = seen.get(of[slot], -1) + 1
    return sorted(slots, key=lambda slot: (slot not in first, place[slot], slot))


def _measure(sight: Sight, slot: int, owner: str | Call, fired: bool) -> Measure:
    labels = sight.index.labels(slot)
    metric = dict(labels).get(NAME, "")
    component, callee = owner if isinstance(owner, tuple) else (owner, "")
    side = Side.CALLER if _CLIENT in metric or not callee else Side.CALLEE
    kind = sight.slis.get(dict(labels).get("sli", ""), sight.components.family[slot])
    said = words.subject(_distinct(labels, sight.by, owner))
    return Measure(component, metric, kind, callee, side, said, fired)


def _distinct(labels: Labels, by: Sequence[str], owner: str | Call) -> Labels:
    """Without the labels that only repeat whose series it is."""
    told = {*by, "instance", "job", "namespace", "pod"}
    ends = owner if isinstance(owner, tuple) else (owner,)
    return tuple((k, v) for k, v in labels if k == NAME or (k not in told and v not in ends))


def _on_grid(recent: Recent, slots: Sequence[int]) -> tuple[Floats, Floats]:
    """(times ``[T]``, values ``[T, C]``) at the usual pace of the series, NaN = no sample near."""
    points = [recent.points(slot) for slot in slots]
    columns = [(p["times"], p["observed"]) for p in points]
    paces = [float(np.median(np.diff(times))) if len(times) > 1 else math.nan for times, _ in columns]
    known = [pace for pace in paces if pace > 0]
    if not known:
        return np.zeros(0), np.zeros((0, len(slots)))
    step = float(np.median(known))
    last = max(times[-1] for times, _ in columns if len(times))
    first = max(min(times[0] for times, _ in columns if len(times)), last - (POINTS - 1) * step)
    grid = last - step * np.arange(int((last - first) / step) + 1)[::-1]
    values = np.full((len(grid), len(slots)), np.nan)
    for column, ((times, seen), pace) in enumerate(zip(columns, paces, strict=True)):
        if len(times):
            at = np.searchsorted(times, grid + 1e-3, "right") - 1
            fresh = (at >= 0) & (grid - times[at] <= HELD * max(step, pace if pace > 0 else step))
            values[fresh, column] = seen[at[fresh]]
    return (grid, values) if len(grid) > 1 else (np.zeros(0), values[:0])


def _troubled(
    grid: Floats, after: float, troubles: Iterable[Trouble], names: Sequence[str]
) -> NDArray[np.bool_]:
    """The rows of another problem, and of some time after."""
    out = np.zeros(len(grid), bool)
    for trouble in troubles:
        if not trouble.components.isdisjoint(names):
            out |= (grid >= trouble.began - BEFORE * (after / AFTER)) & (grid <= trouble.ended + after)
    return out


def _silent(measures: Sequence[Measure], normal: Floats, late: Floats) -> frozenset[str]:
    """Components of which much was known before, and of late nothing."""
    had = (np.isfinite(normal).mean(0) >= PRESENT).tolist()
    has = [bool(column.any()) for column in np.isfinite(late).T]
    own = {m.component for m, then in zip(measures, had, strict=True) if then and not m.callee}
    return frozenset(
        own - {m.component for m, now in zip(measures, has, strict=True) if now and not m.callee}
    )


def _sli(alerts: Sequence[Alert], chosen: Sequence[tuple[int, Measure]], sight: Sight) -> int | None:
    """The column of the SLI that is breached, when it names a component."""
    slots = {sight.index.find(a.labels) for a in alerts if a.kind in (AlertKind.SLI, AlertKind.BURN)}
    return next((i for i, (slot, measure) in enumerate(chosen) if slot in slots and not measure.callee), None)


def _changed(changes: Iterable[Change], by: Sequence[str], start: float) -> list[Changed]:
    return [
        Changed(entity, start - change.time, f"{change.kind} {change.title}")
        for change in changes
        if (entity := entity_of(change.labels, by))
    ]


def family_of_sli(name: str, query: str) -> Family:
    """What an SLI speaks of, by its name, else by its query; users feel latency or errors."""
    found = [family(text) for text in (name, query)]
    symptoms = (Family.LATENCY, Family.ERRORS, Family.AVAILABILITY)
    return next((one for one in found if one in symptoms), Family.ERRORS)
