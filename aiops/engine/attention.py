"""What is looked at in another way than usual: new series, those near problems, and what people spoke of."""

import logging
from collections.abc import Sequence
from functools import partial

import numpy as np

from aiops.core.components import entity_of
from aiops.core.marks import Said, moved
from aiops.engine.state import State
from aiops.model.frame import Frame
from aiops.model.lifecycle import ProblemState
from aiops.model.series import text_of

log = logging.getLogger("aiops.detect")

MOST_NEAR = 500
"""Series near problems that are looked at more closely at a time."""


def acquaint(state: State, now: float) -> None:
    """Series that have been new are given what their siblings know; `now` is the time of a row."""
    due = state.siblings.due(state.anomalies.columns["seen"], now)
    if not len(due):
        return
    ready = state.detection.ready()
    young = due[~ready[due]]
    for slot, elder in state.siblings.of(young, ready).items() if len(young) else ():
        if state.detection.borrow(slot, elder):
            state.anomalies.borrow(slot, elder)


def promote(state: State) -> None:
    """Series of components with an open problem are looked at more closely."""
    if not any(detector.near_problems for detector in state.detection.detectors):
        return
    by = state.config.grouping.by
    near = {
        entity_of(alert.labels, by)
        for problem in state.problems.known
        if problem.state is not ProblemState.RESOLVED
        for alert in problem.alerts
    }
    slots = [slot for name in sorted(near - {""}) for slot in state.components.slots(name)]
    state.detection.promote(np.unique(np.array(slots[:MOST_NEAR], np.int32)), partial(_past, state))


def _past(state: State, slot: int) -> Frame:
    points = state.recent.points(slot)
    values = np.asarray(points["observed"], float)[:, None]
    return Frame(np.asarray(points["times"], float), np.array([slot], np.int32), values)


def heed(state: State, said: Sequence[Said], now: float) -> None:
    """What people last said of problems, and so the bars of what they spoke of."""
    kinds = moved(said, now)
    before = state.anomalies.moved
    after = {slot: by for kind, by in kinds.items() for slot in state.siblings.bearing(kind).tolist()}
    after = {slot: by for slot, by in after.items() if state.labels_of_slot(slot) is not None}
    for slot in after.keys() - before.keys():
        named = text_of(state.index.labels(slot))
        log.info("the bar of %s is moved by %+.1f: people said so of such problems", named, after[slot])
    state.anomalies.moved = after
