"""What the stubs of log servers share: HTTP on a loopback port, answers to order, requests remembered."""

import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import parse_qs, urlsplit


class LogStub:
    """`fail`: answers given before any real one. Gone after the ``with``; `stop` and `start` between."""

    def __init__(self) -> None:
        self.fail: list[tuple[int, Mapping[str, str], bytes]] = []
        self.port = 0
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def answer(
        self, path: str, form: dict[str, str], headers: dict[str, str], body: bytes
    ) -> tuple[int, bytes]:
        """(status, body) of one request; names of headers are in lower case."""
        raise NotImplementedError

    def upgraded(self, handler: BaseHTTPRequestHandler, form: dict[str, str]) -> None:
        """Talk on as the websocket that was asked for."""
        raise NotImplementedError

    def start(self) -> None:
        """On the port that it had before, if any."""
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), _handler(self))
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
        self._server = None

    @property
    def running(self) -> bool:
        return self._server is not None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _handler(api: LogStub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            form = {name: values[0] for name, values in parse_qs(parts.query).items()}
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", "0")))
            more: Mapping[str, str] = {}
            if api.fail:
                status, more, body = api.fail.pop(0)
            else:
                status, body = api.answer(parts.path, form, headers, body)
            if status == 101:
                self.close_connection = True
                api.upgraded(self, form)
                return
            self.send_response(status)
            for name, value in {**more, "Content-Length": str(len(body)), "Connection": "close"}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    return Handler
