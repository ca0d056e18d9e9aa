"""Spans to an OpenTelemetry collector, by OTLP over HTTP. Needs ``forewarn[otel]``; loaded when used."""

import logging
import threading
from collections.abc import Sequence

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from aiops import __version__
from aiops.config.operation import Traces
from aiops.core.log_redact import masked
from aiops.engine.spans import About, Count, Span

log = logging.getLogger("aiops.engine")
# it says of every message that fails what is said here once
logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)

TIMEOUT = 10.0
"""Seconds for one message to the collector, its repetitions included."""
LAST = 3.0
"""Seconds in which what waits at the end has to be sent."""
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


class Export:
    """Takes spans on one thread; another one sends them, up to 512 at once, at least every five seconds.

    While the collector is away 2,048 wait; what comes beyond them is let go. `OTEL_RESOURCE_ATTRIBUTES` and
    the `OTEL_BSP_*` variables hold as with any other program.
    """

    def __init__(self, wanted: Traces, engine: str, count: Count) -> None:
        """Raises ValueError for a header that cannot be read."""
        headers = {name: value.read().get_secret_value() for name, value in wanted.headers.items()}
        ca = str(wanted.ca) if wanted.ca else None
        made = OTLPSpanExporter(wanted.address, certificate_file=ca, headers=headers, timeout=TIMEOUT)
        named = {"service.name": wanted.service, "service.version": __version__}
        named["service.instance.id"] = engine
        self._ids = _Ids()
        self._provider = TracerProvider(
            sampler=ALWAYS_ON, resource=Resource.create(named), shutdown_on_exit=False, id_generator=self._ids
        )
        self._sending = _Sending(made, wanted.address, count)
        self._provider.add_span_processor(BatchSpanProcessor(self._sending))
        self._tracer = self._provider.get_tracer("forewarn", __version__)

    def take(self, span: Span) -> None:
        self._ids.trace, self._ids.ident = span.trace, span.ident
        about = {f"forewarn.{name}": _clean(value) for name, value in span.about.items()}
        told = self._tracer.start_span(
            masked(span.name),
            context=_under(span),
            kind=SpanKind[span.kind.upper()],
            attributes=about,
            links=[Link(_named(span.came_of.trace, span.came_of.ident))] if span.came_of else (),
            start_time=_nanoseconds(span.begun),
        )
        if span.error:
            told.set_status(Status(StatusCode.ERROR, masked(span.error)))
        told.end(_nanoseconds(span.ended))

    def close(self) -> None:
        hurry = threading.Timer(LAST, self._sending.shutdown)
        hurry.start()
        self._provider.shutdown()
        hurry.cancel()


class _Ids(IdGenerator):
    """The numbers that a span has already."""

    trace = 0
    ident = 0

    def generate_trace_id(self) -> int:
        return self.trace

    def generate_span_id(self) -> int:
        return self.ident


class _Sending(SpanExporter):
    """Counts what becomes of spans, says once that they cannot be sent, and ends when it is told to."""

    def __init__(self, inner: SpanExporter, address: str, count: Count) -> None:
        self._inner, self._address, self._count = inner, address, count
        self._over = threading.Event()
        self._failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        came = SpanExportResult.FAILURE if self._over.is_set() else self._inner.export(spans)
        failed = came is not SpanExportResult.SUCCESS
        self._count("failed" if failed else "sent", len(spans))
        if failed != self._failing:
            self._failing = failed
            log.warning(
                "traces cannot be sent to %s" if failed else "traces are sent to %s again", self._address
            )
        return came

    def shutdown(self) -> None:
        if not self._over.is_set():
            self._over.set()
            self._inner.shutdown()


def _named(trace: int, ident: int) -> SpanContext:
    return SpanContext(trace, ident, is_remote=False, trace_flags=_SAMPLED)


def _under(span: Span) -> Context:
    if not span.parent:
        return Context()
    return set_span_in_context(NonRecordingSpan(_named(span.trace, span.parent)), Context())


def _clean(value: About) -> About:
    return masked(value) if isinstance(value, str) else value


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
