"""A target with a ``/metrics`` page, and an API server of Kubernetes built from its documentation."""

import contextlib
import gzip
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit


class MetricsPage:
    """`pages`: path -> (status, content type, body). Answers packed by gzip where that is accepted.

    `seen`: path with query and headers of each request. `delay`: seconds before an answer.
    """

    def __init__(self) -> None:
        self.pages: dict[str, tuple[int, str, bytes]] = {}
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.delay = 0.0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.address = f"127.0.0.1:{self._server.server_port}"
        self.url = f"http://{self.address}"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def say(self, text: str, kind: str = "text/plain; version=0.0.4", path: str = "/metrics") -> None:
        self.pages[path] = 200, kind, text.encode()

    def list(self, path: str, *items: dict[str, Any], by: int = 2) -> None:
        """A list of Kubernetes, `by` items a page."""
        for start in range(0, max(1, len(items)), by):
            following = str(start + by) if start + by < len(items) else ""
            document = {"items": items[start : start + by], "metadata": {"continue": following}}
            place = f"{path}?continue={start}" if start else path
            self.pages[place] = 200, "application/json", json.dumps(document).encode()


def _handler(api: MetricsPage) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            api.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            time.sleep(api.delay)
            parts = urlsplit(self.path)
            following = parse_qs(parts.query).get("continue")
            place = f"{parts.path}?continue={following[0]}" if following else parts.path
            status, kind, body = api.pages.get(place, (404, "text/plain", b"no such page"))
            packed = "gzip" in self.headers.get("Accept-Encoding", "")
            body = gzip.compress(body) if packed else body
            self.send_response(status)
            self.send_header("Content-Type", kind)
            if packed:
                self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

        def handle(self) -> None:
            with contextlib.suppress(ConnectionError):  # who asked has given up
                super().handle()

    return Handler
