"""A page for Prometheus, measured at the moment it is asked for: what exporters would tell."""

import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Reading = Callable[[], float]


class Gauges:
    """Serves `readings`, from ``name{label="value"}`` to what measures it, on a free loopback port.

    A reading that raises OSError is left out of the page, as an exporter does that cannot reach its server.
    """

    def __init__(self, readings: Mapping[str, Reading]) -> None:
        self.readings = readings
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self.page))
        self.address = f"127.0.0.1:{self._server.server_port}"

    def page(self) -> str:
        lines = []
        for series, reading in self.readings.items():
            try:
                lines.append(f"{series} {reading():.9g}\n")
            except OSError:
                continue
        return "".join(lines)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(page: Callable[[], str]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = page().encode()
            self.send_response(200)
            self.send_header("content-type", "text/plain; version=0.0.4")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler
