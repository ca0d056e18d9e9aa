"""Who may see and do what in the console: the session cookie, its CSRF token, and the request's origin."""

import hmac
from typing import Annotated
from urllib.parse import quote, urlsplit

from fastapi import Depends, Form, HTTPException, Request

from aiops.model.role import Role
from aiops.store.tokens import Principal
from aiops.web.language import gettext as _
from aiops.web.security import by_session, engine_of, signer_of
from aiops.web.session import COOKIE


class SignInFirst(Exception):
    """Nobody is signed in, and the page needs it; `url` leads to the form and back."""

    def __init__(self, request: Request) -> None:
        path = request.url.path if request.method == "GET" else "/"
        self.url = f"/sign-in?next={quote(path)}"


async def visitor(request: Request) -> Principal | None:
    """Dependency of every page: open on loopback, else signed in."""
    found = await by_session(request)
    if found is None and not engine_of(request).config.web.open:
        raise SignInFirst(request)
    return found


def same_origin(request: Request) -> None:
    """Raises 403 for a form that another site sent."""
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise HTTPException(403, _("the form came from another site"))


def csrf_of(request: Request) -> str:
    """What the forms of this session carry."""
    return signer_of(request).csrf(request.cookies.get(COOKIE, ""))


class Acts:
    """Dependency of every action: same origin, signed in with this role, and the form's own CSRF token."""

    def __init__(self, role: Role) -> None:
        self.role = role

    async def __call__(self, request: Request, csrf: Annotated[str, Form()] = "") -> Principal:
        same_origin(request)
        found = await by_session(request)
        if found is None:
            raise SignInFirst(request)
        if not hmac.compare_digest(csrf.encode(), csrf_of(request).encode()):
            raise HTTPException(403, _("the form is out of date: load the page again"))
        if not found.may(self.role):
            needs = _("this needs the role %(role)s; %(name)s is %(has)s")
            words = {"role": _(self.role.value), "name": found.name, "has": _(found.role.value)}
            raise HTTPException(403, needs % words)
        return found


Visitor = Annotated[Principal | None, Depends(visitor)]
Anybody = Annotated[Principal, Depends(Acts(Role.VIEWER))]
Actor = Annotated[Principal, Depends(Acts(Role.RESPONDER))]
Author = Annotated[Principal, Depends(Acts(Role.AUTHOR))]
Admin = Annotated[Principal, Depends(Acts(Role.ADMIN))]
