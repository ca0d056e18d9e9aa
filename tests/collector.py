"""A collector of traces: takes OTLP over HTTP as protobuf, and keeps the spans."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Got:
    """One span. Times are epoch seconds, numbers as others write them; `parent` is empty for the first."""

    name: str
    trace: str
    ident: str
    parent: str
    begun: float
    ended: float
    about: dict[str, Any]
    links: tuple[str, ...]
    """Traces."""
    error: str


@dataclass
class Collector:
    url: str = ""
    spans: list[Got] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    resource: dict[str, Any] = field(default_factory=dict)

    def named(self, name: str) -> list[Got]:
        return [span for span in self.spans if span.name == name]

    def one(self, name: str) -> Got:
        (found,) = self.named(name)
        return found

    def under(self, span: Got) -> list[str]:
        """Names of its parts, in the order of their beginnings."""
        parts = [one for one in self.spans if (one.trace, one.parent) == (span.trace, span.ident)]
        return [one.name for one in sorted(parts, key=lambda one: (one.begun, one.ended))]

    def take(self, body: bytes) -> None:
        asked = ExportTraceServiceRequest.FromString(body)
        for resource in asked.resource_spans:
            self.resource = _values(resource.resource.attributes)
            self.spans += [_got(span) for scope in resource.scope_spans for span in scope.spans]

    @contextmanager
    def serve(self) -> Iterator["Collector"]:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                wrong = self.path != "/v1/traces" or self.headers["Content-Type"] != "application/x-protobuf"
                if not wrong:
                    gzipped = self.headers.get("Content-Encoding") == "gzip"
                    collector.headers.append(dict(self.headers))
                    collector.take(gzip.decompress(body) if gzipped else body)
                self.send_response(404 if wrong else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def _got(span: Any) -> Got:
    return Got(
        span.name,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.start_time_unix_nano / 1e9,
        span.end_time_unix_nano / 1e9,
        _values(span.attributes),
        tuple(link.trace_id.hex() for link in span.links),
        span.status.message,
    )


def _values(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
