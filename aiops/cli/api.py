"""The running engine's API, as commands see it."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiops.cli.failure import Failure, load

if TYPE_CHECKING:
    from ssl import SSLContext
    from urllib.error import HTTPError
    from urllib.request import Request

TIMEOUT = 10.0


class NotRunning(Failure):
    """Nobody answers at the console's address."""


class Api:
    """Requests to one engine. ``FOREWARN_TOKEN`` is sent when set: changing needs it, reading away from
    loopback too."""

    def __init__(self, url: str, ca: Path | None = None) -> None:
        """`ca`: PEM file of who vouches for the engine's certificate, where the system's own do not."""
        self.url = url.rstrip("/")
        self._ca = ca

    @classmethod
    def of(cls, url: str, config: Path | None) -> "Api":
        """At `url`, or where the config says that the console listens. Raises `Failure`."""
        if url:
            return cls(url)
        web = load(config).web
        return cls(address(web.listen, bool(web.tls)), web.tls.cert if web.tls else None)

    def get(self, path: str, **query: Any) -> Any:
        """The JSON under ``/api/v1``. Raises `NotRunning`, or `Failure` with what the engine says."""
        return json.loads(self.text(f"/api/v1{path}", **query))

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Change something, and the JSON that comes back. Raises as `get` does."""
        import urllib.request

        sent = json.dumps(body).encode()
        kind = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/api/v1{path}", sent, kind, method="POST")
        return json.loads(self._ask(request))

    def text(self, path: str, **query: Any) -> str:
        """What stands under the path, whatever it is."""
        import urllib.parse
        import urllib.request

        asked = urllib.parse.urlencode({k: v for k, v in query.items() if v is not None}, doseq=True)
        return self._ask(urllib.request.Request(f"{self.url}{path}" + (f"?{asked}" if asked else "")))

    def _ask(self, request: "Request") -> str:
        import urllib.error
        import urllib.request

        token = os.environ.get("FOREWARN_TOKEN")
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT, context=self._trust()) as reply:
                return str(reply.read().decode())
        except urllib.error.HTTPError as why:
            raise Failure(_refusal(why, self.url)) from why
        except (OSError, ValueError) as why:
            reason = getattr(why, "reason", why)
            raise NotRunning(
                f"Forewarn does not answer at {self.url} ({reason}); start it with `forewarn run`"
            ) from why

    def _trust(self) -> "SSLContext | None":
        """The machine's own certificate is trusted by its file, whatever name it is for."""
        if self._ca is None:
            return None
        import ssl

        made = ssl.create_default_context(cafile=str(self._ca))
        made.check_hostname = False
        return made


def address(listen: str, tls: bool = False) -> str:
    """Where to reach an engine that listens on ``host:port`` of this machine."""
    host, _, port = listen.rpartition(":")
    host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)
    return f"{'https' if tls else 'http'}://{host}:{port}"


def _refusal(why: "HTTPError", url: str) -> str:
    body = why.read().decode(errors="replace").strip()
    try:
        told = json.loads(body)["detail"]
    except (ValueError, KeyError, TypeError):
        told = body.splitlines()[0] if body else why.reason
    if why.code == 401:
        return f"{told}: set FOREWARN_TOKEN to the token that the first start printed"
    return f"{url} says: {told}"
