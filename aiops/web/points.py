"""The line and band of a series: what was stored with an alert, joined with the recent past in memory."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from aiops.model.series import Labels, labels_of
from aiops.web.ports import Engine

COLUMNS = ("times", "observed", "expected", "lower", "upper")
PointMap: TypeAlias = dict[str, NDArray[np.float64]]

AT_MOST = 2000
"""Points sent for one chart: more than a screen has columns."""


def empty() -> PointMap:
    return {name: np.zeros(0) for name in COLUMNS}


def stored(points: Mapping[str, Sequence[float | None]] | None) -> PointMap:
    """From the evidence table: null becomes NaN."""
    if not points or not points.get("times"):
        return empty()
    size = len(points["times"])
    return {name: np.array(points.get(name) or [None] * size, np.float64) for name in COLUMNS}


def recent(engine: Engine, labels: Labels) -> PointMap:
    """From the ring, for a series that is still watched."""
    slot = engine.index.find(labels)
    if slot is None:
        return empty()
    ring = engine.recent.points(slot)
    return {name: np.asarray(ring[name], np.float64) for name in COLUMNS}


def joined(past: PointMap, ring: PointMap, since: float = -np.inf) -> PointMap:
    """`past`, and what `ring` has after it, from `since` (epoch s) on; thinned to `AT_MOST`."""
    last = past["times"][-1] if len(past["times"]) else -np.inf
    newer = ring["times"] > last
    whole = {name: np.concatenate([past[name], ring[name][newer]]) for name in COLUMNS}
    keep = np.flatnonzero(whole["times"] >= since)
    if len(keep) > AT_MOST:
        keep = keep[:: -(-len(keep) // AT_MOST)]
    return {name: whole[name][keep] for name in COLUMNS}


def of_alert(engine: Engine, alert: Mapping[str, Any], evidence: Mapping[str, Any] | None) -> PointMap:
    """An alert's evidence, lengthened by what came since while it is still firing."""
    past = stored(evidence)
    if alert["state"] == "resolved" and len(past["times"]):
        return past
    return joined(past, recent(engine, labels_of(dict(alert["labels"]))))


def as_lists(points: PointMap) -> dict[str, list[float]]:
    """Plain lists for the answer models, which turn NaN into null."""
    return {name: points[name].tolist() for name in COLUMNS}
