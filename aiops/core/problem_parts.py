"""Which alerts of a problem are whose doing, where several faults are at work in it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from aiops.core.components import entity_of
from aiops.core.rootcause_apart import Fault
from aiops.core.rootcause_gather import Sight
from aiops.core.rootcause_own import Symptom, symptom_of
from aiops.core.rootcause_score import family
from aiops.core.topology import Topology
from aiops.model.cause import Causes
from aiops.model.series import NAME
from aiops.model.signal import Alert


@dataclass(frozen=True, slots=True)
class Part:
    """The alerts that one fault accounts for."""

    fault: Fault
    alerts: tuple[Alert, ...]


@dataclass(frozen=True, slots=True)
class Split:
    """A part that is to be a problem of its own, with what is known of its causes."""

    part: Part
    causes: Causes


def parts(alerts: Iterable[Alert], faults: Sequence[Fault], sight: Sight) -> list[Part]:
    """Every alert with the fault that accounts for it: one a fault, of those that have any.

    A symptom belongs to the nearest fault of its kind at the component or below it; all else to a fault at
    the component, else below it, else above it, else to the first.
    """
    shared: dict[str, list[Alert]] = {fault.component: [] for fault in faults}
    for alert in alerts:
        shared[_whose(alert, faults, sight)].append(alert)
    return [Part(f, tuple(shared[f.component])) for f in faults if shared[f.component]]


def led_by(causes: Causes, lead: str, others: Iterable[str]) -> Causes:
    """`causes` with `lead` first, and last the `others`, which are problems of their own."""
    away = set(others)
    order = sorted(causes.ranked, key=lambda one: (one.component != lead, one.component in away))
    said = f"{lead} has a fault of its own, and so has {' and '.join(sorted(away))}"
    return replace(causes, ranked=tuple(order), known=True, because=said)


def _whose(alert: Alert, faults: Sequence[Fault], sight: Sight) -> str:
    component, kind = entity_of(alert.labels, sight.by), _symptom(alert, sight)
    at = {fault.component: fault for fault in faults}
    links: Topology = sight.topology
    below = _outwards(component, lambda one: links.callees.get(one, set()))
    if kind is not None:
        for one in below:
            if one in at and kind in at[one].symptoms:
                return one
    above = _outwards(component, lambda one: links.callers.get(one, set()))
    return next((one for one in (*below, *above) if one in at), faults[0].component)


def _outwards(start: str, step: Callable[[str], Iterable[str]]) -> list[str]:
    """`start` and all that is reached from it, the nearest first."""
    found = [start]
    for one in found:
        found += [other for other in sorted(step(one)) if other not in found]
    return found


def _symptom(alert: Alert, sight: Sight) -> Symptom | None:
    named = dict(alert.labels)
    return symptom_of(sight.slis.get(named.get("sli", ""), family(named.get(NAME, ""))))
