"""Spans as rates: calls of one service by another, with their latency at both ends and their failures.

A span whose parent is another service's is a call. Both may come in different requests, in any order; what
waits for its parent is bounded in number. Operations are named by the called span.
"""

import base64
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from aiops.model.frame import Frame
from aiops.model.series import NAME, Labels, SeriesIndex, labels_of
from aiops.wire.otlp import text_of

STEP = 10.0
"""Seconds that one row tells of."""
SETTLE = 10.0
"""Seconds by which the parts of a call may come later than the newest span."""
REMEMBERED = 50_000
"""Spans whose service is known, for children to come, and as many children that wait for their parent."""
OPERATIONS = 50
"""Operations of one service told apart by each caller; the rest is called ``other``."""
_ERROR = 2

Id = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Span:
    """Times in seconds; `parent` is empty for a root."""

    ident: Id
    parent: Id | None
    service: str
    name: str
    ended: float
    seconds: float
    failed: bool


@dataclass(frozen=True, slots=True)
class Spans:
    """What one request held, and how many spans of it could not be taken, and why."""

    spans: list[Span]
    rejected: int
    why: str


@cache
def messages() -> tuple[type[Any], type[Any]]:
    """The classes of request and response. Imported on first use."""
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as found

    return found.ExportTraceServiceRequest, found.ExportTraceServiceResponse


def read(request: Any, is_json: bool) -> Spans:
    """The spans of a request. Those without ids, or of a resource without ``service.name``, are rejected."""
    found: list[Span] = []
    rejected = 0
    for resource in request.resource_spans:
        named = (one for one in resource.resource.attributes if one.key == "service.name")
        service = next((text_of(one.value) for one in named), "")
        for scope in resource.scope_spans:
            for one in scope.spans:
                if not service or not one.trace_id or not one.span_id or one.end_time_unix_nano == 0:
                    rejected += 1
                else:
                    found.append(_span(one, service, is_json))
    why = f"{rejected} spans without service.name, ids or end" if rejected else ""
    return Spans(found, rejected, why)


def _span(one: Any, service: str, is_json: bool) -> Span:
    trace = _ident(one.trace_id, is_json)
    parent = (trace, _ident(one.parent_span_id, is_json)) if one.parent_span_id.strip(b"\0") else None
    took = max(0, one.end_time_unix_nano - one.start_time_unix_nano) / 1e9
    failed = one.status.code == _ERROR
    ident = trace, _ident(one.span_id, is_json)
    return Span(ident, parent, service, one.name, one.end_time_unix_nano / 1e9, took, failed)


def _ident(raw: bytes, is_json: bool) -> bytes:
    """OTLP's JSON has ids in hex, which was read as the base64 of protobuf's."""
    return base64.b64encode(raw).lower() if is_json else raw.hex().encode()


class Calls:
    """Joins spans to calls, and counts them in steps of `STEP`. State is bounded."""

    def __init__(self, index: SeriesIndex, labels: Mapping[str, str]) -> None:
        self._index, self._labels = index, dict(labels)
        self._known: OrderedDict[Id, tuple[str, float]] = OrderedDict()
        self._waiting: OrderedDict[Id, list[Span]] = OrderedDict()
        self._open: dict[int, dict[tuple[str, str, str], list[tuple[float, float, bool]]]] = {}
        self._operations: dict[tuple[str, str], set[str]] = {}
        self._newest, self._told = -np.inf, -1

    def take(self, spans: Iterable[Span]) -> Iterator[Frame]:
        """The rows that are complete by now: the rate, latencies and failures of each call."""
        for span in spans:
            self._newest = max(self._newest, span.ended)
            _put(self._known, span.ident, (span.service, span.seconds))
            for child in self._waiting.pop(span.ident, ()):
                self._join(child)
            if span.parent is not None and not self._join(span):
                self._waiting.setdefault(span.parent, []).append(span)
                while len(self._waiting) > REMEMBERED:
                    self._waiting.popitem(last=False)
        for step in sorted(self._open):
            if (step + 1) * STEP + SETTLE <= self._newest:
                self._told = max(self._told, step)
                yield self._row(step, self._open.pop(step))

    def _join(self, span: Span) -> bool:
        """Whether its parent is known; a call is counted when that is another service's."""
        assert span.parent is not None
        found = self._known.get(span.parent)
        if found is None:
            return False
        caller, felt = found
        step = int(span.ended // STEP)
        if caller != span.service and step > self._told:
            known = self._operations.setdefault((caller, span.service), set())
            if span.name in known or len(known) < OPERATIONS:
                known.add(span.name)
            name = span.name if span.name in known else "other"
            calls = self._open.setdefault(step, {})
            calls.setdefault((caller, span.service, name), []).append((felt, span.seconds, span.failed))
        return True

    def _row(self, step: int, calls: dict[tuple[str, str, str], list[tuple[float, float, bool]]]) -> Frame:
        series: list[Labels] = []
        values: list[float] = []
        for (client, server, operation), seen in calls.items():
            felt, took, failed = (np.array(column, float) for column in zip(*seen, strict=True))
            ends = {"client": client, "server": server, "operation": operation, **self._labels}
            told = {
                "trace_calls_per_second": len(seen) / STEP,
                "trace_client_duration_seconds": float(np.quantile(felt, 0.95)),
                "trace_server_duration_seconds": float(np.quantile(took, 0.95)),
                "trace_call_errors_ratio": float(failed.mean()),
            }
            series += [labels_of({**ends, NAME: name}) for name in told]
            values += told.values()
        slots = self._index.slots(series)
        return Frame(np.array([(step + 1) * STEP]), slots, np.array([values]))


def _put(known: OrderedDict[Id, tuple[str, float]], ident: Id, what: tuple[str, float]) -> None:
    known[ident] = what
    while len(known) > REMEMBERED:
        known.popitem(last=False)
