"""Which component is the likely cause of a problem: a ranked list with reasons, or *unknown*."""

import numpy as np

from aiops.core import rootcause_words as say
from aiops.core.rootcause_graph import widest
from aiops.core.rootcause_score import Family, Floats, shifts
from aiops.core.rootcause_types import Evidence, Measure
from aiops.core.rootcause_view import SYMPTOMS, View
from aiops.model.cause import Cause, Causes

WEIGHT = {
    Family.LATENCY: 1.0,
    Family.ERRORS: 1.0,
    Family.AVAILABILITY: 1.0,
    Family.RESOURCE: 1.0,
    Family.LOG: 1.0,
    Family.IO: 0.5,
    Family.LOAD: 0.4,
    Family.WAITING: 0.3,
    Family.SHARED: 0.15,
}
"""How directly a family speaks of its own component: what it does, what passes through it, what others do."""
INHERITED = 0.9
"""Share of the worst callee's symptom that is taken off a caller's (a caller adds little of its own)."""
OTHER = 0.02
"""Weight of everything else once an SLI names the symptom: it breaks ties."""
OFF_PATH = 0.15
"""What is left to a component that no way of like symptoms joins to the breached SLI."""
EDGE = 1.5
"""Weight of what a component's calls say."""
MORE = 0.3
"""Weight of second and third witnesses."""
LEAST = 2.0
"""The strength that the leader's strongest column must have. Chance brings 1 to one column in 2 windows of
100, and there are many columns. Measured on quiet windows: benchmark `rootcause`, `unknown_when_quiet`."""
VIRTUAL = 0.5
"""A component known only through its callers may be any of those behind it: one with a face is likelier."""
CHANGED, RECENT = 0.5, 1800.0
"""A change adds up to half, and counts for half an hour."""
TELLING = (*SYMPTOMS, Family.WAITING, Family.LOG)
"""What an illness that is passed on shows in."""
POINTS = 2
"""Points of the window that a verdict needs."""
CLOSE = 0.9
"""A second this near to the first is said with it."""


def rank(evidence: Evidence) -> Causes:
    """Rank the components of `evidence`.

    Raises ValueError when the columns and the matrices do not fit together.
    """
    count = len(evidence.measures)
    if evidence.normal.shape[1:] != (count,) or evidence.fault.shape[1:] != (count,):
        raise ValueError(f"{count} measures, normal {evidence.normal.shape}, fault {evidence.fault.shape}")
    if not count or not len(evidence.fault) or not len(evidence.normal):
        return Causes((), False, "nothing was measured")
    shift = shifts(evidence.normal, evidence.fault, [m.family for m in evidence.measures])
    view = View(evidence, shift)
    score = _by_sli(view) if evidence.sli is not None else _by_witnesses(view)
    return _verdict(view, score * _changes(view) * _virtual(view))


def _by_witnesses(view: View) -> Floats:
    """No SLI: the best witness of a component, and a little for the next two."""
    witnesses = [EDGE * np.log1p(view.calls)]
    for family, weight in WEIGHT.items():
        found = view.of[family]
        if family in SYMPTOMS:
            explained = INHERITED * view.graph.worst_callee(found) + 0.5 * view.graph.worst_callee(view.calls)
            found = np.maximum(found - explained, 0.0)
        witnesses.append(weight * found)
    best = np.sort(np.array(witnesses), axis=0)[::-1]
    score: Floats = (best[0] + MORE * best[1:3].sum(0)) * _felt(view)
    return score


def _felt(view: View) -> Floats:
    """What is left to a component below what suffers, by the widest way of ill components to its callers.

    Where a latency or the like has fired, and who stands between is well, the memory of one far below is not
    what is felt. One that shows no symptom at all stands in nobody's way.
    """
    strength, count = view.shift.strength, len(view.names)
    open_ = np.full(count, np.nan)
    suffers = set()
    for i, measure in enumerate(view.evidence.measures):
        at = view.at[measure.component]
        if measure.callee or measure.family not in TELLING:
            continue
        open_[at] = np.fmax(open_[at], np.clip(strength[i] - 0.5, 0.0, 1.0))
        if measure.fired and measure.family in SYMPTOMS:
            suffers.add(at)
    open_[np.isnan(open_)] = 1.0
    view.lend(open_)
    left = np.ones(count)
    if suffers:
        way, needed = (np.max([widest(view.graph, one, width) for one in suffers], axis=0)
                       for width in (open_, np.ones(count)))  # fmt: skip
        for one in set(np.flatnonzero(needed).tolist()) - suffers:
            left[one] = max(OFF_PATH, *(way[caller] for caller in view.callers(one)))
    return left


def _by_sli(view: View) -> Floats:
    """An SLI is breached: who shows the like, on a way of like symptoms from it, in step with it?"""
    evidence, index = view.evidence, view.evidence.sli
    assert index is not None
    target = evidence.measures[index]
    alike = _alike(view, target)
    shown, step = np.zeros(len(view.names)), np.ones(len(view.names))
    open_ = np.ones(len(view.names))
    for component, i in alike.items():
        shown[component] = view.surprise[i]
        open_[component] = np.clip(view.shift.strength[i] - 0.5, 0.0, 1.0)
        step[component] = _in_step(evidence.fault[:, i], evidence.fault[:, index])
    view.lend(shown)
    view.lend(open_)
    way = np.maximum(widest(view.graph, view.at[target.component], open_), OFF_PATH)
    score = np.maximum(shown - INHERITED * view.graph.worst_callee(shown), 0.0) * way * step**2
    rest = np.max([WEIGHT[f] * view.of[f] for f in Family if f is not target.family], axis=0)
    blind = np.array([i not in alike for i in range(len(view.names))])
    out: Floats = np.where(blind, rest * way, score + OTHER * rest)
    return out


def _alike(view: View, target: Measure) -> dict[int, int]:
    """Component -> its column that says the same as the SLI: the same metric, else its family's oddest."""
    found: dict[int, int] = {}
    for i, measure in enumerate(view.evidence.measures):
        if measure.callee or measure.family is not target.family:
            continue
        component = view.at[measure.component]
        best = found.get(component)
        same = measure.metric == target.metric
        if (
            best is None
            or same
            or (
                view.evidence.measures[best].metric != target.metric
                and view.surprise[i] > view.surprise[best]
            )
        ):
            found[component] = i
    return found


def _in_step(one: Floats, other: Floats) -> float:
    """Positive correlation within the window; 1 where it cannot be told."""
    both = np.isfinite(one) & np.isfinite(other)
    if both.sum() < 3 or not np.ptp(one[both]) or not np.ptp(other[both]):
        return 1.0
    return max(0.0, float(np.corrcoef(one[both], other[both])[0, 1]))


def _virtual(view: View) -> Floats:
    return np.array([VIRTUAL if name in view.evidence.virtual else 1.0 for name in view.names])


def _changes(view: View) -> Floats:
    """A recent change makes its component the likelier, the more so the fresher."""
    factor = np.ones(len(view.names))
    for change in view.evidence.changes:
        at = view.at.get(change.component)
        if at is not None and 0 <= change.before <= RECENT:
            factor[at] = max(factor[at], 1 + CHANGED * (1 - change.before / RECENT))
    return factor


def _verdict(view: View, score: Floats) -> Causes:
    order = [int(i) for i in np.argsort(-score, kind="stable")]
    total = float(score.sum()) or 1.0
    causes = tuple(
        Cause(
            view.names[i],
            float(score[i]),
            float(score[i]) / total,
            say.reasons(view, i),
            say.counterfactual(view, i),
        )
        for i in order
    )
    lead = order[0]
    shown = [lead, *(view.callers(lead) if lead in view.silent else ())]
    surest = max((view.shift.strength[i] for one in shown for i in view.columns[one][:1]), default=0.0)
    if not np.isfinite(view.evidence.fault).any(1).sum() >= POINTS:
        return Causes(causes, False, f"fewer than {POINTS} points since it began")
    if score[lead] <= 0 or surest < LEAST:
        return Causes(causes, False, "nothing stands out from what chance brings")
    if len(order) > 1 and score[order[1]] > CLOSE * score[lead]:
        return Causes(causes, True, f"{causes[0].component} and {causes[1].component} are about as likely")
    return Causes(causes, True, f"{causes[0].component} stands out")
