"""An engine that stands by answers through the one that leads: only that one has the pipeline.

What needs no pipeline it answers itself: its own health and metrics, and, while nobody leads, whatever can be
read from the store. The rest is refused with 503 and Retry-After: a client that tries again finds the next
leader.
"""

import json
import logging
from typing import Protocol

import httpx
from starlette.types import ASGIApp, Receive, Scope, Send

from aiops.engine.door import CutOff, pieces

log = logging.getLogger("aiops.engine")

OWN = ("/-/healthy", "/-/ready", "/metrics", "/static/")
"""Paths that every engine answers for itself."""
REMEMBERED = ("/api/v1/series", "/api/v1/sources", "/receive/")
"""Paths under which only a pipeline's memory has the answer."""
MARK = b"forewarn-forwarded"
"""Header of what was forwarded once, and is not a second time."""
RETRY_AFTER = 2
"""Seconds: about what a takeover takes."""
TIMEOUT = httpx.Timeout(connect=1.0, read=30.0, write=30.0, pool=5.0)
_HOP = {b"connection", b"keep-alive", b"transfer-encoding", b"te", b"trailer", b"upgrade"}


class Engine(Protocol):
    """What is needed of the engine."""

    @property
    def leads(self) -> bool: ...
    @property
    def leader_url(self) -> str:
        """Where the leader is reached; empty when it is not known."""
        ...


class Unreached(Exception):
    """Nothing of the request has been answered."""


class Forward:
    """ASGI middleware, before all others."""

    def __init__(self, app: ASGIApp, engine: Engine) -> None:
        self._app, self._engine = app, engine
        self._client: httpx.AsyncClient | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._engine.leads or scope["path"].startswith(OWN):
            return await self._app(scope, receive, send)
        forwarded = any(name == MARK for name, _ in scope["headers"])
        url = "" if forwarded else self._engine.leader_url
        if url:
            try:
                return await self._pass_on(url, scope, receive, send)
            except Unreached as why:
                log.warning("the leader at %s does not answer: %s", url, why)
        if scope["method"] in ("GET", "HEAD") and not scope["path"].startswith(REMEMBERED) and not forwarded:
            return await self._app(scope, receive, send)
        await _refuse(send)

    async def _pass_on(self, url: str, scope: Scope, receive: Receive, send: Send) -> None:
        if self._client is None:
            self._client = httpx.AsyncClient(timeout=TIMEOUT, trust_env=False, limits=httpx.Limits())
        path = scope["raw_path"] or scope["path"].encode()
        query = scope["query_string"]
        headers = [(name, value) for name, value in scope["headers"] if name not in _HOP]
        request = self._client.build_request(
            scope["method"],
            httpx.URL(url).copy_with(raw_path=path + (b"?" + query if query else b"")),
            headers=[*headers, (MARK, b"1")],
            content=pieces(receive) if _has_body(scope) else None,
        )
        try:
            answer = await self._client.send(request, stream=True)
        except CutOff:  # the connection to the leader is closed with it: that one takes no half either
            return await _refuse(send)
        except httpx.HTTPError as why:
            raise Unreached(str(why) or type(why).__name__) from why
        try:
            kept = [(k.lower(), v) for k, v in answer.headers.raw if k.lower() not in _HOP]
            await send({"type": "http.response.start", "status": answer.status_code, "headers": kept})
            async for part in answer.aiter_raw():
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            await answer.aclose()


def _has_body(scope: Scope) -> bool:
    return any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"])


async def _refuse(send: Send) -> None:
    body = {
        "type": "about:blank",
        "title": "Service Unavailable",
        "status": 503,
        "detail": "this engine stands by, and the one that leads is not reached; try again",
        "errors": [],
    }
    text = json.dumps(body).encode()
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"retry-after", str(RETRY_AFTER).encode()),
        (b"content-length", str(len(text)).encode()),
    ]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": text})
