"""OpenTelemetry: what SDKs and collectors push by OTLP over HTTP."""

import asyncio
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field, PrivateAttr

from aiops.model.series import SeriesIndex
from aiops.plugin import Duration, Receiver, Secret
from aiops.plugin.connector import Emit, Reply, Route
from aiops.wire import WireError
from aiops.wire.unzip import unzip
from connectors._receive_auth import refused

_TYPES = {"application/x-protobuf": False, "application/json": True}


class Otlp(Receiver):
    """Takes OTLP over HTTP, protobuf and JSON: metrics, logs and traces, at ``/receive/<name>/v1/...``.

    Sums that only grow become rates per second, cumulative or delta, and histograms of both forms quantiles
    with the rates of ``_count`` and ``_sum``; the rest is taken as it is. Names are written as Prometheus has
    them (``_`` for dots). Log lines bear the labels of their resource, begin with their level and end with
    the trace they belong to. The rules are in docs/ingest.md.
    """

    spooled: ClassVar[bool] = True

    bearer: Secret | None = Field(None, description="Where the token is that senders must show.")
    resource_attributes: list[str] = Field(
        [],
        description="Resource attributes that become labels beside job and instance; [*]: all; none: the "
        "usual names of service, deployment, host, Kubernetes and cloud.",
    )
    resolution: Duration = Field(
        1.0, ge=0.001, description="Times told apart; at most half the shortest export interval."
    )
    quantiles: list[float] = Field(
        [0.5, 0.9, 0.99], description="Quantiles that a histogram is watched as; none: not watched."
    )
    max_series: int = Field(
        1_000_000, ge=0, description="Series taken; points of those beyond are rejected. 0 = no limit."
    )
    max_labels: int = Field(64, ge=1, description="Labels of one series; one with more is rejected.")
    max_label_bytes: int = Field(
        16 << 10, ge=16, description="Bytes of all labels of one series; one with more is rejected."
    )
    max_message: int = Field(64 << 20, ge=1 << 10, description="Bytes of one message once unpacked.")
    max_line: int = Field(64 << 10, ge=80, description="Characters after which a log line is cut.")

    _index: SeriesIndex = PrivateAttr(default_factory=SeriesIndex)
    _decoder: Any = PrivateAttr(None)
    _calls: Any = PrivateAttr(None)
    _naming: Any = PrivateAttr(None)
    _turn: asyncio.Lock = PrivateAttr(default_factory=asyncio.Lock)
    _lines: dict[str, int] = PrivateAttr(default_factory=lambda: {"lines": 0, "lines_rejected": 0})

    def prepare(self) -> None:
        from aiops.wire import otlp
        from aiops.wire.warm import named  # numba: loaded only where something is received

        named()
        otlp.metrics_messages(), otlp.logs_messages()

    def open(self, index: SeriesIndex) -> None:
        from aiops.wire import otlp

        self.prepare()
        self._index, self._decoder, self._calls = index, None, None
        self._naming = otlp.Naming(frozenset(self.resource_attributes or otlp.KEPT))

    def routes(self) -> list[Route]:
        return [
            Route("POST", "/v1/metrics", self._metrics),
            Route("POST", "/v1/logs", self._logs),
            Route("POST", "/v1/traces", self._traces),
        ]

    def tally(self) -> Mapping[str, int]:
        if self._decoder is None:
            return self._lines
        intake = self._decoder.intake
        return {**intake.tally.counts(), "series": len(intake.tracks), **self._lines}

    async def _metrics(self, body: bytes, headers: Mapping[str, str], emit: Emit) -> Reply:
        from aiops.wire import otlp, otlp_metrics

        asked, answered = otlp.metrics_messages()

        def read(plain: bytes, is_json: bool) -> Any:
            return otlp_metrics.read(otlp.request(asked, plain, is_json), self._naming)

        async with self._turn:  # requests take effect in the order in which they came
            found = await self._read(body, headers, read)
            if isinstance(found, Reply):
                return found
            points, is_json = found
            for frame in self._ready().take(points):
                await emit(frame)
        return _answer(answered, is_json, "rejected_data_points", points.rejected, points.why)

    async def _logs(self, body: bytes, headers: Mapping[str, str], emit: Emit) -> Reply:
        from aiops.wire import otlp, otlp_logs

        asked, answered = otlp.logs_messages()

        def read(plain: bytes, is_json: bool) -> Any:
            request = otlp.request(asked, plain, is_json)
            return otlp_logs.read(request, self._naming, self.labels, self.max_line, is_json)

        async with self._turn:
            found = await self._read(body, headers, read)
            if isinstance(found, Reply):
                return found
            records, is_json = found
            for lines in records.lines:
                self._lines["lines"] += len(lines.text)
                await emit(lines)
        self._lines["lines_rejected"] += records.rejected
        return _answer(answered, is_json, "rejected_log_records", records.rejected, records.why)

    async def _traces(self, body: bytes, headers: Mapping[str, str], emit: Emit) -> Reply:
        """Spans become rates and latencies of calls between services."""
        from aiops.wire import otlp, otlp_traces

        asked, answered = otlp_traces.messages()

        def read(plain: bytes, is_json: bool) -> Any:
            return otlp_traces.read(otlp.request(asked, plain, is_json), is_json)

        async with self._turn:
            found = await self._read(body, headers, read)
            if isinstance(found, Reply):
                return found
            spans, is_json = found
            if self._calls is None:
                self._calls = otlp_traces.Calls(self._index, self.labels)
            for frame in self._calls.take(spans.spans):
                await emit(frame)
        return _answer(answered, is_json, "rejected_spans", spans.rejected, spans.why)

    async def _read(self, body: bytes, headers: Mapping[str, str], read: Any) -> tuple[Any, bool] | Reply:
        """What `read` makes of the plain body, in another thread, and whether it is JSON; or the refusal."""
        if (answer := refused(self.bearer, headers)) is not None:
            return answer
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in _TYPES:
            return Reply(415, b"the body must be application/x-protobuf or application/json\n")
        coding = headers.get("content-encoding", "identity").lower() or "identity"
        if coding not in ("gzip", "identity"):
            return Reply(415, b"the body may be packed by gzip, and by nothing else\n")

        def work() -> Any:
            plain = unzip(body, self.max_message) if coding == "gzip" else body
            if len(plain) > self.max_message:
                raise WireError(f"the message has {len(plain)} bytes, more than {self.max_message}", 0)
            return read(plain, _TYPES[kind])

        try:
            return await asyncio.to_thread(work), _TYPES[kind]
        except WireError as bad:
            from aiops.wire import otlp

            return Reply(400, otlp.status(str(bad), _TYPES[kind]), (("Content-Type", kind),))

    def _ready(self) -> Any:
        if self._decoder is None:
            from aiops.wire.intake import Intake, Limits
            from aiops.wire.otlp_metrics import OtlpMetrics

            limits = Limits(self.max_series, self.max_labels, self.max_label_bytes)
            self._decoder = OtlpMetrics(
                Intake(self._index, self.labels, self.resolution, self.quantiles, limits)
            )
        return self._decoder


def _answer(kind: Any, is_json: bool, field: str, rejected: int, why: str) -> Reply:
    from aiops.wire import otlp

    content = "application/json" if is_json else "application/x-protobuf"
    return Reply(200, otlp.response(kind, is_json, field, rejected, why), (("Content-Type", content),))
