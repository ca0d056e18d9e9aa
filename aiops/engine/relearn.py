"""Series that have drifted for good are learnt anew; what is near a problem is not, as long as it is open."""

import logging
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from aiops.core.changes import words_of
from aiops.core.components import entity_of
from aiops.core.drift import BLOCK, Drift
from aiops.engine.state import State
from aiops.engine.work import Relearnt, Work
from aiops.model.lifecycle import AlertState, ProblemState
from aiops.model.series import text_of

Slots: TypeAlias = NDArray[np.int32]
log = logging.getLogger("aiops.detect")


def relearn(state: State, work: Work) -> None:
    """What the tests for drift make of the row that was just learnt."""
    if work.scored is None or not any(one.tells_drifts for _, one in state.detection.here()):
        return
    time, slots = work.scored.time, work.scored.slots[~np.isnan(work.scored.values)]
    slots, deviations = _deviations(state, slots)
    if not len(slots):
        return
    for drift in state.drift.step(time, slots, deviations, np.isin(slots, near_problems(state))):
        _weigh(state, work, drift, time)


def _deviations(state: State, slots: Slots) -> tuple[Slots, NDArray[np.float64]]:
    """Those of `slots` that a head tells deviations of (the first, where several do); ``[2, S]``."""
    parts: list[tuple[Slots, NDArray[np.float64]]] = []
    for place, detector in state.detection.here():
        if not detector.tells_drifts:
            continue
        covered = state.detection.covers(place)[slots]
        told = detector.deviation(slots[covered])
        if told is not None:
            parts.append((slots[covered], told))
            slots = slots[~covered]
    if not parts:
        return slots[:0], np.zeros((2, 0))
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts], axis=1)


def near_problems(state: State) -> Slots:
    """Slots with a firing alert, and all of each component that has a problem: a fault is no new normal."""
    by = state.config.grouping.by
    live = [alert for alert in state.alerting.live.values() if alert.state is AlertState.FIRING]
    open_ones = [p for p in state.problems.known if p.state is not ProblemState.RESOLVED]
    concerned = [*live, *(alert for problem in open_ones for alert in problem.alerts)]
    found = {slot for alert in concerned if (slot := state.index.find(alert.labels)) is not None}
    ill = {entity_of(alert.labels, by) for problem in open_ones for alert in problem.alerts} - {""}
    for component in ill:
        found.update(state.components.slots(component))
    return np.fromiter(found, np.int32, len(found))


def _weigh(state: State, work: Work, drift: Drift, now: float) -> None:
    """A deploy or a config change of its component just before makes less evidence enough."""
    labels = state.index.labels(drift.slot)
    change = state.changes.explaining(labels, drift.since + BLOCK)
    if not drift.sure and change is None:
        return
    for place, detector in state.detection.here():
        if state.detection.covers(place)[drift.slot]:
            detector.relearn(drift.slot, drift.moved, drift.widened, drift.since, now)
    state.drift.settle(drift, now)
    said = drift.said(now, words_of(change) if change else "")
    team = state.team_of(drift.slot) or state.config.team
    work.relearnt.append(Relearnt(text_of(labels), team, drift.kind, said, now))
    log.info("%s: %s", text_of(labels), said)
