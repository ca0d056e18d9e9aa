"""The official OpenTelemetry SDK pushes metrics, logs and traces to a whole Forewarn."""

import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import Meter, Observation
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context

from tests.e2e.forewarn import Forewarn
from tests.e2e.servers import until

pytestmark = pytest.mark.e2e

RESOURCE = Resource(
    {"service.name": "shop", "service.namespace": "web", "service.instance.id": "a", "process.pid": 7}
)
DELTA = {Counter: AggregationTemporality.DELTA, Histogram: AggregationTemporality.DELTA}


def metrics(to: str, resource: Resource, delta: bool) -> MeterProvider:
    """Exports only when it is told to."""
    exporter = OTLPMetricExporter(
        f"{to}/v1/metrics",
        compression=Compression.NoCompression if delta else Compression.Gzip,
        preferred_temporality=DELTA if delta else None,  # type: ignore[arg-type]
    )
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)
    views = [View(instrument_name="wide", aggregation=ExponentialBucketHistogramAggregation())]
    return MeterProvider([reader], resource, views=views, shutdown_on_exit=False)


def record(meter: Meter, provider: MeterProvider, rounds: int = 4) -> None:
    """Per second: 50 requests, and latencies of which half take 20 ms and the others 400 ms."""
    count, latency = meter.create_counter("http.requests"), meter.create_histogram("http.latency")
    wide, active = meter.create_histogram("wide"), meter.create_up_down_counter("http.active")
    meter.create_observable_gauge("heap.size", [lambda _: [Observation(42.0, {"pool": "old"})]])
    for _ in range(rounds):
        count.add(50, {"http.route": "/pay"})
        active.add(1)
        for k in range(40):
            for one in (latency, wide):
                one.record(20.0 if k % 2 else 400.0)
        assert provider.force_flush()
        time.sleep(1.0)


def last(forewarn: Forewarn, selector: str) -> float:
    found = forewarn.get(f"/series?limit=5&match={urllib.parse.quote(selector)}")["items"]
    assert len(found) == 1, f"{selector}: {found}"
    points: dict[str, Any] = forewarn.get(f"/series/{found[0]['id']}/points")
    return float(points["observed"][-1])


@pytest.mark.parametrize("delta", [False, True])
def test_what_the_sdk_exports_is_watched(folder: Path, delta: bool) -> None:
    with Forewarn(folder, {"sources": [{"kind": "otlp", "name": "otel"}]}) as forewarn:
        to = f"{forewarn.url}/receive/otel"
        provider = metrics(to, RESOURCE, delta)
        record(provider.get_meter("shop"), provider)
        until(lambda: len(forewarn.get("/series?limit=50")["items"]) >= 10, 10, "series")
        mine = 'job="web/shop",instance="a"'
        assert last(forewarn, f'http_requests{{{mine},http_route="/pay"}}') == pytest.approx(50, rel=0.1)
        assert last(forewarn, f"http_active{{{mine}}}") == 4
        assert last(forewarn, f'heap_size{{{mine},pool="old",otel_scope_name="shop"}}') == 42
        assert last(forewarn, f"http_latency_count{{{mine}}}") == pytest.approx(40, rel=0.1)
        assert last(forewarn, f"http_latency_sum{{{mine}}}") == pytest.approx(20 * 420, rel=0.1)
        assert 250 < last(forewarn, f'http_latency{{{mine},quantile="0.9"}}') <= 500
        assert last(forewarn, f'wide{{{mine},quantile="0.9"}}') == pytest.approx(400, rel=0.05)
        assert not forewarn.get("/series?match=" + urllib.parse.quote('{process_pid="7"}'))["items"]
        provider.shutdown()
        logs(forewarn, to)


def logs(forewarn: Forewarn, to: str) -> None:
    provider = LoggerProvider(RESOURCE, shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter(f"{to}/v1/logs")))
    for k in range(20):
        provider.get_logger("shop").emit(
            LogRecord(timestamp=time.time_ns(), severity_number=SeverityNumber.ERROR, body=f"lost order {k}")
        )
    provider.shutdown()

    def lines() -> float:
        with urllib.request.urlopen(forewarn.url + "/metrics", timeout=5) as answer:
            text = answer.read().decode()
        found = [
            one for one in text.splitlines() if one.startswith('forewarn_log_lines_total{source="otel"}')
        ]
        return float(found[0].rsplit(" ", 1)[1]) if found else 0.0

    until(lambda: lines() == 20, 10, "log lines")


CHAIN = ("proxy", "checkout", "orders-db")


def test_spans_of_the_sdk_are_calls_with_rates_latency_and_links(folder: Path) -> None:
    """Each service exports its own spans; that they belong together only their ids say."""
    with Forewarn(folder, {"sources": [{"kind": "otlp", "name": "otel"}]}) as forewarn:
        exported = {name: tracing(name, f"{forewarn.url}/receive/otel/v1/traces") for name in CHAIN}
        began = time.time() - 45.0
        for k in range(80):
            one_trace(exported, began + k / 2)
            if k % 8 == 7:  # every few seconds of theirs, as a batch processor does
                assert all(provider.force_flush() for provider in exported.values())
        calls = 'trace_calls_per_second{client="checkout",server="orders-db"}'
        until(lambda: forewarn.get(f"/series?match={urllib.parse.quote(calls)}")["items"], 10, "calls")
        ends = 'client="proxy",server="checkout",operation="GET /pay"'
        assert last(forewarn, f"trace_calls_per_second{{{ends}}}") == pytest.approx(2.0, rel=0.1)
        assert last(forewarn, f"trace_server_duration_seconds{{{ends}}}") == pytest.approx(0.2, rel=0.01)
        assert last(forewarn, f"trace_client_duration_seconds{{{ends}}}") == pytest.approx(0.22, rel=0.01)
        assert last(forewarn, f"trace_call_errors_ratio{{{ends}}}") == pytest.approx(0.25, abs=0.06)
        with urllib.request.urlopen(f"{forewarn.url}/topology?q=proxy", timeout=10) as answer:
            page = answer.read().decode()
        assert all(name in page for name in CHAIN)
        for provider in exported.values():
            provider.shutdown()


def tracing(service: str, to: str) -> TracerProvider:
    provider = TracerProvider(resource=Resource({"service.name": service}), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(to)))
    return provider


def one_trace(exported: dict[str, TracerProvider], at: float) -> None:
    """The proxy calls checkout, which asks its database; every fourth call of checkout fails."""
    proxy, checkout, database = (exported[name].get_tracer("shop") for name in CHAIN)

    def ns(after: float) -> int:
        return int((at + after) * 1e9)

    root = proxy.start_span("GET /", kind=SpanKind.SERVER, start_time=ns(0))
    out = proxy.start_span("GET", set_span_in_context(root), kind=SpanKind.CLIENT, start_time=ns(0.01))
    served = checkout.start_span(
        "GET /pay", set_span_in_context(out), kind=SpanKind.SERVER, start_time=ns(0.02)
    )
    asked = database.start_span(
        "SELECT", set_span_in_context(served), kind=SpanKind.SERVER, start_time=ns(0.05)
    )
    if round(2 * at) % 4 == 0:
        served.set_status(Status(StatusCode.ERROR))
    for span, end in ((asked, 0.15), (served, 0.22), (out, 0.23), (root, 0.25)):
        span.end(ns(end))
