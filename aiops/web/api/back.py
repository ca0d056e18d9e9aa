"""What looks back and around: the audit trail, log patterns, topology; and the tokens."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import PlainTextResponse, Response
from pydantic import BaseModel, Field

from aiops.store import log_templates, tokens, trail
from aiops.web.api.paging import PagingDep, decode, encode
from aiops.web.api.problems import whole_problem
from aiops.web.console.markdown import problem_text
from aiops.web.errors import not_found, responses
from aiops.web.inputs import Ident, Words
from aiops.web.schema_base import Instant, MaybeInstant, Page, Schema
from aiops.web.schemas import TimelineEntry
from aiops.web.security import EngineDep, Writer

router = APIRouter()


class Markdown(PlainTextResponse):
    media_type = "text/markdown"


class TrailEntry(TimelineEntry):
    """One row of the audit trail."""

    id: int
    problem_id: int | None


class Pattern(Schema):
    """What log lines of one kind follow."""

    name: str = Field(description="As in the label `template` of alerts.")
    text: str = Field(examples=["connection to <*> refused"])
    level: str
    lines: int = Field(description="How many were seen.")
    first_seen: Instant
    last_seen: Instant


class CallOut(BaseModel):
    caller: str
    callee: str


class TokenOut(Schema):
    id: int
    name: str
    created: Instant
    last_used: MaybeInstant


class TokenIn(BaseModel):
    name: Words = Field(min_length=1, max_length=100, examples=["deploy job"])


class TokenMade(BaseModel):
    name: str
    token: str = Field(description="Shown only now.")


@router.get("/audit", tags=["operations"], summary="The audit trail", responses=responses(401, 422))
async def audit(
    engine: EngineDep,
    paging: PagingDep,
    entity: Annotated[Words, Query(max_length=16)] = "",
    actor: Annotated[Words, Query(max_length=300)] = "",
    text: Annotated[Words, Query(max_length=300, description="Part of the reason.")] = "",
) -> Page[TrailEntry]:
    """Everything that changed anything, the latest first."""
    narrow = trail.TrailFilter(entity, actor, text)
    rows = await engine.db.read(trail.page, narrow, paging.before, paging.limit + 1)
    return Page[TrailEntry].model_validate(paging.cut(rows))


@router.get("/patterns", tags=["alerts"], summary="Log patterns", responses=responses(401, 422))
async def patterns(
    engine: EngineDep,
    text: Annotated[Words, Query(max_length=300, description="Part of the pattern, or its name.")] = "",
    order: Annotated[str, Query(pattern="^(lines|newest|latest)$")] = "lines",
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    cursor: Annotated[str | None, Query(description="`next` of the page before.")] = None,
) -> Page[Pattern]:
    """The most frequent first, or the newest, or those seen last."""
    skip = 0 if cursor is None else decode(cursor)
    team = engine.config.team
    rows = await engine.db.read(log_templates.listed, text, order, skip, limit + 1, team)
    more = encode(skip + limit) if len(rows) > limit else None
    return Page(items=[Pattern.model_validate(row) for row in rows[:limit]], next=more)


@router.get("/topology", tags=["series"], summary="What calls what", responses=responses(401))
async def topology(engine: EngineDep) -> Page[CallOut]:
    """All calls that count now, declared and observed; cycles are possible."""
    links = engine.topology().links()
    return Page(items=[CallOut(caller=one, callee=other) for one, other in links])


@router.get(
    "/problems/{problem_id}/markdown",
    tags=["problems"],
    summary="One problem as Markdown",
    response_class=Markdown,
    responses=responses(401, 404),
)
async def markdown(engine: EngineDep, problem_id: Ident) -> Markdown:
    """For a chat or a review."""
    whole: dict[str, Any] | None = await engine.db.read(whole_problem, problem_id)
    if whole is None:
        raise not_found("problem", problem_id)
    url = f"http://{engine.config.web.listen}/problems/{problem_id}"
    text = problem_text(whole, engine.clock.now(), url)
    return Markdown(text)


@router.get("/tokens", tags=["configuration"], summary="List tokens", responses=responses(401))
async def listed(engine: EngineDep, who: Writer) -> Page[TokenOut]:
    """Without what would open a door."""
    rows = await engine.db.read(tokens.listed)
    return Page(items=[TokenOut.model_validate(row) for row in rows])


@router.post(
    "/tokens", status_code=201, tags=["configuration"], summary="Make a token", responses=responses(401, 422)
)
async def made(engine: EngineDep, who: Writer, body: TokenIn) -> TokenMade:
    """It is not shown again."""
    plain = await engine.db.run(tokens.create, body.name, engine.clock.now(), who.name)
    return TokenMade(name=body.name, token=plain)


@router.post(
    "/tokens/{token_id}/revoke",
    status_code=204,
    tags=["configuration"],
    summary="Revoke a token",
    responses=responses(401, 404),
)
async def revoke(engine: EngineDep, who: Writer, token_id: Ident) -> Response:
    """With the sessions that it opened."""
    if not await engine.db.run(tokens.revoke, token_id, engine.clock.now(), who.name):
        raise not_found("token", token_id)
    return Response(status_code=204)
