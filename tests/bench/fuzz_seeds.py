"""Proper messages of every kind that is decoded, to be mutated."""

import gzip
import json
from typing import Any

import cramjam

from aiops.wire import otlp
from tests.bench import gen
from tests.bench.xor import xor_chunk

T = 1_760_000_000_000
UP = [("__name__", "up"), ("job", "api")]
SERIES: list[tuple[gen.Pairs, list[gen.Sample]]] = [
    (UP, [(T, 1.0), (T + 15000, 2.5)]),
    ([("__name__", "jobs_total"), ("pod", "pod-é")], [(T, 5.0)]),
    *(([("__name__", "lat_bucket"), ("le", le)], [(T + 1, 3.0)]) for le in ("0.1", "1", "+Inf")),
]
PAGE = b"""# HELP up What it says: {a}.
# TYPE up gauge
up{job="api",room="a \\"b\\" \\\\ \\n"} 1 1760000000000
# TYPE lat histogram
lat_bucket{le="0.1"} 3
lat_bucket{le="+Inf"} 9.5e+1
lat_sum -1.25
lat_count 9
{"dotted.name",a="x"} NaN
"""
OPEN_PAGE = b"""# TYPE a_seconds counter
# UNIT a_seconds seconds
a_seconds_total{x="1"} 17 1760000000.5 # {trace_id="abc"} 0.67 1520879607.789
a_seconds_created{x="1"} 1520430000.123
# TYPE g gaugehistogram
g_bucket{le="+Inf"} 5
# EOF
"""
_TIMES = [T, T + 15_000, T + 30_000, T + 45_001, T + 60_000, T + 200_000, T + 1_000_000, T + 2**40]
_VALUES = [1.5, 1.5, 2.5, 2.25, 1e9, -0.1, 0.0, 5e-324]
CHUNK = xor_chunk(list(zip(_TIMES, _VALUES, strict=True)))


def _attribute(key: str, text: str) -> dict[str, Any]:
    return {"key": key, "value": {"stringValue": text}}


def _point(**more: Any) -> dict[str, Any]:
    times = {"startTimeUnixNano": str((T - 10_000) * 10**6), "timeUnixNano": str(T * 10**6)}
    return times | {"attributes": [_attribute("http.route", "/x")]} | more


_SCALED = {"scale": 3, "positive": {"offset": -2, "bucketCounts": ["1", "2"]}, "zeroCount": "1", "count": "4"}
_EXPLICIT = {"bucketCounts": ["1", "2"], "explicitBounds": [0.5], "count": "3", "sum": 1.5}
METRICS: list[dict[str, Any]] = [
    {"name": "g", "gauge": {"dataPoints": [_point(asDouble=1.5)]}},
    {
        "name": "s",
        "sum": {"aggregationTemporality": 1, "isMonotonic": True, "dataPoints": [_point(asInt="3")]},
    },
    {"name": "h", "histogram": {"aggregationTemporality": 1, "dataPoints": [_point(**_EXPLICIT)]}},
    {"name": "e", "exponentialHistogram": {"aggregationTemporality": 1, "dataPoints": [_point(**_SCALED)]}},
    {"name": "q", "summary": {"dataPoints": [_point(count="2", sum=1, quantileValues=[{"quantile": 0.5}])]}},
]
_RESOURCE = {"attributes": [_attribute("service.name", "shop")]}
METRICS_JSON = json.dumps(
    {"resourceMetrics": [{"resource": _RESOURCE, "scopeMetrics": [{"metrics": METRICS}]}]}
).encode()
_NESTED = {
    "kvlistValue": {"values": [{"key": "a", "value": {"arrayValue": {"values": [{"intValue": "1"}]}}}]}
}
_RECORD = {
    "timeUnixNano": str(T * 10**6),
    "severityNumber": 17,
    "body": {"stringValue": "cannot save"},
    "traceId": "5b8efff798038103d269b633813fc60c",
    "attributes": [_attribute("exception.type", "IOError"), {"key": "more", "value": _NESTED}],
}
LOGS_JSON = json.dumps(
    {"resourceLogs": [{"resource": _RESOURCE, "scopeLogs": [{"logRecords": [_RECORD]}]}]}
).encode()
_STREAMS = [{"stream": {"job": "a"}, "values": [["1760000000000000000", "a line", {"k": "v"}], ["5", "b"]]}]


def _answer(kind: str, result: Any) -> bytes:
    return json.dumps({"status": "success", "data": {"resultType": kind, "result": result}}).encode()


def _protobuf(kind: Any, body: bytes) -> bytes:
    return bytes(otlp.request(kind, body, True).SerializeToString())


def _chunked(chunk: bytes) -> bytes:
    return gen.field(1, gen.labels(UP) + gen.field(2, b"\x08\x01\x10\x02\x18\x01" + gen.field(4, chunk)))


CORPUS: dict[str, list[bytes]] = {
    "remote_write_1": [
        gen.message(SERIES),
        gen.message(SERIES[:1]) + gen.field(3, b"\x08\x01" + gen.field(2, b"up")),
    ],
    "remote_write_2": [gen.message_2(SERIES, 1)],
    "snappy": [gen.pack(gen.message(SERIES * 3)), bytes(cramjam.snappy.compress_raw(b"\x0a" * 3000))],
    "text": [PAGE],
    "open_metrics": [OPEN_PAGE],
    "query": [
        _answer("matrix", [{"metric": {"a": "é"}, "values": [[1.5, "1"], [2, "NaN"], [3, "+Inf"]]}]),
        _answer("vector", [{"metric": {"__name__": "up"}, "value": [1760000000.123, "1e5"]}]),
        _answer("scalar", [1, "2"]),
    ],
    "chunks": [_chunked(CHUNK), _chunked(CHUNK) * 2],
    "chunk_frames": [b"\x05\x00\x00\x00\x00abcde"],
    "read_samples": [gen.field(1, gen.message(SERIES))],
    "otlp_metrics": [_protobuf(otlp.metrics_messages()[0], METRICS_JSON)],
    "otlp_metrics_json": [METRICS_JSON],
    "otlp_logs": [_protobuf(otlp.logs_messages()[0], LOGS_JSON)],
    "otlp_logs_json": [LOGS_JSON],
    "gzip": [gzip.compress(PAGE, mtime=0), gzip.compress(b"x" * 100_000, mtime=0)],
    "loki": [_answer("streams", _STREAMS)],
    "loki_tail": [json.dumps({"streams": _STREAMS, "dropped_entries": [{}]}).encode()],
    "syslog": [
        b'<165>1 2026-10-11T22:14:15.003Z host app 17 ID47 [x@1 a="b"] a message',
        b"<34>Oct 11 22:14:15 host su[3]: failed\n31 <13>Feb 29 00:00:00 x y: counted\n",
    ],
}
