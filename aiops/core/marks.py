"""What people said of problems moves the bar of what they spoke of: bounded, forgotten, and taken back.

A signature is a metric of a workload: the labels of an alert without those of an instance. Of each problem
the last verdict counts. Only anomalies are judged by a bar: no limit and no breached SLI is ever kept quiet.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aiops.core.siblings import kind_of
from aiops.model.problem import Verdict
from aiops.model.series import Labels, labels_of
from aiops.model.signal import AlertKind

HALF_LIFE = 30 * 86400.0
"""Seconds after which a mark counts half; after `FORGOTTEN` not at all."""
FORGOTTEN = 180 * 86400.0
MOVES = {Verdict.FALSE: 1.0, Verdict.TRUE: -0.5, Verdict.DUPLICATE: 0.0}
"""Decades by which one mark moves the bar."""
LOWEST, HIGHEST = -1.0, 3.0
"""However many there are. 3 decades are less than what makes a single anomaly a major one."""


@dataclass(frozen=True, slots=True)
class Said:
    """The last verdict on one problem, at ``made`` (epoch s), and the labels of its anomalies."""

    verdict: Verdict
    made: float
    anomalies: tuple[Labels, ...]

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Said":
        """From a row of the store with its evidence."""
        alerts = row["evidence"].get("alerts", ())
        spoken = (labels_of(one["labels"]) for one in alerts if one["kind"] == AlertKind.ANOMALY.value)
        return cls(Verdict(row["verdict"]), row["made"], tuple(dict.fromkeys(spoken)))


def moved(said: Iterable[Said], now: float) -> dict[int, float]:
    """Signature -> decades that are added to its bar at `now` (epoch s); none where it is not moved."""
    sums: dict[int, float] = {}
    for one in said:
        weight = MOVES[one.verdict] * 0.5 ** (max(now - one.made, 0.0) / HALF_LIFE)
        for kind in {kind_of(labels) for labels in one.anomalies}:
            sums[kind] = sums.get(kind, 0.0) + weight
    return {kind: min(HIGHEST, max(LOWEST, by)) for kind, by in sums.items() if abs(by) > 0.01}
