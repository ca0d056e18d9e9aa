"""Two things that make the API safe to ask again: ETags on what is read, Idempotency-Keys on what is done."""

import hashlib
from collections.abc import Awaitable, Callable

from sqlalchemy.exc import IntegrityError
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aiops.store import answers, tokens
from aiops.web.errors import trouble
from aiops.web.ports import Engine
from aiops.web.sealed import Sealer

API = "/api/v1/"
LARGEST = 2_000_000
LONGEST_KEY = 255
_PASSING = frozenset({401, 403, 408, 409, 413, 425, 429})
"""Answers that another try may change: they are not kept."""


class _Kept:
    """An answer, held back until it is whole."""

    def __init__(self) -> None:
        self.start: Message = {"type": "http.response.start", "status": 500, "headers": []}
        self.body = b""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.start = message
        else:
            self.body += message.get("body", b"")

    @property
    def status(self) -> int:
        return int(self.start["status"])

    async def pass_on(self, send: Send) -> None:
        await send(self.start)
        await send({"type": "http.response.body", "body": self.body})


class Tags:
    """ASGI middleware: GETs of the API carry an ETag, and are answered 304 when the caller has that one."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = scope["type"] == "http" and scope["method"] == "GET" and scope["path"].startswith(API)
        if not asked or scope["path"].endswith("/events"):
            await self.app(scope, receive, send)
            return
        kept = _Kept()
        await self.app(scope, receive, kept.send)
        if kept.status == 200:
            headers = MutableHeaders(scope=kept.start)
            tag = f'"{hashlib.sha256(kept.body).hexdigest()[:24]}"'
            headers["ETag"] = tag
            headers["Cache-Control"] = "private, no-cache"
            known = {one.strip().removeprefix("W/") for one in _known(scope).split(",")}
            if tag in known or "*" in known:
                kept.start["status"], kept.body = 304, b""
                del headers["content-length"], headers["content-type"]
        await kept.pass_on(send)


def _known(scope: Scope) -> str:
    return Headers(scope=scope).get("if-none-match", "")


class Repeats:
    """ASGI middleware: a POST that repeats the `Idempotency-Key` of one before gets that one's answer.

    As the IETF draft of that header has it: the same key with another request is refused (422), and one whose
    first request is under way (409). Keys are each token's own.
    """

    def __init__(self, app: ASGIApp, engine: Engine) -> None:
        self.app = app
        self._engine = engine

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].startswith(API):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        key, bearer = headers.get("idempotency-key", ""), headers.get("authorization", "")
        token = bearer.removeprefix("Bearer ").strip()
        holder = await self._holder(token) if key and token else ""
        if not holder:
            # nobody whose key this could be: the route itself says what is missing
            await self.app(scope, receive, send)
        elif len(key) > LONGEST_KEY:
            await trouble(422, f"an Idempotency-Key has at most {LONGEST_KEY} characters")(
                scope, receive, send
            )
        else:
            await self._once(scope, receive, send, key, holder, Sealer(token, key))

    async def _holder(self, plain: str) -> str:
        engine = self._engine
        found = await engine.db.read(tokens.verify, plain, engine.clock.now())
        return str(found.token_id) if found else ""

    async def _once(
        self, scope: Scope, receive: Receive, send: Send, key: str, holder: str, sealer: Sealer
    ) -> None:
        body = await _body(receive)
        if body is None:
            await trouble(413, f"more than {LARGEST} bytes")(scope, receive, send)
            return
        asked = sealer.digest(b"\0".join((scope["path"].encode(), scope["query_string"], body)))
        db, now = self._engine.db, self._engine.clock.now()
        try:
            known = await db.run(answers.claim, key, holder, asked, now)
        except IntegrityError:
            known = answers.Known(asked, None, "", "")  # another took the key in this very moment
        if known is not None:
            await _repeated(known, asked, sealer)(scope, receive, send)
            return
        kept = _Kept()
        try:
            await self.app(scope, _again(body), kept.send)
        except BaseException:
            await db.run(answers.release, key, holder)
            raise
        if kept.status >= 500 or kept.status in _PASSING:
            await db.run(answers.release, key, holder)
        else:
            media = Headers(raw=kept.start["headers"]).get("content-type", "")
            sealed = sealer.seal(kept.body.decode())
            await db.run(answers.settle, key, holder, kept.status, media, sealed)
        await kept.pass_on(send)


def _repeated(known: answers.Known, asked: str, sealer: Sealer) -> Response:
    if known.asked != asked:
        return trouble(422, "this Idempotency-Key was used for another request")
    if known.status is None:
        return trouble(
            409, "the first request with this Idempotency-Key is under way", headers={"Retry-After": "1"}
        )
    answer = Response(sealer.unseal(known.body), known.status, {"Idempotency-Replayed": "true"})
    if known.media_type:
        answer.headers["content-type"] = known.media_type
    return answer


async def _body(receive: Receive) -> bytes | None:
    """The whole body; None when it is too large or nobody waits any more."""
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += bytes(message.get("body", b""))
        if len(body) > LARGEST:
            return None
        if not message.get("more_body", False):
            return body


def _again(body: bytes) -> Callable[[], Awaitable[Message]]:
    """A `receive` that gives `body` once more."""
    left = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return left.pop() if left else {"type": "http.disconnect"}

    return receive
