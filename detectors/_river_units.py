"""The state of `river_model`: recent vectors in plain arrays, and how a model is made again from them."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiops.plugin import Column, Columns, Fatal, Layout

NOBODY = -1
RINGS = ("vectors", "scores", "count", "drifted")
QUIET = 1 << 30
"""Vectors since the last drift, when there was none."""


def columns_for(units: int, width: int, window: int) -> Columns:
    """Per slot where its values go; per unit (a series, or a group) a ring of vectors and of model scores."""
    return Columns(
        unit=Column(np.int32, fill=NOBODY),
        place=Column(np.int32, fill=NOBODY),
        vectors=Column(np.float64, shape=(units, window, width), layout=Layout.TABLE, fill=np.nan),
        scores=Column(np.float64, shape=(units, window), layout=Layout.TABLE, fill=np.nan),
        count=Column(np.int64, shape=(units,), layout=Layout.TABLE),
        drifted=Column(np.int64, shape=(units,), layout=Layout.TABLE, fill=QUIET),
    )


class Units:
    """Who sits where, and the rings. Holds no state of its own: everything is in `columns`."""

    def __init__(self, columns: Columns, window: int) -> None:
        self.columns = columns
        self.window = window

    def find(self, slot: int) -> tuple[int, int] | None:
        """``unit, place`` of a slot; None when it has none yet."""
        unit = self.columns["unit"]
        if slot < len(unit) and unit[slot] != NOBODY:
            return int(unit[slot]), int(self.columns["place"][slot])
        return None

    def seat(self, slot: int, value: float, key_of: Callable[[int], object]) -> tuple[int, int]:
        """Give a slot a place in the unit of its key; its past is taken to be its first `value`.

        Raises `Fatal` when there is no room.
        """
        self.columns.ensure(slot + 1)
        unit, place = self.columns["unit"], self.columns["place"]
        seated = [int(other) for other in np.flatnonzero(unit != NOBODY)]
        mine = [other for other in seated if key_of(other) == key_of(slot)]
        if len(seated) >= len(self.columns["count"]):
            raise Fatal(
                f"river_model: more than max_series = {len(seated)} series; narrow `match` or raise it"
            )
        if mine:
            number = int(unit[mine[0]])
        else:
            used = {int(unit[other]) for other in seated}
            number = next(n for n in range(len(seated) + 1) if n not in used)
            self._clear(number)
        width = self.columns["vectors"].shape[2]
        free = sorted(set(range(width)) - {int(place[other]) for other in mine})
        if not free:
            raise Fatal(f"river_model: a group has more than {width} series; name more labels in `group_by`")
        self.columns["vectors"][number, :, free[0]] = value
        unit[slot], place[slot] = number, free[0]
        return number, free[0]

    def vector(self, unit: int, fresh: dict[int, float]) -> NDArray[np.float64]:
        """The unit's vector with the `fresh` values by place; the others keep their last."""
        now: NDArray[np.float64] = self.columns["vectors"][unit, self._at(unit) - 1].copy()
        now[list(fresh)] = list(fresh.values())
        return now

    def push(self, unit: int, vector: NDArray[np.float64], score: float) -> None:
        """Take in a vector and what the model thought of it."""
        at = self._at(unit)
        self.columns["vectors"][unit, at] = vector
        self.columns["scores"][unit, at] = score
        self.columns["count"][unit] += 1

    def recent(self, unit: int) -> NDArray[np.float64]:
        """What a model is made of: the vectors since the last but one half-window boundary, oldest first.

        A model thus is a function of the ring alone, the same after a restore, and forgets what is older.
        """
        count, half = int(self.columns["count"][unit]), self.window // 2
        first = max(0, (count // half - 1) * half)
        recent: NDArray[np.float64] = self.columns["vectors"][unit, np.arange(first, count) % self.window]
        return recent

    def surprise(self, unit: int, score: float) -> float:
        """-log10 p of a model's score among its recent ones; an exponential tail beyond the upper tenth.

        Peaks over a threshold (McNeil 1997) with the shape taken as 0, and the scale from the median excess:
        some models' first scores are wild.
        """
        ring = self.columns["scores"][unit, : int(self.columns["count"][unit])]
        known = np.sort(ring[~np.isnan(ring)])
        if len(known) == 0 or np.isnan(score):
            return 0.0
        edge = float(known[int(0.9 * (len(known) - 1))])
        if score <= edge:
            return float(-np.log10((np.count_nonzero(known >= score) + 1) / (len(known) + 1)))
        tail = known[known > edge]
        excess = float(np.median(tail) - edge) / float(np.log(2)) if len(tail) else 0.0
        floor = 1e-3 * (float(np.ptp(known[: len(known) * 9 // 10])) + abs(edge)) + 1e-12
        return min(1.0 + float(np.log10(np.e)) * (score - edge) / max(excess, floor), 30.0)

    def lift(self, slots: NDArray[np.int32]) -> dict[str, NDArray[Any]]:
        """Copies of the rings of `slots`, each of which has a unit of its own; ``seated``: or none yet."""
        unit = self.columns["unit"][slots]
        at = np.maximum(unit, 0)
        return {"seated": unit != NOBODY} | {name: self.columns[name][at] for name in RINGS}

    def put(self, unit: int, ring: Mapping[str, NDArray[Any]]) -> None:
        """Overwrite the rings of one unit by those that were lifted of one slot."""
        for name in RINGS:
            self.columns[name][unit] = ring[name]

    def _at(self, unit: int) -> int:
        return int(self.columns["count"][unit]) % self.window

    def _clear(self, unit: int) -> None:
        for name in RINGS:
            self.columns[name][unit] = self.columns.spec[name].fill


_BOUNDED = {"GaussianScorer", "HalfSpaceTrees", "PredictiveAnomalyDetection"}
"""Models whose score ends at 1: how near to 1 it comes is what tells the strange from the stranger."""


class Model:
    """One live river model behind the three faces that river has: anomaly, supervised anomaly, drift."""

    def __init__(self, model: Any, scaler: Any, face: str) -> None:
        self._model = model
        self._scaler = scaler
        self._face = face
        self._bounded = type(model).__name__ in _BOUNDED

    def score(self, vector: NDArray[np.float64]) -> float:
        """How strange the model finds it, higher = stranger; NaN for a drift model. Learns nothing."""
        if self._face == "drift":
            return float("nan")
        if self._face == "supervised":
            own = float(self._model.score_one({}, float(vector[0])))
        else:
            own = float(self._model.score_one(self._features(vector)))
        return -float(np.log10(max(1.0 - own, 1e-12))) if self._bounded else own

    def learn(self, vector: NDArray[np.float64]) -> bool:
        """Learn one vector; whether a drift model noticed a drift."""
        if self._face == "drift":
            self._model.update(float(vector[0]))
            return bool(self._model.drift_detected)
        if self._face == "supervised":
            self._model.learn_one({}, float(vector[0]))
            return False
        if self._scaler is not None:
            self._scaler.learn_one(_named(vector))
        self._model.learn_one(self._features(vector))
        return False

    def _features(self, vector: NDArray[np.float64]) -> dict[str, float]:
        named = _named(vector)
        return named if self._scaler is None else dict(self._scaler.transform_one(named))


def _named(vector: NDArray[np.float64]) -> dict[str, float]:
    return {f"f{place}": float(value) for place, value in enumerate(vector) if not np.isnan(value)}
