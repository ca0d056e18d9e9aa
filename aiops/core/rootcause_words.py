"""Why a component was ranked where it is, in words."""

import numpy as np

from aiops.core import words
from aiops.core.rootcause_score import Family
from aiops.core.rootcause_types import Measure
from aiops.core.rootcause_view import View

SHOWN = 3
"""Reasons that a person reads."""
BEYOND = 1000.0
"""Strength above which a number says nothing more: the column was all but constant."""
TELLING = 1.0
"""Strength below which a column is no reason."""


def reasons(view: View, component: int) -> tuple[str, ...]:
    """The strongest columns, then who inherits, then changes; empty for one that shows nothing."""
    telling = [i for i in view.columns[component] if view.shift.strength[i] >= TELLING]
    out = [_column(view, i) for i in telling[:SHOWN]]
    if telling:
        out += _around(view, component)
    if component in view.silent:
        out += ["it stopped reporting when this began", *_around(view, component)]
    name = view.names[component]
    out += [
        f"{change.text}, {words.duration(change.before)} before it began"
        for change in view.evidence.changes
        if change.component == name and change.before >= 0
    ]
    return tuple(out)


def counterfactual(view: View, component: int) -> str:
    """What would have had to be otherwise for its strongest column to look normal; empty without one."""
    if not view.columns[component]:
        return ""
    i = view.columns[component][0]
    if view.shift.strength[i] < TELLING:
        return ""
    side = "<" if view.shift.seen[i] > view.shift.bound[i] else ">"
    measure = view.evidence.measures[i]
    bound, usual = (
        words.number(float(f"{value:.3g}"), measure.metric)
        for value in (view.shift.bound[i], view.shift.usual[i])
    )
    would = "not have fired" if measure.fired else "look normal"
    held = f"had stayed at {usual}" if bound == usual else f"{side} {bound}"
    return f"would {would} if {_name(measure)} {held}"


def _column(view: View, i: int) -> str:
    shift = view.shift
    moved = "rose" if shift.seen[i] > shift.usual[i] else "fell"
    measure = view.evidence.measures[i]
    usual, seen = (
        words.number(float(f"{value:.3g}"), measure.metric) for value in (shift.usual[i], shift.seen[i])
    )
    odds = f"{shift.strength[i]:.1f} x chance" if shift.strength[i] < BEYOND else "far beyond chance"
    return f"{_name(measure)} {moved} from {usual} to {seen}, {odds}"


def _name(measure: Measure) -> str:
    said = measure.said or measure.metric
    if not measure.callee:
        return said
    return f"{said} of {measure.component} -> {measure.callee} (seen by the {measure.side.value})"


def _around(view: View, component: int) -> list[str]:
    """Those it calls are well; those who call it are not."""
    odd = np.max([view.of[f] for f in (Family.LATENCY, Family.ERRORS, Family.AVAILABILITY)], axis=0)
    callees = view.graph.callees[component]
    callers = [i for i, those in enumerate(view.graph.callees) if component in those]
    bar = np.log1p(TELLING)
    out = []
    if callees and all(odd[i] < bar for i in callees):
        out.append("what it calls looks normal")
    ill = [view.names[i] for i in callers if odd[i] >= bar]
    if ill:
        out.append(f"its callers show it too: {', '.join(ill[:SHOWN])}")
    return out
