"""Who may see and do what in the console: the session cookie, its CSRF token, and the request's origin."""

import hmac
from typing import Annotated
from urllib.parse import quote, urlsplit

from fastapi import Depends, Form, HTTPException, Request

from aiops.store.tokens import Principal
from aiops.web.security import by_session, engine_of, is_loopback, session_of


class SignInFirst(Exception):
    """Nobody is signed in, and the page needs it; `url` leads to the form and back."""

    def __init__(self, request: Request) -> None:
        path = request.url.path if request.method == "GET" else "/"
        self.url = f"/sign-in?next={quote(path)}"


async def visitor(request: Request) -> Principal | None:
    """Dependency of every page: open on loopback, else signed in."""
    found = await by_session(request)
    if found is None and not is_loopback(engine_of(request).config.web.host):
        raise SignInFirst(request)
    return found


def same_origin(request: Request) -> None:
    """Raises 403 for a form that another site sent."""
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise HTTPException(403, "the form came from another site")


async def actor(request: Request, csrf: Annotated[str, Form()] = "") -> Principal:
    """Dependency of every action: same origin, signed in, and the form's own CSRF token."""
    same_origin(request)
    session, found = session_of(request), await by_session(request)
    if session is None or found is None:
        raise SignInFirst(request)
    if not hmac.compare_digest(csrf.encode(), session.csrf.encode()):
        raise HTTPException(403, "the form is out of date: load the page again")
    return found


Visitor = Annotated[Principal | None, Depends(visitor)]
Actor = Annotated[Principal, Depends(actor)]
