"""Signing in, once a shift: with a password or with a token. OpenID Connect is in `single`."""

import math
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response

from aiops.store import accounts, sessions
from aiops.web.attempts import Attempts
from aiops.web.console.access import Anybody, same_origin
from aiops.web.console.render import renderer_of
from aiops.web.language import noted
from aiops.web.passwords import Passwords
from aiops.web.ports import Engine
from aiops.web.security import EngineDep, by_token, engine_of, session_of
from aiops.web.session import COOKIE

router = APIRouter()

NO_TOKEN = noted("This token is not known. It begins with fw_ and was shown once, when it was made.")
NO_ACCOUNT = noted("Name and password do not fit together.")
LIMITED = noted("This token is limited to parts of the API; it does not sign in.")


def inside(target: str) -> str:
    """A path of this console, whatever a link asked for: never another site."""
    ok = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
    return target if ok else "/"


@router.get("/sign-in")
async def form(request: Request, next: Annotated[str, Query(max_length=500)] = "/") -> Response:
    return await shown(request, inside(next))


async def shown(
    request: Request, next: str, wrong: str = "", status: int = 200, name: str = "", wait: float = 0.0
) -> Response:
    """The form, with what was wrong."""
    engine = engine_of(request)
    oidc = engine.config.web.oidc
    context: dict[str, Any] = {
        "next": next,
        "wrong": wrong,
        "name": name,
        "wait": wait,
        "open": engine.config.web.open,
        "single": oidc.name if oidc else "",
        "people": any(one["closed"] is None for one in await engine.db.read(accounts.listed)),
    }
    answer = renderer_of(request).bare(request, "signin.html", context, status)
    if wait:
        answer.headers["Retry-After"] = str(math.ceil(wait))
    return answer


@router.post("/sign-in")
async def sign_in(
    request: Request,
    engine: EngineDep,
    token: Annotated[str, Form(max_length=200)] = "",
    name: Annotated[str, Form(max_length=100)] = "",
    password: Annotated[str, Form(max_length=200)] = "",
    next: Annotated[str, Form(max_length=500)] = "/",
) -> Response:
    """The session cookie for who is known; the form again for anybody else, after a wait if it goes on."""
    same_origin(request)
    name = name.strip()
    attempts: Attempts = request.app.state.attempts
    address, now = request.client.host if request.client else "", engine.clock.now()
    if wait := attempts.wait(name, address, now):
        return await shown(request, inside(next), "too many", 429, name, wait)
    if token.strip():
        opened, wrong = await _with_token(engine, token.strip())
    else:
        opened, wrong = await _with_password(engine, request.app.state.passwords, name, password)
    if not opened:
        attempts.failed(name, address, now)
        return await shown(request, inside(next), wrong, 401, name)
    attempts.passed(name, address)
    return signed_in(request, RedirectResponse(inside(next), 303), opened)


async def _with_token(engine: Engine, plain: str) -> tuple[str, str]:
    """(cookie, what was wrong): one of them is empty."""
    found = await by_token(engine, plain)
    if found is None or found.scopes:
        return "", LIMITED if found else NO_TOKEN
    return await engine.db.run(sessions.start, engine.clock.now(), found.token_id), ""


async def _with_password(engine: Engine, passwords: Passwords, name: str, given: str) -> tuple[str, str]:
    row = await engine.db.read(accounts.by_name, name) if name else None
    if not await passwords.right(row["password"] if row else "", given) or row is None:
        return "", NO_ACCOUNT if name else NO_TOKEN
    return await engine.db.run(sessions.start, engine.clock.now(), 0, row["id"]), ""


def signed_in(request: Request, answer: Response, cookie: str) -> Response:
    """`answer`, with the session's cookie."""
    answer.set_cookie(
        COOKIE,
        cookie,
        max_age=int(sessions.LIFETIME),
        httponly=True,
        samesite="strict",
        secure=is_secure(request),
    )
    return answer


def is_secure(request: Request) -> bool:
    """Whether people reach this through TLS, here or at the proxy before it."""
    return request.url.scheme == "https" or engine_of(request).config.web.url.startswith("https://")


@router.post("/sign-out")
async def sign_out(request: Request, engine: EngineDep, who: Anybody) -> Response:
    """The session ends here, not only in the browser."""
    signed = await session_of(request)
    if signed:
        await engine.db.run(sessions.end, signed.id)
    answer = RedirectResponse("/", 303)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=is_secure(request))
    return answer
