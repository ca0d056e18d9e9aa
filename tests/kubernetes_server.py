"""An API server's lists and watches over objects in memory (simulated), as the API's own concepts say.

Every write gets the next resourceVersion and stays in a log; a watch streams what is in the log after its
version, a compacted log answers 410, lists come in pages whose continuation expires. Faults are asked for.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Fault:
    """Of one answer: a status with its headers, or a watch cut off in the middle of an event."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    path: str = ""
    """Part of the path it waits for."""


@dataclass
class ApiServer:
    url: str = ""
    token: str = "t0ken"
    page: int = 500
    faults: list[Fault] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    """``list /api/v1/pods`` or ``watch /api/v1/pods 17``."""
    gone_in_stream: bool = True
    """410 as an event of the watch, as newer servers say it; else as the answer's status."""
    _version: int = 100
    _objects: dict[tuple[str, str, str], dict[str, Any]] = field(default_factory=dict)
    _log: list[tuple[int, str, dict[str, Any]]] = field(default_factory=list)
    _oldest: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def put(self, kind: str, name: str, space: str = "shop", **parts: Any) -> dict[str, Any]:
        """Add or replace an object of a resource (plural); parts: spec, status, or fields of metadata."""
        with self._lock:
            known = self._objects.get((kind, space, name))
            self._version += 1
            own = {k: v for k, v in parts.items() if k not in ("spec", "status", "body")}
            meta = {"name": name, "uid": f"uid-{kind}-{name}", "resourceVersion": str(self._version), **own}
            meta |= {} if kind == "nodes" else {"namespace": space}
            made = {"metadata": meta, "spec": parts.get("spec", {}), "status": parts.get("status", {})}
            made |= parts.get("body", {})
            self._objects[kind, space, name] = made
            self._log.append((self._version, "MODIFIED" if known else "ADDED", self._with(kind, made)))
            return made

    def delete(self, kind: str, name: str, space: str = "shop") -> None:
        with self._lock:
            made = deepcopy(self._objects.pop((kind, space, name)))
            self._version += 1
            made["metadata"]["resourceVersion"] = str(self._version)
            self._log.append((self._version, "DELETED", self._with(kind, made)))

    def compact(self) -> None:
        """Forget the log: whoever watches from before has to list."""
        with self._lock:
            self._version += 1
            self._oldest, self._log = self._version, []

    def lists(self) -> int:
        return sum(one.startswith("list") for one in self.asked)

    def _with(self, kind: str, made: dict[str, Any]) -> dict[str, Any]:
        return {"_kind": kind, **deepcopy(made)}

    # -- what the handler asks

    def chosen(self, path: str, query: dict[str, list[str]], about: dict[str, Any], kind: str) -> bool:
        parts = path.strip("/").split("/")
        if parts[-1] != kind:
            return False
        if (
            "namespaces" in parts
            and about["metadata"].get("namespace") != parts[parts.index("namespaces") + 1]
        ):
            return False
        for wanted in filter(None, query.get("labelSelector", [""])[0].split(",")):
            name, _, value = wanted.partition("=")
            if (about["metadata"].get("labels") or {}).get(name) != value:
                return False
        only = query.get("fieldSelector", [""])[0]
        return not only or about.get(only.partition("=")[0]) == only.partition("=")[2]

    def listed(self, path: str, query: dict[str, list[str]]) -> tuple[int, Any]:
        with self._lock:
            every = sorted(self._objects.items())
            items = [deepcopy(one) for (kind, _, _), one in every if self.chosen(path, query, one, kind)]
            version, start = self._version, 0
            if token := query.get("continue", [""])[0]:
                version, start = (int(part) for part in token.split("."))
                if version < self._oldest:
                    return 410, _status(410, "The provided continue parameter is too old")
            end = start + min(self.page, int(query.get("limit", ["500"])[0]))
            meta = {"resourceVersion": str(version)} | (
                {"continue": f"{version}.{end}"} if end < len(items) else {}
            )
            return 200, {"kind": "List", "metadata": meta, "items": items[start:end]}

    def since(self, path: str, query: dict[str, list[str]]) -> list[dict[str, Any]] | None:
        """The events after the version that is asked from; None when they are gone."""
        version = int(query["resourceVersion"][0])
        with self._lock:
            if version < self._oldest:
                return None
            found = [
                {"type": what, "object": {k: v for k, v in about.items() if k != "_kind"}}
                for at, what, about in self._log
                if at > version and self.chosen(path, query, about, about["_kind"])
            ]
            mark = {"metadata": {"resourceVersion": str(max(version, self._version))}}
            return [*found, {"type": "BOOKMARK", "object": mark}]


def _status(code: int, message: str) -> dict[str, Any]:
    return {"kind": "Status", "status": "Failure", "message": message, "code": code}


@contextmanager
def api_server() -> Iterator[ApiServer]:
    made = ApiServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = parse_qs(parts.query)
            watching = "watch" in query
            if self.headers.get("authorization") != f"Bearer {made.token}":
                return self._whole(401, _status(401, "Unauthorized"))
            made.asked.append(
                f"{'watch' if watching else 'list'} {parts.path} {query.get('resourceVersion', [''])[0]}"
            )
            fault = next((f for f in made.faults if f.path in parts.path and (watching or not f.cut)), None)
            if fault:
                made.faults.remove(fault)
                if fault.status:
                    return self._whole(fault.status, _status(fault.status, "refused"), fault.headers)
            if not watching:
                return self._whole(*made.listed(parts.path, query))
            return self._stream(made.since(parts.path, query), bool(fault and fault.cut))

        def _stream(self, events: list[dict[str, Any]] | None, cut: bool) -> None:
            if events is None and not made.gone_in_stream:
                return self._whole(410, _status(410, "too old resource version"))
            if events is None:
                events = [{"type": "ERROR", "object": _status(410, "too old resource version")}]
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            data = b"".join(json.dumps(one).encode() + b"\n" for one in events)
            if cut:
                # all but the last event, and half of that
                data = b"".join(json.dumps(one).encode() + b"\n" for one in events[:-1]) + b'{"type": "MODI'
            for start in range(0, len(data), 1000):  # events do not end where chunks do
                piece = data[start : start + 1000]
                self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            if cut:
                self.close_connection = True
                self.connection.close()
                return None
            self.wfile.write(b"0\r\n\r\n")
            return None

        def _whole(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A cut connection is what was asked for."""

    server = Quiet(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
