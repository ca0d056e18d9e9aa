"""A small ``_search`` over documents in memory, on a loopback port: in the shapes that Elasticsearch 8 and
OpenSearch 2 document. Ranges by ISO time, ascending sort by time, size; failures by `fail`."""

import json
import threading
from collections.abc import Mapping
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class SearchApi:
    """`add` puts a document in. `fail`: answers given before any real one."""

    def __init__(self) -> None:
        self.documents: list[tuple[int, str, dict[str, Any]]] = []
        self.fail: list[tuple[int, Mapping[str, str], bytes]] = []
        self.bodies: list[dict[str, Any]] = []
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

    def add(self, at: float, message: str, **fields: Any) -> None:
        ident = f"id{len(self.documents)}"
        self.documents.append((round(at * 1000), ident, {"message": message, **fields}))

    def answer(self, body: dict[str, Any]) -> bytes:
        (span,) = [one["range"]["@timestamp"] for one in body["query"]["bool"]["filter"] if "range" in one]
        low, high = (datetime.fromisoformat(span[key]).timestamp() * 1000 for key in ("gte", "lte"))
        found = sorted((d for d in self.documents if low <= d[0] <= high), key=lambda d: d[0])
        hits = [
            {"_index": "logs-1", "_id": ident, "_score": None, "_source": source, "sort": [at]}
            for at, ident, source in found[: body["size"]]
        ]
        shards = {"total": 1, "successful": 1, "skipped": 0, "failed": 0}
        return json.dumps(
            {"took": 1, "timed_out": False, "_shards": shards, "hits": {"max_score": None, "hits": hits}}
        ).encode()


def _handler(api: SearchApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            api.bodies.append(body)
            status, more, answer = api.fail.pop(0) if api.fail else (200, {}, api.answer(body))
            self.send_response(status)
            for name, value in more.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
