"""Signing in through OpenID Connect, and the switches of language and times: what only sends people on."""

from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import RedirectResponse, Response

from aiops.store import accounts, sessions
from aiops.web import language, oidc, times
from aiops.web.console.render import renderer_of
from aiops.web.console.signin import inside, is_secure, shown, signed_in
from aiops.web.errors import not_found
from aiops.web.language import gettext
from aiops.web.ports import Engine
from aiops.web.security import EngineDep, signer_of

router = APIRouter()

STATE = "forewarn_oidc"
PATIENCE = 600.0
"""Seconds that somebody may take at the provider."""
YEAR = 365 * 86400
Text = Annotated[str, Query(max_length=4000)]


@router.get("/sign-in/single")
async def go(request: Request, engine: EngineDep, next: Text = "/") -> Response:
    """To the provider; what comes back is known again by a signed cookie."""
    settings = engine.config.web.oidc
    if settings is None:
        raise not_found("single sign-on", "here")
    try:
        begun = await oidc.begin(settings, back_of(request))
    except oidc.Failed as why:
        return await shown(request, inside(next), str(why), 502)
    answer = RedirectResponse(begun.url, 303)
    values = {"state": begun.state, "verifier": begun.verifier, "nonce": begun.nonce, "next": inside(next)}
    sealed = signer_of(request).seal("oidc", values, engine.clock.now() + PATIENCE)
    # lax: the way back begins on the provider's site
    answer.set_cookie(
        STATE, sealed, max_age=int(PATIENCE), httponly=True, samesite="lax", secure=is_secure(request)
    )
    return answer


def back_of(request: Request) -> str:
    """The address that the provider sends people back to."""
    engine: Engine = request.app.state.engine
    return f"{engine.config.web.url or str(request.base_url).rstrip('/')}/sign-in/single/back"


@router.get("/sign-in/single/back")
async def back(
    request: Request, engine: EngineDep, code: Text = "", state: Text = "", error: Text = ""
) -> Response:
    """The session of who the provider vouches for, with the role that the groups give."""
    settings = engine.config.web.oidc
    if settings is None:
        raise not_found("single sign-on", "here")
    kept = signer_of(request).unseal("oidc", request.cookies.get(STATE, ""), engine.clock.now())
    if kept is None or kept["state"] != state:
        return await shown(request, "/", oidc.STRANGE, 400)
    try:
        if error or not code:
            raise oidc.Failed(oidc.REFUSED)
        who = await oidc.end(settings, back_of(request), code, kept["verifier"], kept["nonce"])
        role = settings.role_of(who.groups)
        if role is None:
            raise oidc.Failed(oidc.NO_ROLE)
        teams = settings.teams_of(who.groups)
        if settings.teams and teams is None:
            raise oidc.Failed(oidc.NO_TEAM)
        now = engine.clock.now()
        ident = await engine.db.run(accounts.enter, settings.issuer, who.subject, who.name, role, now, teams)
        if ident is None:
            raise oidc.Failed(oidc.CLOSED)
    except (oidc.Failed, accounts.NameTaken) as why:
        answer = await shown(request, kept["next"], str(why), 403)
        answer.delete_cookie(STATE)
        return answer
    cookie = await engine.db.run(sessions.start, now, 0, ident)
    # not a redirect: a strict cookie is not sent along a way that began on another site
    answer = renderer_of(request).bare(request, "welcome.html", {"next": kept["next"], "name": who.name})
    answer.delete_cookie(STATE)
    return signed_in(request, answer, cookie)


@router.get("/language/{code}")
async def speak(request: Request, code: str, next: Text = "/") -> Response:
    """Remember the language, and go back to the page."""
    if code not in language.LANGUAGES:
        raise not_found("language", code)
    return _remembering(request, language.COOKIE, code, next)


@router.get("/times")
async def tell(
    request: Request,
    style: Annotated[str, Query(pattern="^(relative|absolute)$")] = "relative",
    zone: Annotated[str, Query(max_length=64)] = "",
    next: Text = "/",
) -> Response:
    """Remember how times are shown, and go back to the page. No `zone`: the browser's."""
    name = zone.strip()
    if name and times.zone_named(name) is None:
        raise HTTPException(
            422, gettext("There is no time zone %(name)s; such as Asia/Shanghai.") % {"name": name}
        )
    return _remembering(request, times.CHOSEN, f"{style}@{name}", next)


def _remembering(request: Request, cookie: str, value: str, next: str) -> Response:
    """Back to the page, with a choice that lasts a year."""
    answer = RedirectResponse(inside(next), 303)
    answer.set_cookie(cookie, value, max_age=YEAR, httponly=True, samesite="lax", secure=is_secure(request))
    return answer
