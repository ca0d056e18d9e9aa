"""A small Prometheus query API over samples in memory, on a loopback port.

For what a real server cannot be made to do on demand: exact samples at exact times, failures in a given
order. Real ones are in tests/e2e.
"""

import json
import re
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from aiops.model.frame import Frame
from aiops.model.selector import Selector
from aiops.model.series import SeriesIndex
from aiops.plugin import Connector
from aiops.plugin.load import load

LOOKBACK = 300.0


class PrometheusApi:
    """Answers selectors, instant and over a range, and selectors with a window: ``name{...}[1500ms]``.

    `fail` holds answers ``(status, headers, body)`` given before any real one, first to last.
    """

    def __init__(self) -> None:
        self.series: list[tuple[dict[str, str], list[tuple[float, float]]]] = []
        self.fail: list[tuple[int, Mapping[str, str], bytes]] = []
        self.requests: list[tuple[str, str, dict[str, str], dict[str, str]]] = []
        """(method, path, form, headers with lower-case names)"""
        self.warnings: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def add(self, labels: Mapping[str, str], samples: list[tuple[float, float]]) -> None:
        self.series.append((dict(labels), samples))

    def answer(self, path: str, form: dict[str, str]) -> bytes:
        query = re.fullmatch(r"(.*?)(?:\[(\d+)ms\])?", form["query"], re.DOTALL)
        assert query
        selector = Selector.parse(query[1])
        chosen = [(m, samples) for m, samples in self.series if selector.matches(m)]
        if query[2]:
            end = float(form["time"])
            start = end - int(query[2]) / 1000
            rows = [(m, [s for s in samples if start < s[0] <= end]) for m, samples in chosen]
            kind = "matrix"
        else:
            times = _times(form)
            rows = [(m, [s for t in times for s in _at(samples, t)]) for m, samples in chosen]
            kind = "matrix" if path.endswith("_range") else "vector"
        key = "values" if kind == "matrix" else "value"
        result = [
            {"metric": m, key: pairs if kind == "matrix" else pairs[0]}
            for m, samples in rows
            if (pairs := [[t, _text(v)] for t, v in samples])
        ]
        found = {
            "status": "success",
            "data": {"resultType": kind, "result": result},
            "warnings": self.warnings,
        }
        return json.dumps(found).encode()


def _times(form: dict[str, str]) -> list[float]:
    if "time" in form:
        return [float(form["time"])]
    start, end, step = (float(form[k]) for k in ("start", "end", "step"))
    return [start + i * step for i in range(int((end - start) / step + 1e-9) + 1)]


def _at(samples: list[tuple[float, float]], time: float) -> list[tuple[float, float]]:
    """The sample that holds at `time`: the newest within the look-back, unless that is a staleness mark."""
    before = [v for t, v in samples if time - LOOKBACK < t <= time]
    return [(time, before[-1])] if before and before[-1] == before[-1] else []


def _text(value: float) -> str:
    return {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}.get(repr(value), repr(value))


def _handler(api: PrometheusApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._do(urlsplit(self.path).query)

        def do_POST(self) -> None:
            if self.path == "/api/v1/read":  # no remote read, as VictoriaMetrics; real ones are in tests/e2e
                self.rfile.read(int(self.headers["content-length"]))
                self.send_error(404)
                return
            self._do(self.rfile.read(int(self.headers["content-length"])).decode())

        def _do(self, text: str) -> None:
            form: dict[str, Any] = {k: v[0] for k, v in parse_qs(text, keep_blank_values=True).items()}
            path = urlsplit(self.path).path
            headers = {k.lower(): v for k, v in self.headers.items()}
            api.requests.append((self.command, path, form, headers))
            status, more, body = api.fail.pop(0) if api.fail else (200, {}, api.answer(path, form))
            self.send_response(status)
            for name, value in more.items():
                self.send_header(name, value)
            if "Content-Length" not in more:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def source(api: PrometheusApi, **fields: Any) -> Connector:
    """The Prometheus source on `api`."""
    defaults: dict[str, Any] = {"name": "prod", "url": api.url, "select": ['{job="a"}'], "every": "15s"}
    made = load("connectors", "prometheus", Connector).model_validate(defaults | fields)
    made.open(SeriesIndex())
    return made


async def pull(one: Connector, since: float, until: float) -> list[Frame]:
    frames = [f async for f in one.pull(since, until)]
    assert all(isinstance(f, Frame) for f in frames)
    return frames  # type: ignore[return-value]
