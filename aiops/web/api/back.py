"""What looks back and around: the audit trail, log patterns, topology."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, Field

from aiops.model.series import fingerprint
from aiops.store import log_templates, trail
from aiops.web.api.paging import PagingDep, decode, encode
from aiops.web.api.problems import whole_problem
from aiops.web.console.markdown import problem_text
from aiops.web.errors import not_found, responses
from aiops.web.inputs import LARGEST, Ident, Words
from aiops.web.patterns import whole_pattern
from aiops.web.schema_base import Instant, Page, Schema
from aiops.web.schemas import TimelineEntry
from aiops.web.security import EngineDep

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


class PatternAlert(Schema):
    """An alert about a pattern, or that shows lines of it."""

    id: int
    problem_id: int | None
    rule: str
    state: str
    started: Instant
    before: int | None = Field(description="Lines before it began, in a time as long as `after`'s.")
    after: int | None = Field(description="Lines from its beginning on, as far as points are kept.")


class PatternDetail(Pattern):
    """A pattern with its evidence."""

    lines_shown: list[str] = Field(description="Examples, without secrets.")
    series: list[str] = Field(description="Series of its rate, a stream each: `/series/{id}/points`.")
    alerts: list[PatternAlert]


class CallOut(BaseModel):
    caller: str
    callee: str


@router.get("/audit", tags=["operations"], summary="The audit trail", responses=responses(401, 422))
async def audit(
    engine: EngineDep,
    paging: PagingDep,
    entity: Annotated[Words, Query(max_length=16)] = "",
    actor: Annotated[Words, Query(max_length=300)] = "",
    text: Annotated[Words, Query(max_length=300, description="Part of the reason.")] = "",
    problem: Annotated[int | None, Query(ge=1, le=LARGEST, description="Of this problem.")] = None,
) -> Page[TrailEntry]:
    """Everything that changed anything, the latest first."""
    narrow = trail.TrailFilter(entity, actor, text, problem)
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


@router.get(
    "/patterns/{name}", tags=["alerts"], summary="One log pattern", responses=responses(401, 404, 422)
)
async def pattern(engine: EngineDep, name: Annotated[Words, Path(max_length=64)]) -> PatternDetail:
    """Lines of it, the series of its rate, and what it took part in."""
    whole = await whole_pattern(engine, name)
    if whole is None:
        raise not_found("pattern", name)
    series = [fingerprint(labels) for labels in whole["series"]]
    return PatternDetail.model_validate(whole | {"series": series})


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
    url = f"{engine.config.web.address}/problems/{problem_id}"
    text = problem_text(whole, engine.clock.now(), url)
    return Markdown(text)
