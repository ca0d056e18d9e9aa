"""Every request has a name, which its answer and every log line about it carry."""

import logging

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aiops.engine.spans import remote
from aiops.engine.trace import request_id, tracing

log = logging.getLogger("aiops.web")

HEADER = "X-Request-ID"


class Named:
    """ASGI middleware: takes the sender's ``X-Request-ID`` if it is fit to be shown, else makes one.

    Of a sender that tells traces, lines name its trace too.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        name = request_id(Headers(scope=scope).get(HEADER, ""))

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[HEADER] = name
                log.debug("%s %s: %s", scope["method"], scope["path"], message["status"])
            await send(message)

        sender = remote(Headers(scope=scope).get("traceparent", ""))
        with tracing(request=name, **({"trace_id": sender.hex} if sender else {})):
            await self.app(scope, receive, named)
