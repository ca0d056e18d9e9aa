"""Any anomaly or drift model of river, for a few series or for groups of them.

A model is a Python object of kilobytes to megabytes and costs microseconds to milliseconds a sample: it is
for the series that matter, not for all. The state is not the model but the last `window` vectors that it saw:
after a restore, and at every half window, the model is made again by learning those. So nothing is pickled,
and nothing is kept for ever.
"""

import importlib
import inspect
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PrivateAttr, field_validator, model_validator

from aiops.model.frame import Frame
from aiops.model.series import SeriesIndex
from aiops.model.signal import Scores
from aiops.plugin import Columns, Detector, Fatal
from detectors._river_units import Model, Units, columns_for

TOLD = 5
"""Vectors for which a drift is still told after it was noticed: alerts look at several samples."""
WIDEST = 16
"""Series in a group."""
_SCALERS = {
    "none": "",
    "minmax": "river.preprocessing.MinMaxScaler",
    "standard": "river.preprocessing.StandardScaler",
}


class RiverModel(Detector):
    """A river model for each series, or one for each group of series that share labels.

    Anomaly models see the series' value, or the group's values, as features; supervised ones see the value as
    the target. A model's own score becomes -log10 p by its rank among its recent scores.
    """

    model: str = Field(description="Import path, such as river.anomaly.HalfSpaceTrees or river.drift.ADWIN.")
    params: dict[str, Any] = Field(
        default_factory=dict,
        description="Its arguments; a mapping {model: ..., params: ...} in it is built the same way.",
    )
    scale: Literal["none", "minmax", "standard"] = Field(
        "none", description="How features are scaled first; HalfSpaceTrees expects minmax."
    )
    per: Literal["series", "group"] = Field("series", description="What gets a model of its own.")
    group_by: list[str] = Field(
        default_factory=list, description="Labels that a group shares, with `per: group`."
    )
    window: int = Field(
        512, ge=32, description="Most vectors that a model is made of; it forgets older ones."
    )
    warmup_samples: int = Field(60, ge=20, description="Vectors of a unit before it is scored.")
    max_series: int = Field(100, ge=1, le=1000, description="More series are refused: models are costly.")
    drift_score: float = Field(
        6.0, gt=0, description="The score of a drift, which a drift model only notices."
    )

    _units: Units = PrivateAttr()
    _live: dict[int, tuple[int, int, Model]] = PrivateAttr(default_factory=dict)
    """Per unit: the generation and count that the model was made at, and the model."""
    _index: SeriesIndex | None = PrivateAttr(None)
    _face: str = PrivateAttr("")

    @field_validator("model")
    @classmethod
    def _of_river(cls, path: str) -> str:
        if not path.startswith("river."):
            raise ValueError(f"expected a model of river, such as river.anomaly.HalfSpaceTrees; got {path!r}")
        return path

    @model_validator(mode="after")
    def _usable(self) -> "RiverModel":
        self._face = _face_of(construct(self.model, self.params))
        if self.per == "group" and not self.group_by:
            raise ValueError("per: group needs group_by, the labels that a group shares")
        if self.per == "group" and self._face != "anomaly":
            raise ValueError(f"{self.model} looks at one value; it cannot watch a group")
        width = WIDEST if self.per == "group" else 1
        self._units = Units(columns_for(self.max_series, width, self.window), self.window)
        return self

    def open(self, index: SeriesIndex) -> None:
        self._index = index

    @property
    def columns(self) -> Columns:
        return self._units.columns

    @property
    def apart(self) -> bool:
        return self.per == "series"

    def lift(self, slots: NDArray[np.int32]) -> dict[str, NDArray[Any]]:
        return self._units.lift(slots)

    def put(self, slots: NDArray[np.int32], rows: Mapping[str, NDArray[Any]]) -> None:
        self.columns.reset(slots)
        for at in np.flatnonzero(rows["seated"]).tolist():
            unit, _ = self._seat(int(slots[at]), 0.0)
            self._units.put(unit, {name: array[at] for name, array in rows.items()})

    def score(self, frame: Frame) -> Scores:
        answers = np.zeros(frame.values.shape, np.float32)
        seats = [self._units.find(int(slot)) for slot in frame.slots]
        fresh: dict[int, dict[int, float]] = {}
        for seat, value in zip(seats, frame.values[0], strict=True):
            if seat is not None and np.isfinite(value):
                fresh.setdefault(seat[0], {})[seat[1]] = float(value)
        said = {unit: self._judge(unit, values) for unit, values in fresh.items()}
        for i, seat in enumerate(seats):
            if seat is not None and np.isfinite(frame.values[0, i]):
                answers[0, i] = said[seat[0]]
        nothing = np.full(frame.values.shape, np.nan)
        return Scores(answers, nothing, nothing, nothing)

    def learn(self, frame: Frame, mask: NDArray[np.bool_]) -> None:
        for values, wanted in zip(frame.values, mask, strict=True):
            fresh: dict[int, dict[int, float]] = {}
            for i in np.flatnonzero(wanted & np.isfinite(values)):
                unit, place = self._seat(int(frame.slots[i]), float(values[i]))
                fresh.setdefault(unit, {})[place] = float(values[i])
            for unit, by_place in fresh.items():
                self._learn(unit, self._units.vector(unit, by_place))

    def ready(self) -> NDArray[np.bool_]:
        unit = self.columns["unit"]
        enough: NDArray[np.bool_] = self.columns["count"][np.maximum(unit, 0)] >= self.warmup_samples
        return enough & (unit >= 0)

    def explain(self, slot: int) -> str:
        seat = self._units.find(slot)
        if seat is None:
            return "not seen yet"
        count = int(self.columns["count"][seat[0]])
        if count < self.warmup_samples:
            return f"still learning: {count} of {self.warmup_samples} samples"
        return f"{self.model}, made of the last {len(self._units.recent(seat[0]))} of {count} samples"

    def _judge(self, unit: int, fresh: dict[int, float]) -> float:
        if int(self.columns["count"][unit]) < self.warmup_samples:
            return 0.0
        if self._face == "drift":
            return self.drift_score if int(self.columns["drifted"][unit]) < TOLD else 0.0
        return self._units.surprise(unit, self._model(unit).score(self._units.vector(unit, fresh)))

    def _learn(self, unit: int, vector: NDArray[np.float64]) -> None:
        model = self._model(unit)
        score, drifted = model.score(vector), self.columns["drifted"]
        drifted[unit] = 0 if model.learn(vector) else drifted[unit] + 1
        self._units.push(unit, vector, score)
        count = int(self.columns["count"][unit])
        self._live[unit] = (self.columns.generation, count, model)
        if count % (self.window // 2) == 0:
            del self._live[unit]

    def _seat(self, slot: int, value: float) -> tuple[int, int]:
        seat = self._units.find(slot)
        if seat is None:
            seat = self._units.seat(slot, value, self._key)
            self._live.pop(seat[0], None)
        return seat

    def _key(self, slot: int) -> object:
        if self.per == "series":
            return slot
        if self._index is None:
            raise Fatal("river_model: per: group needs `open` first, to see labels")
        labels = dict(self._index.labels(slot))
        return tuple(labels.get(name, "") for name in self.group_by)

    def _model(self, unit: int) -> Model:
        made_at = (self.columns.generation, int(self.columns["count"][unit]))
        live = self._live.get(unit)
        if live is not None and live[:2] == made_at:
            return live[2]
        scaler = _SCALERS[self.scale]
        model = Model(
            construct(self.model, self.params), construct(scaler, {}) if scaler else None, self._face
        )
        for vector in self._units.recent(unit):
            model.learn(vector)
        self._live[unit] = (*made_at, model)
        return model


def construct(path: str, params: dict[str, Any]) -> Any:
    """The river object of an import path. Raises ValueError that names the path or the argument.

    A seed that is not given is 0: a model made again from the same vectors must be the same.
    """
    module, _, name = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as why:
        raise ValueError(f"no model {path!r}: {why}") from why
    built = {key: _nested(value) for key, value in params.items()}
    if "seed" in inspect.signature(found).parameters:
        built.setdefault("seed", 0)
    try:
        return found(**built)
    except (TypeError, ValueError) as why:
        raise ValueError(f"{path}: {why}") from why


def _nested(value: Any) -> Any:
    if isinstance(value, dict) and "model" in value:
        return construct(str(value["model"]), dict(value.get("params", {})))
    return value


def _face_of(model: Any) -> str:
    from river import base

    if isinstance(model, base.AnomalyDetector):
        return "anomaly"
    if isinstance(model, base.SupervisedAnomalyDetector):
        return "supervised"
    if isinstance(model, base.DriftDetector):
        return "drift"
    raise ValueError(f"{type(model).__name__} is neither an anomaly nor a drift model of river")
