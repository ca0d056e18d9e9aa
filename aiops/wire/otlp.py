"""OTLP over HTTP: requests of metrics and logs, as protobuf or JSON, and how they are answered.

Format: https://opentelemetry.io/docs/specs/otlp/#otlphttp. The messages are the official ones.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import orjson

from aiops.model.series import NAME
from aiops.wire import WireError
from aiops.wire._otlp_fault import json_fault, protobuf_fault

SERVICE = ("service.name", "service.namespace", "service.instance.id")
KEPT = (
    *("service.name", "service.namespace", "service.version", "deployment.environment.name"),
    *("deployment.environment", "host.name", "k8s.cluster.name", "k8s.namespace.name", "k8s.pod.name"),
    *("k8s.container.name", "k8s.deployment.name", "k8s.node.name", "container.name", "cloud.region"),
)
"""Resource attributes that become labels unless others are named; the rest, process ids and versions of
SDKs among it, would make a new series of each restart."""

_ODD = re.compile(r"[^a-zA-Z0-9_:]")
_DEEP = 20
"""Levels of a value in a value; an attribute or a log body has 2 or 3."""


@cache
def metrics_messages() -> tuple[type[Any], type[Any]]:
    """The classes of request and response. Imported on first use: 0.2 s and 10 MB."""
    from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as found

    return found.ExportMetricsServiceRequest, found.ExportMetricsServiceResponse


@cache
def logs_messages() -> tuple[type[Any], type[Any]]:
    """As `metrics_messages`."""
    from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as found

    return found.ExportLogsServiceRequest, found.ExportLogsServiceResponse


def request(kind: type[Any], body: bytes, is_json: bool) -> Any:
    """A message of `kind`. Raises `WireError` with the byte offset."""
    from google.protobuf import json_format, message

    made = kind()
    if not is_json:
        try:
            made.ParseFromString(body)
        except message.DecodeError as bad:
            raise WireError(str(bad), protobuf_fault(memoryview(body), kind.DESCRIPTOR)) from None
        return made
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as bad:
        raise WireError(f"no JSON: {bad.msg}", _bytes_before(body, bad.pos)) from None
    if not isinstance(document, dict):
        raise WireError("no JSON object", 0)
    try:
        json_format.ParseDict(document, made, ignore_unknown_fields=True)
    except (json_format.ParseError, TypeError, AttributeError, ValueError, RecursionError) as bad:
        words = str(bad).rsplit("field: ", 1)[-1].rstrip(".")[:200]
        raise WireError(f"no OTLP: {words}", json_fault(kind, document, body)) from None
    return made


def _bytes_before(body: bytes, characters: int) -> int:
    try:
        return len(body.decode()[:characters].encode(errors="surrogatepass"))
    except UnicodeDecodeError as bad:
        return bad.start


def response(kind: type[Any], is_json: bool, field: str, rejected: int, why: str) -> bytes:
    """The answer to a request of which `rejected` items were not taken; empty when all were."""
    made = kind()
    if rejected or why:
        setattr(made.partial_success, field, rejected)
        made.partial_success.error_message = why
    if not is_json:
        return bytes(made.SerializeToString())
    from google.protobuf import json_format

    return orjson.dumps(json_format.MessageToDict(made))


def status(text: str, is_json: bool) -> bytes:
    """The body of a refusal, ``google.rpc.Status {int32 code = 1; string message = 2}``."""
    if is_json:
        return orjson.dumps({"message": text})
    from aiops.wire._named import block

    return block(0x12, text.encode())


@dataclass(frozen=True, slots=True)
class Naming:
    """Which resource attributes become labels: all when `kept` has ``*``."""

    kept: frozenset[str] = frozenset(KEPT)

    def resource(self, attributes: Iterable[Any]) -> dict[str, str]:
        """``job`` and ``instance`` as OpenTelemetry's Prometheus rules have them, and those that are kept."""
        found = {one.key: text_of(one.value) for one in attributes}
        chosen = {key: text for key, text in found.items() if "*" in self.kept or key in self.kept}
        name, space, instance = (found.get(key, "") for key in SERVICE)
        made = labels(chosen)
        if name:
            made["job"] = f"{space}/{name}" if space else name
        if instance:
            made["instance"] = instance
        return made


def labels(texts: Mapping[str, str]) -> dict[str, str]:
    """With names as Prometheus has them; values of names that become one are joined by ``;``."""
    made: dict[str, str] = {}
    for key, text in sorted(texts.items()):
        name = label_name(key)
        made[name] = f"{made[name]};{text}" if name in made else text
    return made


@lru_cache(4096)
def _plain(key: str) -> str:
    name = _ODD.sub("_", key)
    return f"_{name}" if name[:1].isdigit() else name


def label_name(key: str) -> str:
    """Dots and whatever else Prometheus has not in names become ``_``."""
    name = _plain(key) if len(key) < 200 else _ODD.sub("_", key)
    return f"{name}_" if name in (NAME, "le", "quantile", "") else name


def metric_name(name: str) -> str:
    return _plain(name) if len(name) < 200 else _ODD.sub("_", name)


def text_of(value: Any) -> str:
    """An ``AnyValue`` as text: structures as JSON, bytes as hex."""
    found = plain(value)
    if isinstance(found, str):
        return found
    if isinstance(found, bool):
        return str(found).lower()
    return "" if found is None else orjson.dumps(found).decode()


def plain(value: Any, depth: int = 0) -> Any:
    """An ``AnyValue`` as what JSON knows."""
    match value.WhichOneof("value"):
        case None:
            return None
        case "array_value":
            return "..." if depth > _DEEP else [plain(one, depth + 1) for one in value.array_value.values]
        case "kvlist_value":
            pairs = value.kvlist_value.values
            return "..." if depth > _DEEP else {one.key: plain(one.value, depth + 1) for one in pairs}
        case "bytes_value":
            return value.bytes_value.hex()
        case kind:
            return getattr(value, kind)
