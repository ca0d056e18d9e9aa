"""Who may come in: tokens and accounts. Both are an admin's to make and to end."""

from typing import Annotated

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field, StringConstraints

from aiops.model.role import Role
from aiops.plugin.params import Duration
from aiops.store import accounts, tokens
from aiops.web.errors import not_found, responses
from aiops.web.inputs import Ident, Words
from aiops.web.passwords import LEAST, MOST, Passwords
from aiops.web.ports import Engine
from aiops.web.schema_base import Instant, MaybeInstant, Page, Schema
from aiops.web.security import Admin, EngineDep

router = APIRouter(tags=["access"])

SCOPES = (
    "problems",
    "alerts",
    "series",
    "runs",
    "holds",
    "deliveries",
    "silences",
    "configuration",
    "events",
    "operations",
    "access",
)
"""Rooms of the API that a token can be limited to: the tags of its routes."""
LONGEST = 10 * 365 * 86400.0
"""Seconds that a token may be good for."""
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}$")]

Team = Annotated[str, StringConstraints(pattern=r"^[^\s*]{1,100}$")]
Teams = Annotated[list[Team], Field(max_length=20)]


class TokenOut(Schema):
    id: int
    name: str
    role: Role
    scopes: list[str] = Field(description="Rooms of the API that it is limited to; empty: all.")
    teams: list[str] = Field(description="Teams whose it sees and acts on; empty: all.")
    created: Instant
    made_by: str
    expires: MaybeInstant = Field(description="null: never")
    last_used: MaybeInstant


class TokenIn(BaseModel):
    """What a new token may do, and for how long."""

    name: Words = Field(min_length=1, max_length=100, examples=["deploy job"])
    role: Role = Role.RESPONDER
    scopes: list[str] = Field([], max_length=len(SCOPES), examples=[["silences"]])
    teams: Teams = Field(
        [], description="Teams whose it sees and acts on; none: all.", examples=[["payments"]]
    )
    duration: Duration | None = Field(None, description="How long it is good; for good when left out.")


class TokenMade(BaseModel):
    name: str
    token: str = Field(description="Shown only now.")


class AccountOut(Schema):
    id: int
    name: str
    role: Role
    teams: list[str] = Field(description="Teams whose it sees and acts on; empty: all.")
    issuer: str = Field(description="The OpenID provider that vouches for it; empty: a local account.")
    made: Instant
    last_in: MaybeInstant
    closed: MaybeInstant


class AccountIn(BaseModel):
    """A person who signs in with a password."""

    name: Name = Field(examples=["ana"])
    role: Role = Role.VIEWER
    teams: Teams = []
    password: str = Field(min_length=LEAST, max_length=MOST)


class AccountChange(BaseModel):
    """What is left out stays."""

    role: Role | None = None
    teams: Teams | None = None
    password: str | None = Field(None, min_length=LEAST, max_length=MOST)


async def made_token(engine: Engine, wish: TokenIn, by: str) -> str:
    """The new token in plain text. Raises 422 for what makes no sense."""
    if strange := set(wish.scopes) - set(SCOPES):
        known = ", ".join(SCOPES)
        raise HTTPException(422, f"no such scope: {', '.join(sorted(strange))}; there are: {known}")
    if wish.duration is not None and not 0 < wish.duration <= LONGEST:
        raise HTTPException(422, "a token is good for a while ahead, ten years at most")
    now = engine.clock.now()
    ends = now + wish.duration if wish.duration is not None else None
    return await engine.db.run(tokens.create, wish.name, now, by, wish.role, wish.scopes, ends, wish.teams)


async def made_account(engine: Engine, passwords: Passwords, wish: AccountIn, by: str) -> int:
    """The new account's number. Raises 409 when the name is taken."""
    stored = await passwords.hashed(wish.password)
    try:
        now = engine.clock.now()
        return await engine.db.run(accounts.create, wish.name, wish.role, stored, now, by, wish.teams)
    except accounts.NameTaken as why:
        raise HTTPException(409, str(why)) from why


async def changed_account(
    engine: Engine, passwords: Passwords, ident: int, wish: AccountChange, by: str
) -> None:
    """Raises 404; 409 for a password of somebody who signs in elsewhere."""
    now = engine.clock.now()
    if wish.role is not None and not await engine.db.run(accounts.set_role, ident, wish.role, now, by):
        raise not_found("account", ident)
    if wish.teams is not None and not await engine.db.run(accounts.set_teams, ident, wish.teams, now, by):
        raise not_found("account", ident)
    if wish.password is not None:
        stored = await passwords.hashed(wish.password)
        if not await engine.db.run(accounts.set_password, ident, stored, now, by):
            raise HTTPException(409, f"there is no local account {ident}")


def passwords_of(request: Request) -> Passwords:
    """The app's one hasher."""
    passwords: Passwords = request.app.state.passwords
    return passwords


@router.get("/tokens", summary="List tokens", responses=responses(401, 403))
async def listed(engine: EngineDep, who: Admin) -> Page[TokenOut]:
    """Without what would open a door."""
    rows = await engine.db.read(tokens.listed)
    return Page(items=[TokenOut.model_validate(row) for row in rows])


@router.post("/tokens", status_code=201, summary="Make a token", responses=responses(401, 403, 422))
async def made(engine: EngineDep, who: Admin, body: TokenIn) -> TokenMade:
    """It is not shown again."""
    return TokenMade(name=body.name, token=await made_token(engine, body, who.name))


@router.post(
    "/tokens/{token_id}/revoke", status_code=204, summary="Revoke a token", responses=responses(401, 403, 404)
)
async def revoke(engine: EngineDep, who: Admin, token_id: Ident) -> Response:
    """With the sessions that it opened."""
    if not await engine.db.run(tokens.revoke, token_id, engine.clock.now(), who.name):
        raise not_found("token", token_id)
    return Response(status_code=204)


@router.get("/accounts", summary="List accounts", responses=responses(401, 403))
async def people(engine: EngineDep, who: Admin) -> Page[AccountOut]:
    """By name, those that were closed too."""
    rows = await engine.db.read(accounts.listed)
    return Page(items=[AccountOut.model_validate(row) for row in rows])


@router.post("/accounts", status_code=201, summary="Make an account", responses=responses(401, 403, 409, 422))
async def join(request: Request, engine: EngineDep, who: Admin, body: AccountIn) -> AccountOut:
    """A local one; those of an OpenID provider make themselves when they first sign in."""
    ident = await made_account(engine, passwords_of(request), body, who.name)
    return await _account(engine, ident)


@router.post(
    "/accounts/{account_id}", summary="Change an account", responses=responses(401, 403, 404, 409, 422)
)
async def change(
    request: Request, engine: EngineDep, who: Admin, account_id: Ident, body: AccountChange
) -> AccountOut:
    """A new password ends its sessions."""
    await changed_account(engine, passwords_of(request), account_id, body, who.name)
    return await _account(engine, account_id)


@router.post(
    "/accounts/{account_id}/close",
    status_code=204,
    summary="Close an account",
    responses=responses(401, 403, 404),
)
async def close(engine: EngineDep, who: Admin, account_id: Ident) -> Response:
    """Its sessions end; what it did stays under its name."""
    if not await engine.db.run(accounts.close, account_id, engine.clock.now(), who.name):
        raise not_found("open account", account_id)
    return Response(status_code=204)


async def _account(engine: Engine, ident: int) -> AccountOut:
    for row in await engine.db.read(accounts.listed):
        if row["id"] == ident:
            return AccountOut.model_validate(row)
    raise not_found("account", ident)
