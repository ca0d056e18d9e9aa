"""A small Loki over lines in memory, on a loopback port: simulated from Grafana's documented HTTP API.

``GET /loki/api/v1/query_range``: start inclusive and end exclusive in nanoseconds, limit over all streams,
both directions, X-Scope-OrgID, 400 as text, 429 and 5xx by `fail`. ``GET /loki/api/v1/tail``: a websocket
with the lines that come in, and what it had to drop. Structured metadata is the third element of a value, in
a group of its own where categorized labels were asked for.
"""

import base64
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.log_stub import LogStub

Said = tuple[int, dict[str, str], str, dict[str, str]]
_MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class LokiApi(LogStub):
    """`lines`: (ns, stream labels, line, structured metadata)."""

    def __init__(self, tenant: str = "") -> None:
        super().__init__()
        self.tenant = tenant
        self.lines: list[Said] = []
        self.requests: list[dict[str, str]] = []
        self.tails = 0
        """Listeners now."""
        self.drop_next = 0
        """So many lines the tail drops, saying so."""
        self._categorized = False
        self._key = ""

    def say(self, at: float, line: str, metadata: Mapping[str, str] | None = None, **labels: str) -> None:
        self.lines.append((round(at * 1e9), labels or {"job": "a"}, line, dict(metadata or {})))

    def answer(
        self, path: str, form: dict[str, str], headers: dict[str, str], body: bytes
    ) -> tuple[int, bytes]:
        if self.tenant and headers.get("x-scope-orgid") != self.tenant:
            return 401, b"no org id"
        self._categorized = headers.get("x-loki-response-encoding-flags") == "categorize-labels"
        if path == "/loki/api/v1/tail" and headers.get("upgrade") == "websocket":
            self._key = headers["sec-websocket-key"]
            return 101, b""
        if path != "/loki/api/v1/query_range":
            return 404, b"404 page not found"
        self.requests.append(form)
        if not form["query"].startswith("{"):
            return 400, b"parse error at line 1, col 1: syntax error"
        start, end, limit = int(form["start"]), int(form["end"]), int(form["limit"])
        found = sorted((one for one in self.lines if start <= one[0] < end), key=lambda one: one[0])
        if form.get("direction", "backward") == "backward":
            found.reverse()
        data = {"resultType": "streams", "result": self._streams(found[:limit]), "stats": {}}
        return 200, json.dumps({"status": "success", "data": data}).encode()

    def upgraded(self, handler: BaseHTTPRequestHandler, form: dict[str, str]) -> None:
        accept = base64.b64encode(hashlib.sha1((self._key + _MAGIC).encode()).digest()).decode()
        handler.send_response(101)
        for name, value in {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Accept": accept,
        }.items():
            handler.send_header(name, value)
        handler.end_headers()
        self.tails += 1
        told = len(self.lines)
        try:
            while self.running:
                new = self.lines[told:]
                told += len(new)
                dropped, kept = new[: self.drop_next], new[self.drop_next :]
                self.drop_next -= len(dropped)
                if new:
                    message: dict[str, Any] = {"streams": self._streams(kept)}
                    if dropped:
                        entries = [{"labels": labels, "timestamp": str(at)} for at, labels, *_ in dropped]
                        message["dropped_entries"] = entries
                    handler.wfile.write(_frame(json.dumps(message).encode()))
                time.sleep(0.005)
        except OSError:
            pass  # the listener went
        finally:
            self.tails -= 1

    def _streams(self, found: Sequence[Said]) -> list[dict[str, Any]]:
        streams: dict[str, dict[str, Any]] = {}
        for at, labels, line, metadata in found:
            stream = streams.setdefault(json.dumps(labels), {"stream": labels, "values": []})
            extra: list[Any] = [metadata] if metadata else []
            if self._categorized:
                extra = [{"structuredMetadata": metadata} if metadata else {}]
            stream["values"].append([str(at), line, *extra])
        return list(streams.values())


def _frame(text: bytes) -> bytes:
    """One text message from a server (RFC 6455, section 5.2)."""
    size = len(text)
    length = bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2, "big")
    if size >= 1 << 16:
        length = b"\x7f" + size.to_bytes(8, "big")
    return b"\x81" + length + text
