"""OTLP metrics -> frames: what each kind of metric is watched as is written in docs/ingest.md."""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from aiops.model.frame import Frame
from aiops.model.series import NAME
from aiops.wire import otlp
from aiops.wire._named import key_of, refs
from aiops.wire._otlp_histograms import Buckets, Held, explicit, exponential
from aiops.wire._tracks import COUNTER, GAUGE
from aiops.wire.intake import NONE, Intake

STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
DELTA, CUMULATIVE = 1, 2
_ABSENT = 1
"""In a point's flags: no value was recorded, the series has ended."""

Attributes: TypeAlias = tuple[tuple[str, bytes], ...]
"""By name, the values as they are spelt."""


@dataclass(frozen=True, slots=True)
class Family:
    """One metric of one resource."""

    resource: dict[str, str]
    origin: tuple[object, ...]
    """What tells it from others."""
    name: str

    def key(self, attributes: Attributes, more: str = "") -> int:
        return key_of((*self.origin, attributes, more))


@dataclass(frozen=True, slots=True)
class Sample:
    family: Family
    attributes: Attributes
    suffix: str
    quantile: str
    time: int
    """ms"""
    value: float
    kind: int


@dataclass(frozen=True, slots=True)
class Histogram:
    family: Family
    attributes: Attributes
    time: int
    buckets: Buckets


@dataclass(slots=True)
class Points:
    """What a request says, without a look at what was known before."""

    samples: list[Sample] = field(default_factory=list)
    histograms: list[Histogram] = field(default_factory=list)
    rejected: int = 0
    why: str = ""

    def reject(self, why: str, count: int = 1) -> None:
        self.rejected += count
        self.why = self.why or why


def read(request: Any, naming: otlp.Naming) -> Points:
    """The points of an ``ExportMetricsServiceRequest``. Needs no state, so it may run in any thread."""
    points = Points()
    for group in request.resource_metrics:
        resource = naming.resource(group.resource.attributes)
        spelt = group.resource.SerializeToString(deterministic=True)
        for scope in group.scope_metrics:
            named = resource | ({"otel_scope_name": scope.scope.name} if scope.scope.name else {})
            for metric in scope.metrics:
                name = otlp.metric_name(metric.name)
                _metric(metric, Family(named, (spelt, scope.scope.name, metric.name), name), points)
    return points


def _metric(metric: Any, family: Family, points: Points) -> None:
    kind = metric.WhichOneof("data")
    if kind is None:
        return
    data = getattr(metric, kind)
    if not family.name:
        points.reject("a metric without a name", len(data.data_points))
        return
    for point in data.data_points:
        if not point.time_unix_nano:
            points.reject(f"{family.name}: a point without a time")
        elif fault := _KINDS[kind](data, point, family, points):
            points.reject(f"{family.name}: {fault}")


def _attributes(point: Any) -> Attributes:
    return tuple(sorted((one.key, one.value.SerializeToString()) for one in point.attributes))


def _add(
    points: Points, family: Family, point: Any, value: float, kind: int, suffix: str = "", quantile: str = ""
) -> None:
    if point.flags & _ABSENT:
        value = STALE
    time = point.time_unix_nano // 1_000_000
    points.samples.append(Sample(family, _attributes(point), suffix, quantile, time, value, kind))


def _number(point: Any) -> float | None:
    which = point.WhichOneof("value")
    if which is None:
        return STALE if point.flags & _ABSENT else None
    return float(getattr(point, which))


def _gauge(_data: Any, point: Any, family: Family, points: Points) -> str:
    value = _number(point)
    if value is None:
        return "a point without a value"
    _add(points, family, point, value, GAUGE)
    return ""


def _sum(data: Any, point: Any, family: Family, points: Points) -> str:
    value = _number(point)
    if value is None:
        return "a point without a value"
    if data.aggregation_temporality == CUMULATIVE:
        _add(points, family, point, value, COUNTER if data.is_monotonic else GAUGE)
        return ""
    return _growth(data, point, family, points, value, "")


def _growth(data: Any, point: Any, family: Family, points: Points, value: float, suffix: str) -> str:
    """A delta, as what it is a second of its own span."""
    seconds = (point.time_unix_nano - point.start_time_unix_nano) / 1e9
    if data.aggregation_temporality != DELTA:
        return "neither cumulative nor delta"
    if not point.start_time_unix_nano or seconds <= 0:
        return "a delta without the time it starts at"
    _add(points, family, point, value / seconds, GAUGE, suffix)
    return ""


def _histogram(data: Any, point: Any, family: Family, points: Points) -> str:
    try:
        buckets = explicit(point) if hasattr(point, "explicit_bounds") else exponential(point)
    except ValueError as why:
        return str(why)
    delta = data.aggregation_temporality == DELTA
    if not point.flags & _ABSENT:
        buckets.delta = delta
        time = point.time_unix_nano // 1_000_000
        points.histograms.append(Histogram(family, _attributes(point), time, buckets))
    totals = [("_count", float(point.count))]
    totals += [("_sum", point.sum)] if point.HasField("sum") else []
    for suffix, total in totals:
        if data.aggregation_temporality == CUMULATIVE:
            _add(points, family, point, total, COUNTER, suffix)
        elif fault := _growth(data, point, family, points, total, suffix):
            return fault
    return ""


def _summary(_data: Any, point: Any, family: Family, points: Points) -> str:
    _add(points, family, point, float(point.count), COUNTER, "_count")
    _add(points, family, point, point.sum, COUNTER, "_sum")
    for one in point.quantile_values:
        _add(points, family, point, one.value, GAUGE, quantile=f"{one.quantile:g}")
    return ""


_KINDS = {
    "gauge": _gauge,
    "sum": _sum,
    "histogram": _histogram,
    "exponential_histogram": _histogram,
    "summary": _summary,
}


class OtlpMetrics:
    """Decodes for one source."""

    def __init__(self, intake: Intake) -> None:
        self.intake = intake
        self._held = Held(intake.limits.series)

    def take(self, points: Points) -> list[Frame]:
        """Frames of what `read` found, in order of arrival; counts in `points` what is beyond a limit."""
        intake = self.intake
        intake.refresh()
        samples = [*points.samples, *self._quantiles(points.histograms)]
        if not samples:
            return []
        keys = [s.family.key(s.attributes, f"{s.suffix} {s.quantile}") for s in samples]
        found = refs(
            intake,
            np.array(keys, np.uint64),
            lambda k: _labels(samples[k]),
            np.array([s.kind for s in samples], np.int64),
        )
        beyond = int(np.count_nonzero(found == NONE))
        if beyond:
            points.reject("more series than are taken, or labels that are too long", beyond)
        times = np.array([s.time for s in samples], np.int64)
        return intake.take(found, times, np.array([s.value for s in samples]))

    def _quantiles(self, histograms: Sequence[Histogram]) -> Iterator[Sample]:
        shares = self.intake.histograms.shares
        if not len(shares) or not histograms:
            return
        for one in histograms:
            found = self._held.quantiles(one.family.key(one.attributes), one.time, one.buckets, shares)
            for share, value in zip(shares, found, strict=False):
                yield Sample(one.family, one.attributes, "", f"{share:g}", one.time, float(value), GAUGE)
        self._held.forget()


def _labels(sample: Sample) -> dict[str, str]:
    """A point's own attributes outweigh those of its resource: they tell it from its neighbours."""
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue

    texts = {key: otlp.text_of(AnyValue.FromString(spelt)) for key, spelt in sample.attributes}
    found = sample.family.resource | otlp.labels(texts) | {NAME: sample.family.name + sample.suffix}
    return found | ({"quantile": sample.quantile} if sample.quantile else {})
