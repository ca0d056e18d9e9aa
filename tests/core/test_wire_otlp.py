"""OTLP: what each kind of metric and each log record becomes, and what is refused where."""

import gzip
import json
from typing import Any

import numpy as np
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from aiops.model.series import SeriesIndex
from aiops.wire import WireError, otlp, otlp_logs, otlp_metrics
from aiops.wire.intake import Intake, Limits
from aiops.wire.otlp_metrics import OtlpMetrics, Points
from aiops.wire.unzip import unzip

T = 1_760_000_000
NS = 10**9


class Receiver:
    """An intake and a decoder of requests given as JSON."""

    def __init__(self, **settings: Any) -> None:
        self.index = SeriesIndex()
        self.intake = Intake(self.index, **settings)
        self.decoder = OtlpMetrics(self.intake)
        self.points = Points()

    def send(self, *metrics: dict[str, Any], resource: dict[str, str] | None = None) -> dict[str, float]:
        """Name with its other labels -> value."""
        document = {
            "resourceMetrics": [
                {
                    "resource": {"attributes": attributes(resource or {})},
                    "scopeMetrics": [{"metrics": list(metrics)}],
                }
            ]
        }
        request = otlp.request(ExportMetricsServiceRequest, json.dumps(document).encode(), True)
        self.points = otlp_metrics.read(request, otlp.Naming())
        seen = {}
        for frame in self.decoder.take(self.points):
            for slot, value in zip(frame.slots.tolist(), frame.values[0].tolist(), strict=True):
                labels = dict(self.index.labels(slot))
                rest = ",".join(f"{k}={v}" for k, v in labels.items() if k != "__name__")
                seen[labels["__name__"] + (f"[{rest}]" if rest else "")] = value
        return seen


def attributes(texts: dict[str, str]) -> list[dict[str, Any]]:
    return [{"key": key, "value": {"stringValue": text}} for key, text in texts.items()]


def point(at: float, start: float | None = None, **more: Any) -> dict[str, Any]:
    found = {"timeUnixNano": str(round((T + at) * NS))} | more
    return found | ({"startTimeUnixNano": str(round((T + start) * NS))} if start is not None else {})


def gauge(name: str, *points: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "gauge": {"dataPoints": list(points)}}


def total(name: str, *points: dict[str, Any], delta: bool = False, monotonic: bool = True) -> dict[str, Any]:
    kind = {"aggregationTemporality": 1 if delta else 2, "isMonotonic": monotonic}
    return {"name": name, "sum": {"dataPoints": list(points)} | kind}


def histogram(
    name: str, *points: dict[str, Any], delta: bool = False, scaled: bool = False
) -> dict[str, Any]:
    kind = "exponentialHistogram" if scaled else "histogram"
    return {"name": name, kind: {"dataPoints": list(points), "aggregationTemporality": 1 if delta else 2}}


def test_a_gauge_is_taken_as_it_is_under_names_as_prometheus_has_them() -> None:
    one = Receiver()
    resource = {
        "service.name": "shop",
        "service.namespace": "web",
        "service.instance.id": "a:1",
        "process.pid": "7",
    }
    metric = gauge(
        "queue.size", point(0, asDouble=2.5, attributes=attributes({"http.route": "/x", "le": "9"}))
    )
    labels = (
        "http_route=/x,instance=a:1,job=web/shop,le_=9,service_instance_id=a:1,"
        "service_name=shop,service_namespace=web"
    )
    assert one.send(metric, resource=resource) == {
        f"queue_size[{labels.replace('service_instance_id=a:1,', '')}]": 2.5
    }


def test_a_sum_that_only_grows_comes_out_per_second_cumulative_or_delta() -> None:
    one = Receiver()
    assert one.send(total("jobs", point(0, 0, asInt="100"))) == {}
    assert one.send(total("jobs", point(10, 0, asInt="150"))) == {"jobs": 5.0}
    assert one.send(total("jobs", point(20, 15, asInt="20"))) == {"jobs": 2.0}
    assert one.send(total("made", point(30, 20, asInt="40"), delta=True)) == {"made": 4.0}
    assert one.send(total("level", point(30, 0, asDouble=-4.0), monotonic=False)) == {"level": -4.0}


def test_a_point_without_a_recorded_value_ends_the_series() -> None:
    one = Receiver()
    one.send(gauge("size", point(0, asDouble=1.0)))
    assert one.send(gauge("size", point(10, flags=1))) == {}
    assert one.intake.tally.stale == 1


@pytest.mark.parametrize("delta", [False, True])
def test_an_explicit_histogram_comes_out_as_quantiles_and_rates(delta: bool) -> None:
    one = Receiver()

    def at(time: float, counts: list[int], amount: float) -> dict[str, Any]:
        counted = {"bucketCounts": counts, "explicitBounds": [0.1, 0.5], "count": sum(counts), "sum": amount}
        return histogram("lat", point(time, time - 10 if delta else 0, **counted), delta=delta)

    one.send(at(0, [10, 0, 0], 1.0))
    got = one.send(at(10, [50, 50, 0] if delta else [60, 50, 0], 20.0 if delta else 21.0))
    assert got == pytest.approx(
        {
            "lat[quantile=0.5]": 0.1,
            "lat[quantile=0.9]": 0.42,
            "lat[quantile=0.99]": 0.492,
            "lat_count": 10.0,
            "lat_sum": 2.0,
        }
    )


def test_an_idle_histogram_and_one_that_began_anew() -> None:
    one = Receiver()

    def at(time: float, start: float, counts: list[int]) -> dict[str, float]:
        counted = {"bucketCounts": counts, "explicitBounds": [1.0], "count": sum(counts)}
        return one.send(histogram("lat", point(time, start, **counted)))

    at(0, 0, [5, 5])
    assert at(10, 0, [5, 5]) == {"lat_count": 0.0}
    assert at(20, 15, [10, 0])["lat[quantile=0.5]"] == 0.5
    assert "lat[quantile=0.5]" not in at(20, 15, [20, 0]), "the same time again"
    assert "lat[quantile=0.5]" not in at(400, 15, [30, 0]), "nothing is compared over a gap"


def test_an_exponential_histogram_keeps_its_quantiles_through_a_change_of_scale() -> None:
    chance = np.random.default_rng(1)
    seen = np.exp(chance.normal(0, 1, 20_000))
    one = Receiver()

    def at(time: float, values: Any, scale: int) -> dict[str, float]:
        numbers = np.ceil(np.log2(values) * 2**scale).astype(int) - 1
        low = int(numbers.min())
        counts = np.bincount(numbers - low).tolist()
        side = {"offset": low, "bucketCounts": counts}
        counted = {"scale": scale, "positive": side, "zeroCount": "0", "count": len(values)}
        return one.send(histogram("lat", point(time, 0, **counted), scaled=True))

    at(0, seen[:10_000] * 100, 5)
    got = at(10, np.concatenate([seen[:10_000] * 100, seen[10_000:]]), 3)
    expected = np.quantile(seen[10_000:], [0.5, 0.9, 0.99])
    found = [got[f"lat[quantile={share}]"] for share in ("0.5", "0.9", "0.99")]
    assert found == pytest.approx(expected, rel=0.06)


def test_an_exponential_histogram_of_all_signs() -> None:
    one = Receiver()
    counted = {
        "scale": 0,
        "zeroCount": "2",
        "count": 10,
        "positive": {"offset": 0, "bucketCounts": [4]},
        "negative": {"offset": 0, "bucketCounts": [4]},
    }
    got = one.send(histogram("x", point(10, 0, **counted), scaled=True, delta=True))
    assert got["x[quantile=0.5]"] == 0.0
    assert got["x[quantile=0.9]"] == pytest.approx(2**0.75)
    below = Receiver(quantiles=[0.2]).send(histogram("x", point(10, 0, **counted), scaled=True, delta=True))
    assert below["x[quantile=0.2]"] == pytest.approx(-(2**0.5))


def test_a_summary_comes_out_as_its_quantiles_and_rates() -> None:
    one = Receiver()
    values = [{"quantile": 0.99, "value": 3.0}]
    for k in range(2):
        metric = {"dataPoints": [point(10 * k, 0, count=str(10 * k), sum=5.0 * k, quantileValues=values)]}
        got = one.send({"name": "s", "summary": metric})
    assert got == {"s[quantile=0.99]": 3.0, "s_count": 1.0, "s_sum": 0.5}


@pytest.mark.parametrize(
    ("metric", "why"),
    [
        (gauge("g", {"asDouble": 1.0}), "g: a point without a time"),
        (gauge("g", point(0)), "g: a point without a value"),
        (gauge("", point(0, asDouble=1.0)), "a metric without a name"),
        (total("t", point(0, asInt="1"), delta=True), "t: a delta without the time it starts at"),
        ({"name": "t", "sum": {"dataPoints": [point(0, asInt="1")]}}, "t: neither cumulative nor delta"),
        (histogram("h", point(0, bucketCounts=[1], explicitBounds=[1.0])), "h: 1 buckets for 1 bounds"),
        (
            histogram("h", point(0, bucketCounts=[1, 1, 1], explicitBounds=[2.0, 1.0])),
            "h: bounds that do not",
        ),
        (histogram("h", point(0, scale=30), scaled=True), "h: scale 30"),
    ],
)
def test_points_that_mean_nothing_are_rejected_with_a_reason(metric: dict[str, Any], why: str) -> None:
    one = Receiver()
    assert one.send(metric, gauge("good", point(0, asDouble=1.0))) == {"good": 1.0}
    assert one.points.rejected == 1
    assert one.points.why.startswith(why)


def test_series_beyond_the_cap_are_rejected_and_the_others_go_on() -> None:
    one = Receiver(limits=Limits(series=2))
    metrics = [gauge(f"g{k}", point(0, asDouble=1.0)) for k in range(5)]
    assert len(one.send(*metrics)) == 2
    assert one.points.rejected == one.intake.tally.over_cap == 3


def test_two_scopes_and_two_orders_of_attributes_are_kept_apart_and_together() -> None:
    one = Receiver()
    for k, texts in enumerate(({"a": "1", "b": "2"}, {"b": "2", "a": "1"})):
        got = one.send(gauge("g", point(k, asDouble=k, attributes=attributes(texts))))
    assert got == {"g[a=1,b=2]": 1.0}
    assert len(one.intake.tracks) == 1


def logs(*records: dict[str, Any], resource: dict[str, str] | None = None) -> bytes:
    group = {
        "resource": {"attributes": attributes(resource or {})},
        "scopeLogs": [{"logRecords": list(records)}],
    }
    return json.dumps({"resourceLogs": [group]}).encode()


def record(at: float, text: str, **more: Any) -> dict[str, Any]:
    return {"timeUnixNano": str(round((T + at) * NS)), "body": {"stringValue": text}} | more


TRACE, SPAN = "5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174"


def test_records_become_lines_by_time_with_level_exception_and_trace() -> None:
    said = attributes({"exception.type": "IOError", "exception.message": "disk full", "user": "u1"})
    body = logs(
        record(2, "cannot save", severityNumber=17, traceId=TRACE, spanId=SPAN, attributes=said),
        record(1, "starting", severityText="notice"),
        {
            "observedTimeUnixNano": str(T * NS),
            "body": {
                "kvlistValue": {
                    "values": [{"key": "a", "value": {"arrayValue": {"values": [{"intValue": "1"}]}}}]
                }
            },
        },
        resource={"service.name": "shop"},
    )
    request = otlp.request(ExportLogsServiceRequest, body, True)
    found = otlp_logs.read(request, otlp.Naming(), {"team": "web"}, 1000, is_json=True)
    (lines,) = found.lines
    assert dict(lines.labels) == {"job": "shop", "service_name": "shop", "team": "web"}
    assert lines.times.tolist() == [T, T + 1, T + 2]
    assert lines.text == [
        '{"a":[1]}',
        "notice starting",
        f"ERROR cannot save IOError: disk full trace_id={TRACE} span_id={SPAN}",
    ]
    plain = otlp_logs.read(_as_protobuf(body), otlp.Naming(), {}, 1000)
    assert plain.lines[0].text[2].endswith(f"trace_id={TRACE} span_id={SPAN}")


def _as_protobuf(body: bytes) -> Any:
    request = otlp.request(ExportLogsServiceRequest, body, True)
    for one in request.resource_logs[0].scope_logs[0].log_records:
        if one.trace_id:
            one.trace_id, one.span_id = bytes.fromhex(TRACE), bytes.fromhex(SPAN)
    return otlp.request(ExportLogsServiceRequest, request.SerializeToString(), False)


def test_records_without_time_or_text_are_rejected_and_long_ones_cut() -> None:
    body = logs({"body": {"stringValue": "x"}}, record(0, ""), record(1, "y" * 200))
    found = otlp_logs.read(otlp.request(ExportLogsServiceRequest, body, True), otlp.Naming(), {}, 100)
    assert (found.rejected, found.why) == (2, "a record without a time")
    assert found.lines[0].text == ["y" * 100]


@pytest.mark.parametrize(
    ("body", "at"),
    [
        (b'{"resourceMetrics": [', 21),
        (b'["x"]', 0),
        (b'{"resourceMetrics": 5}', 20),
        (b'{"a": "\xc3\xa9", "resourceMetrics": [{}, {"scopeMetrics": [{"metrics": [{"name": 5}]}]}]}', 76),
        (b'{"resourceMetrics": "\xff"}', 21),
    ],
)
def test_json_that_is_none_is_refused_with_its_place(body: bytes, at: int) -> None:
    with pytest.raises(WireError) as caught:
        otlp.request(ExportMetricsServiceRequest, body, True)
    assert caught.value.offset == at


@pytest.mark.parametrize(
    ("body", "at"), [(b"\x0a\x05\x12\x03", 0), (b"\x0a\x04\x12\x02\x12\x09", 4), (b"\x0a\x03\x1a\x01\xff", 4)]
)
def test_protobuf_that_is_none_is_refused_with_its_place(body: bytes, at: int) -> None:
    with pytest.raises(WireError) as caught:
        otlp.request(ExportMetricsServiceRequest, body, False)
    assert caught.value.offset == at


def test_a_gzip_bomb_is_not_unpacked() -> None:
    assert unzip(gzip.compress(b"x" * 1000), 1000) == b"x" * 1000
    with pytest.raises(WireError, match="more than 1000"):
        unzip(gzip.compress(b"x" * 10_000_000), 1000)
    with pytest.raises(WireError, match="no gzip"):
        unzip(b"plain", 1000)
    with pytest.raises(WireError, match="cut off"):
        unzip(gzip.compress(b"x" * 1000)[:-3], 1000)
