"""Signing in with a token, once a shift."""

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response

from aiops.web.console.access import Actor, same_origin
from aiops.web.console.render import renderer_of
from aiops.web.security import EngineDep, by_token, sessions_of
from aiops.web.session import COOKIE, LIFETIME

router = APIRouter()


def inside(target: str) -> str:
    """A path of this console, whatever a link asked for: never another site."""
    ok = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
    return target if ok else "/"


@router.get("/sign-in")
async def form(request: Request, next: Annotated[str, Query(max_length=500)] = "/") -> Response:
    return renderer_of(request).bare("signin.html", {"next": inside(next), "wrong": ""})


@router.post("/sign-in")
async def sign_in(
    request: Request,
    engine: EngineDep,
    token: Annotated[str, Form(max_length=200)] = "",
    next: Annotated[str, Form(max_length=500)] = "/",
) -> Response:
    """The session cookie for a good token; the form again for any other."""
    same_origin(request)
    found = await by_token(engine, token.strip())
    if found is None:
        wrong = "This token is not known. It begins with fw_ and was shown once, when it was made."
        return renderer_of(request).bare("signin.html", {"next": inside(next), "wrong": wrong}, 401)
    answer = RedirectResponse(inside(next), 303)
    answer.set_cookie(
        COOKIE,
        sessions_of(request).open(found.token_id, engine.clock.now()),
        max_age=int(LIFETIME),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return answer


@router.post("/sign-out")
async def sign_out(who: Actor) -> Response:
    answer = RedirectResponse("/", 303)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return answer
