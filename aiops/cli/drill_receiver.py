"""The drill's ITSM: takes Forewarn's webhooks, verifies each signature, and keeps the tickets."""

import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks import Webhook, WebhookVerificationError

from aiops.cli.failure import Failure

LARGEST = 1_000_000


@dataclass(frozen=True, slots=True)
class Received:
    """One message whose signature holds; ``at`` is the epoch second at which it came."""

    at: float
    reason: str
    key: str
    id: str


@dataclass(slots=True)
class Receiver:
    """Listens on ``host:port`` while in its `with` block. Raises `Failure` when the port is taken."""

    host: str
    port: int
    secret: str
    received: list[Received] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """Why messages were turned away."""
    _server: ThreadingHTTPServer | None = None

    def __enter__(self) -> "Receiver":
        try:
            self._server = ThreadingHTTPServer((self.host, self.port), _handler(self))
        except OSError as why:
            raise Failure(f"{self.host}:{self.port} cannot be listened on: {why.strerror}") from why
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._server:
            self._server.shutdown()
            self._server.server_close()

    def first(self, key: str, *reasons: str) -> Received | None:
        """The first message about the problem `key`, of one of `reasons` if any are given."""
        ours = (one for one in list(self.received) if one.key == key)
        return next((one for one in ours if not reasons or one.reason in reasons), None)

    def take(self, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str]]:
        """Status and JSON answer to one message."""
        try:
            Webhook(self.secret).verify(body, headers)
            event = json.loads(body)
            reason, key = str(event["type"]).rpartition(".")[2], str(event["subject"])
            message = Received(time.time(), reason, key, str(event["id"]))
        except (WebhookVerificationError, ValueError, KeyError, TypeError) as why:
            self.refused.append(f"{type(why).__name__}: {why}")
            return 401, {"error": "the signature does not hold, or this is no event"}
        if all(one.id != message.id for one in self.received):
            self.received.append(message)
        return 200, {"ref": f"DRILL-{message.key[-6:]}"}


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            size = int(self.headers.get("content-length") or 0)
            body = self.rfile.read(size) if size <= LARGEST else b""
            status, told = receiver.take(body, {k.lower(): v for k, v in self.headers.items()})
            answer = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            """The timeline tells what came; a log line a request would break it."""

    return Handler
