"""The last minutes of every series with the band that was expected: what charts show."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiops.core.detect import Scored

POINTS = 240
"""Eight minutes at 2 s, an hour at 15 s."""

BUDGET = 64 * 2**20
"""Bytes that the ring may take; series beyond it have no ring, and their charts begin at the alert."""

_FIELDS = ("values", "expected", "lower", "upper")
_ROW = POINTS * (8 + 4 * len(_FIELDS))


class Recent:
    """A ring of `POINTS` samples a slot, grown with the index until the budget is spent."""

    def __init__(self) -> None:
        self.most = BUDGET // _ROW
        self._times = np.zeros((0, POINTS))
        self._data = np.zeros((0, POINTS, len(_FIELDS)), np.float32)
        self._count = np.zeros(0, np.int64)

    def welcome(self, fresh: NDArray[np.int32]) -> None:
        """New or reused slots start empty."""
        kept = fresh[fresh < self.most]
        if not len(kept):
            return
        self._grow(int(kept.max()) + 1)
        self._count[kept] = 0

    def take(self, scored: Scored) -> None:
        """Append one row; slots without a sample are skipped."""
        near = scored.slots < len(self._count)
        if not near.any():
            return
        keep = ~np.isnan(scored.values) & near
        slots = scored.slots[keep]
        at = self._count[slots] % POINTS
        self._times[slots, at] = scored.time
        for column, name in enumerate(_FIELDS):
            self._data[slots, at, column] = getattr(scored, name)[keep]
        self._count[slots] += 1

    def points(self, slot: int, since: float = 0.0) -> dict[str, NDArray[Any]]:
        """``times`` (epoch s), ``observed``, ``expected``, ``lower``, ``upper`` since then, oldest first."""
        if slot >= len(self._count):
            empty = np.zeros(0)
            return dict.fromkeys(("times", "observed", "expected", "lower", "upper"), empty)
        count = int(self._count[slot])
        order = np.arange(max(0, count - POINTS), count) % POINTS
        order = order[self._times[slot, order] > since]
        columns = {name: self._data[slot, order, i] for i, name in enumerate(_FIELDS)}
        return {"times": self._times[slot, order], "observed": columns.pop("values"), **columns}

    def _grow(self, rows: int) -> None:
        have = len(self._count)
        if rows <= have:
            return
        rows = min(self.most, max(rows, 2 * have, 64))
        for name in ("_times", "_data", "_count"):
            old = getattr(self, name)
            new = np.zeros((rows, *old.shape[1:]), old.dtype)
            new[:have] = old
            setattr(self, name, new)


MOST_EVIDENCE = 720
"""Points kept with an alert; when there are more, every second one of the older half goes."""


class Evidence:
    """The course of one alert's series, from before it fired until its problem is over."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.latest = 0.0
        """Exact time of the newest point; ``times`` are rounded."""
        self.columns: dict[str, list[float | None]] = {
            n: [] for n in ("observed", "expected", "lower", "upper")
        }

    def extend(self, points: dict[str, NDArray[Any]]) -> None:
        if not len(points["times"]):
            return
        self.latest = float(points["times"][-1])
        self.times += [round(float(t), 3) for t in points["times"]]
        for name, column in self.columns.items():
            # 7 significant digits are all that a float32 holds
            column += [float(f"{v:.7g}") if np.isfinite(v) else None for v in points[name].tolist()]
        if len(self.times) > MOST_EVIDENCE:
            self._thin()

    def _thin(self) -> None:
        half = len(self.times) // 2
        keep = [*range(0, half, 2), *range(half, len(self.times))]
        self.times = [self.times[i] for i in keep]
        self.columns = {name: [column[i] for i in keep] for name, column in self.columns.items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Sequence[float | None]]) -> "Evidence":
        """What `to_json` gave, to go on with."""
        course = cls()
        course.times = [float(t) for t in data["times"] if t is not None]
        course.columns = {name: list(data[name]) for name in course.columns}
        # its times were rounded: a point of the same millisecond is the same point
        course.latest = course.times[-1] + 0.001 if course.times else 0.0
        return course

    def to_json(self) -> dict[str, list[float | None]]:
        return {"times": list(self.times), **self.columns}
