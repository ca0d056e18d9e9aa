"""A small Loki over lines in memory, on a loopback port: simulated from Grafana's documented HTTP API.

``GET /loki/api/v1/query_range``: start inclusive and end exclusive in nanoseconds, limit over all streams,
both directions, X-Scope-OrgID, structured metadata as third element, 400 as text, 429 and 5xx by `fail`.
"""

import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit


class LokiApi:
    """`lines`: (ns, stream labels, line, structured metadata). `fail`: answers given before any real one."""

    def __init__(self, tenant: str = "") -> None:
        self.tenant = tenant
        self.lines: list[tuple[int, dict[str, str], str, dict[str, str]]] = []
        self.fail: list[tuple[int, Mapping[str, str], bytes]] = []
        self.requests: list[dict[str, str]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def say(self, at: float, line: str, metadata: Mapping[str, str] | None = None, **labels: str) -> None:
        self.lines.append((round(at * 1e9), labels or {"job": "a"}, line, dict(metadata or {})))

    def answer(self, path: str, form: dict[str, str], headers: dict[str, str]) -> tuple[int, bytes]:
        if path != "/loki/api/v1/query_range":
            return 404, b"404 page not found"
        if self.tenant and headers.get("x-scope-orgid") != self.tenant:
            return 401, b"no org id"
        if not form["query"].startswith("{"):
            return 400, b"parse error at line 1, col 1: syntax error"
        start, end, limit = int(form["start"]), int(form["end"]), int(form["limit"])
        found = sorted((one for one in self.lines if start <= one[0] < end), key=lambda one: one[0])
        if form.get("direction", "backward") == "backward":
            found.reverse()
        streams: dict[str, dict[str, Any]] = {}
        for at, labels, line, metadata in found[:limit]:
            stream = streams.setdefault(json.dumps(labels), {"stream": labels, "values": []})
            stream["values"].append([str(at), line, *([metadata] if metadata else [])])
        data = {"resultType": "streams", "result": list(streams.values()), "stats": {}}
        return 200, json.dumps({"status": "success", "data": data}).encode()


def _handler(api: LokiApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            form = {name: values[0] for name, values in parse_qs(parts.query).items()}
            headers = {name.lower(): value for name, value in self.headers.items()}
            api.requests.append(form)
            more: Mapping[str, str] = {}
            if api.fail:
                status, more, body = api.fail.pop(0)
            else:
                status, body = api.answer(parts.path, form, headers)
            self.send_response(status)
            for name, value in more.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
