"""The access page: accounts and tokens, an admin's to make and to end; and everybody's own password."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, HTTPException, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import TypeAdapter, ValidationError

from aiops.model.role import Role
from aiops.plugin.params import Duration
from aiops.store import accounts, tokens
from aiops.store.tokens import Principal
from aiops.web.api import access
from aiops.web.api.access import SCOPES, AccountChange, AccountIn, Teams, TokenIn, passwords_of
from aiops.web.console.access import Admin, Anybody, SignInFirst, Visitor
from aiops.web.console.render import renderer_of
from aiops.web.errors import not_found
from aiops.web.inputs import Ident, Words
from aiops.web.language import gettext as _
from aiops.web.ports import Engine
from aiops.web.security import EngineDep, session_of

router = APIRouter(prefix="/access")

Text = Annotated[Words, Form(max_length=200)]
_DURATION: TypeAdapter[float] = TypeAdapter(Duration)
_TEAMS: TypeAdapter[list[str]] = TypeAdapter(Teams)


def teams_in(text: str) -> list[str]:
    """``payments, web`` -> both, once each. Raises 422 for what is no team's name."""
    try:
        return _TEAMS.validate_python(list(dict.fromkeys(text.replace(",", " ").replace("，", " ").split())))
    except ValidationError as why:
        raise HTTPException(422, _("which teams? Such as payments, web; empty for all")) from why


@router.get("")
async def people(request: Request, engine: EngineDep, who: Visitor) -> Response:
    """Who may come in. Everybody sees the own part of it, an admin all."""
    if who is None:
        raise SignInFirst(request)
    return await _page(request, engine, who)


@router.post("/tokens")
async def token(
    request: Request,
    engine: EngineDep,
    who: Admin,
    name: Text = "",
    role: Annotated[Role, Form()] = Role.RESPONDER,
    duration: Text = "",
    scope: Annotated[list[str] | None, Form(max_length=20)] = None,
    teams: Text = "",
) -> Response:
    """Shown once, in the answer."""
    if not name.strip():
        raise HTTPException(422, _("a token needs a name"))
    theirs = teams_in(teams)
    try:
        lasts = _DURATION.validate_python(duration.strip()) if duration.strip() else None
        wish = TokenIn(name=name.strip(), role=role, scopes=scope or [], teams=theirs, duration=lasts)
    except ValidationError as why:
        raise HTTPException(422, _("for how long? Such as 8h, 30d; empty for good")) from why
    return await _page(request, engine, who, fresh=await access.made_token(engine, wish, who.name))


@router.post("/tokens/{token_id}/revoke")
async def revoke(engine: EngineDep, who: Admin, token_id: Ident) -> Response:
    """With the sessions that it opened."""
    if not await engine.db.run(tokens.revoke, token_id, engine.clock.now(), who.name):
        raise not_found("token", token_id)
    return RedirectResponse("/access", 303)


@router.post("/accounts")
async def join(
    request: Request,
    engine: EngineDep,
    who: Admin,
    name: Text = "",
    password: Text = "",
    role: Annotated[Role, Form()] = Role.VIEWER,
    teams: Text = "",
) -> Response:
    theirs = teams_in(teams)
    try:
        wish = AccountIn(name=name.strip(), role=role, password=password, teams=theirs)
    except ValidationError:
        return await _page(request, engine, who, 422, wrong=_unfit(), typed=name)
    try:
        await access.made_account(engine, passwords_of(request), wish, who.name)
    except HTTPException as why:
        return await _page(request, engine, who, why.status_code, wrong=why.detail, typed=name)
    return RedirectResponse("/access", 303)


def _unfit() -> str:
    return _("A name has no spaces (ana, ana@corp.example), a password at least 12 characters.")


@router.post("/accounts/{account_id}/role")
async def promote(
    request: Request, engine: EngineDep, who: Admin, account_id: Ident, role: Annotated[Role, Form()]
) -> Response:
    await access.changed_account(
        engine, passwords_of(request), account_id, AccountChange(role=role), who.name
    )
    return RedirectResponse("/access", 303)


@router.post("/accounts/{account_id}/teams")
async def belong(
    request: Request, engine: EngineDep, who: Admin, account_id: Ident, teams: Text = ""
) -> Response:
    """Whose it sees and acts on from the next request on; nothing named: all."""
    change = AccountChange(teams=teams_in(teams))
    await access.changed_account(engine, passwords_of(request), account_id, change, who.name)
    return RedirectResponse("/access", 303)


@router.post("/accounts/{account_id}/close")
async def close(engine: EngineDep, who: Admin, account_id: Ident) -> Response:
    """Its sessions end; what it did stays under its name."""
    if not await engine.db.run(accounts.close, account_id, engine.clock.now(), who.name):
        raise not_found("open account", account_id)
    return RedirectResponse("/access", 303)


@router.post("/password")
async def password(
    request: Request, engine: EngineDep, who: Anybody, old: Text = "", new: Text = ""
) -> Response:
    """One's own; every other session of the account ends."""
    row = await engine.db.read(accounts.by_name, who.name) if who.account_id else None
    attempts, now = request.app.state.attempts, engine.clock.now()
    address = request.client.host if request.client else ""
    if attempts.wait(who.name, address, now):
        return await _page(request, engine, who, 429, wrong=_("Too many attempts. Wait a while."))
    passwords = passwords_of(request)
    if row is None or not await passwords.right(row["password"], old):
        attempts.failed(who.name, address, now)
        return await _page(request, engine, who, 422, wrong=_("That is not the password of now."))
    try:
        stored = await passwords.hashed(new)
    except ValueError:
        return await _page(request, engine, who, 422, wrong=_unfit())
    signed = await session_of(request)
    mine = signed.id if signed else 0
    await engine.db.run(accounts.set_password, who.account_id, stored, now, who.name, mine)
    return RedirectResponse("/access", 303)


async def _page(request: Request, engine: Engine, who: Principal, status: int = 200, **more: Any) -> Response:
    request.scope["forewarn_page"] = "/access"
    admin = who.may(Role.ADMIN) and not who.teams
    context: dict[str, Any] = {
        "tokens": await engine.db.read(tokens.listed) if admin else [],
        "accounts": await engine.db.read(accounts.listed) if admin else [],
        "local": who.account_id != 0 and await engine.db.read(accounts.by_name, who.name) is not None,
        "roles": list(Role),
        "scopes": SCOPES,
        "admin": admin,
        "fresh": "",
        "wrong": "",
        "typed": "",
    }
    return await renderer_of(request).page(request, "access.html", who, status, **context | more)
