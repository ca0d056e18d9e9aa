"""Host check and headers; who asks, and the role that every change needs."""

import ipaddress
import socket
from collections.abc import Iterable
from typing import Annotated, Any, cast
from urllib.parse import urlsplit

from fastapi import Depends, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aiops.model.role import Role
from aiops.store import sessions, tokens
from aiops.store.sessions import Signed
from aiops.store.tokens import Principal
from aiops.web.errors import trouble
from aiops.web.ports import Engine
from aiops.web.session import COOKIE, Signer
from aiops.web.teams import OWN, TeamView, refuse

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_ANY = frozenset({"0.0.0.0", "::", "*"})


class Guard:
    """ASGI middleware: refuses foreign Host headers (DNS rebinding), adds headers to every answer."""

    def __init__(self, app: ASGIApp, listen: str, url: str = "", hosts: Iterable[str] = ()) -> None:
        self.app = app
        self.listen = listen.lower()
        proxied = (urlsplit(url).hostname or "").lower()
        self.names = {name.lower() for name in (proxied, *hosts) if name}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        host = Headers(scope=scope).get("host", "")
        if self._known(host):
            await self.app(scope, receive, guarded)
        else:
            answer = trouble(421, f"this server does not answer as {host!r}; it listens as {self.listen!r}")
            await answer(scope, receive, guarded)

    def _known(self, host: str) -> bool:
        try:
            name = (urlsplit(f"//{host}").hostname or "").lower()
        except ValueError:
            return False
        if name in _LOOPBACK_NAMES or name == self.listen or name in self.names:
            return True
        # Rebinding needs a name that an attacker's DNS answers for; an address literal is none
        return self.listen in _ANY and (_is_address(name) or name == socket.gethostname().lower())


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def engine_of(request: Request) -> Engine:
    """The engine that this app was made for."""
    engine: Engine = request.app.state.engine
    return engine


def signer_of(request: Request) -> Signer:
    signer: Signer = request.app.state.signer
    return signer


_bearer = HTTPBearer(auto_error=False, description="A token such as `fw_...`, shown once when it is made.")


async def session_of(request: Request) -> Signed | None:
    """The console session that the cookie names; notes its use. Looked up once a request."""
    cookie = request.cookies.get(COOKIE, "")
    if not cookie:
        return None
    if "forewarn_session" not in request.scope:
        engine = engine_of(request)
        now = engine.clock.now()
        found = await engine.db.read(sessions.find, cookie, now)
        if found and found.stale:
            await engine.db.run(sessions.seen, found.id, now)
        request.scope["forewarn_session"] = found
    signed: Signed | None = request.scope["forewarn_session"]
    return signed


async def by_session(request: Request) -> Principal | None:
    """Who is signed in to the console; nobody once the token was revoked or the account closed."""
    found = await session_of(request)
    return found.who if found else None


async def by_token(engine: Engine, plain: str) -> Principal | None:
    """Whom a plain token speaks for; notes its use."""
    now = engine.clock.now()
    found = await engine.db.read(tokens.verify, plain, now)
    if found and found.stale:
        await engine.db.run(tokens.touch, found.token_id, now)
    return found


async def asker(request: Request) -> Principal | None:
    """Whom the request's token, else its session, speaks for. Looked up once a request.

    Raises 403 where somebody of some teams asks for what is everybody's.
    """
    if "forewarn_asker" not in request.scope:
        kind, _, plain = request.headers.get("authorization", "").partition(" ")
        by_bearer = kind.lower() == "bearer" and plain
        found = await by_token(engine_of(request), plain) if by_bearer else await by_session(request)
        request.scope["forewarn_asker"] = found
    who: Principal | None = request.scope["forewarn_asker"]
    if who and who.teams:
        refuse(request.url.path)
    return who


async def seen_by(request: Request) -> Engine:
    """The engine, as whoever asks may see it."""
    who, path = await asker(request), request.url.path
    if who is None or not who.teams or path in OWN:
        return engine_of(request)
    return cast(Engine, TeamView(engine_of(request), who.teams))


EngineDep = Annotated[Engine, Depends(seen_by)]


class Needs:
    """Dependency of every API route that changes something: a bearer token with this role.

    A token that is limited to some rooms of the API opens only routes that carry one of their tags.
    """

    def __init__(self, role: Role) -> None:
        self.role = role

    async def __call__(
        self,
        request: Request,
        credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)] = None,
    ) -> Principal:
        found = await asker(request) if credentials else None
        if found is None:
            told = "this token is not known" if credentials else "this changes something and needs a token"
            raise HTTPException(401, f"{told}; send `Authorization: Bearer fw_...`", _challenge())
        _within(request, found)
        if not found.may(self.role):
            raise HTTPException(403, f"this needs the role {self.role}; {found.name} is {found.role}")
        return found


async def reader(
    request: Request,
    _credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)] = None,
) -> Principal | None:
    """Dependency of every API route that only reads: open on loopback, else a token or a console session."""
    found = await asker(request)
    if engine_of(request).config.web.open:
        return None
    if found is None:
        raise HTTPException(401, "reading needs a token where others can reach the port", _challenge())
    _within(request, found)
    return found


def _within(request: Request, who: Principal) -> None:
    """Raises 403 for a room that the token was not made for."""
    if who.scopes and not who.scopes & set(request.scope["route"].tags):
        rooms = ", ".join(sorted(who.scopes))
        raise HTTPException(403, f"this token was made for {rooms} only")


def _challenge() -> dict[str, Any]:
    return {"WWW-Authenticate": 'Bearer realm="forewarn"'}


Writer = Annotated[Principal, Depends(Needs(Role.RESPONDER))]
Author = Annotated[Principal, Depends(Needs(Role.AUTHOR))]
Admin = Annotated[Principal, Depends(Needs(Role.ADMIN))]
