"""Calls between services, out of spans in any order."""

import base64
import json
import random
from typing import Any

import pytest

from aiops.model.series import SeriesIndex
from aiops.wire import otlp
from aiops.wire.otlp_traces import OPERATIONS, Calls, messages, read

BEGAN = 1_767_225_600


def span(
    trace: int, ident: int, parent: int, service: str, name: str, at: float, ms: float, code: int = 0
) -> Any:
    """One span that ends `at` seconds after `BEGAN`, and its service."""
    end = int((BEGAN + at) * 1e9)
    body = {
        "traceId": f"{trace:032x}",
        "spanId": f"{ident:016x}",
        "name": name,
        "startTimeUnixNano": str(end - int(ms * 1e6)),
        "endTimeUnixNano": str(end),
        "status": {"code": code},
    }
    return service, body | ({"parentSpanId": f"{parent:016x}"} if parent else {})


def request(*spans: Any) -> dict[str, Any]:
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]},
                "scopeSpans": [{"spans": [body]}],
            }
            for service, body in spans
        ]
    }


def trace(number: int, at: float, ms: float = 20.0, code: int = 0) -> list[Any]:
    """shop asks cart: the client's span, the server's, one inside the server, and the root."""
    first = 10 * number + 1
    return [
        span(number, first, 0, "shop", "GET /", at, 2 * ms),
        span(number, first + 1, first, "shop", "cart.Get", at, 1.5 * ms),
        span(number, first + 2, first + 1, "cart", "Get", at, ms, code),
        span(number, first + 3, first + 2, "cart", "inside", at, ms / 2),
    ]


def told(calls: Calls, index: SeriesIndex, spans: list[Any], as_json: bool = True) -> list[dict[Any, float]]:
    """Per row (metric, client, server, operation) -> value."""
    asked = messages()[0]
    made = otlp.request(asked, json.dumps(request(*spans)).encode(), True)
    found = read(made, True)
    if not as_json:
        for resource in made.resource_spans:
            for one in (s for scope in resource.scope_spans for s in scope.spans):
                for field in ("trace_id", "span_id", "parent_span_id"):
                    text = base64.b64encode(getattr(one, field)).decode()
                    setattr(one, field, bytes.fromhex(text))
        found = read(otlp.request(asked, made.SerializeToString(), False), False)
    out = []
    for frame in calls.take(found.spans):
        named = [dict(index.labels(slot)) for slot in frame.slots.tolist()]
        keys = [(n["__name__"], n["client"], n["server"], n["operation"]) for n in named]
        out.append(dict(zip(keys, frame.values[0].tolist(), strict=True)))
    return out


@pytest.mark.parametrize("as_json", [True, False])
def test_a_call_has_a_rate_a_latency_at_both_ends_and_failures(as_json: bool) -> None:
    index = SeriesIndex()
    calls = Calls(index, {})
    spans = [one for n in range(20) for one in trace(n, 0.4 * n, code=2 if n % 4 == 0 else 0)]
    assert told(calls, index, spans, as_json) == []
    (row,) = told(calls, index, trace(99, 25.0), as_json)
    ends = ("shop", "cart", "Get")
    assert row == {
        ("trace_calls_per_second", *ends): 2.0,
        ("trace_client_duration_seconds", *ends): pytest.approx(0.03),
        ("trace_server_duration_seconds", *ends): pytest.approx(0.02),
        ("trace_call_errors_ratio", *ends): 0.25,
    }


def test_order_and_requests_do_not_matter_and_both_forms_meet() -> None:
    spans = [one for n in range(20) for one in trace(n, 0.4 * n)]
    random.Random(1).shuffle(spans)
    index = SeriesIndex()
    calls = Calls(index, {})
    for i, one in enumerate(spans):
        assert told(calls, index, [one], as_json=i % 2 == 0) == []
    (row,) = told(calls, index, trace(99, 25.0))
    assert row["trace_calls_per_second", "shop", "cart", "Get"] == 2.0


def test_what_comes_after_its_row_is_not_told_twice() -> None:
    index = SeriesIndex()
    calls = Calls(index, {})
    told(calls, index, trace(1, 1.0))
    assert len(told(calls, index, trace(2, 25.0))) == 1
    assert told(calls, index, trace(3, 2.0)) == []
    assert len(told(calls, index, trace(4, 45.0))) == 1


def test_operations_without_end_become_one() -> None:
    index = SeriesIndex()
    calls = Calls(index, {})
    spans = []
    for n in range(OPERATIONS + 20):
        one = trace(n, 1.0)
        one[2][1]["name"] = f"GET /user/{n}"
        spans += one
    told(calls, index, spans)
    (row,) = told(calls, index, trace(999, 25.0))
    operations = {key[3] for key in row}
    assert len(operations) == OPERATIONS + 1
    assert "other" in operations


def test_a_span_without_ids_or_service_is_rejected_and_said_so() -> None:
    bad = span(1, 1, 0, "shop", "GET /", 1.0, 1.0)
    del bad[1]["spanId"]
    found = read(otlp.request(messages()[0], json.dumps(request(bad)).encode(), True), True)
    assert (len(found.spans), found.rejected) == (0, 1)
    assert "ids" in found.why
