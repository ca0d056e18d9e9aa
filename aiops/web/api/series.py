"""Series: search, readiness, recent points with their band."""

from typing import Annotated, cast

from fastapi import APIRouter, Query, Request

from aiops.web import points, schemas
from aiops.web.api.paging import PagingDep, encode
from aiops.web.errors import not_found, responses
from aiops.web.security import EngineDep, engine_of
from aiops.web.series import Finder
from aiops.web.teams import TeamFinder

router = APIRouter(prefix="/series", tags=["series"])


def finder_of(request: Request) -> Finder:
    """The app's one `Finder`, or what whoever asks may find by it."""
    finder: Finder = request.app.state.finder
    who = request.scope.get("forewarn_asker")
    return cast(Finder, TeamFinder(finder, engine_of(request), who.teams)) if who and who.teams else finder


@router.get("", summary="Search series", responses=responses(401, 422))
async def listed(
    request: Request,
    paging: PagingDep,
    match: Annotated[
        str,
        Query(
            max_length=1000,
            description='A selector such as `up{job="api"}`, or words that must all occur.',
            examples=['node_load1{instance="web-1"}'],
        ),
    ] = "",
) -> schemas.Page[schemas.SeriesOut]:
    """In the order in which they were first seen."""
    found, more = finder_of(request).search(match, paging.before or 0, paging.limit)
    items = [schemas.SeriesOut.model_validate(one) for one in found]
    return schemas.Page(items=items, next=None if more is None else encode(more))


@router.get("/{series_id}", summary="One series", responses=responses(401, 404))
async def got(request: Request, series_id: str) -> schemas.SeriesOut:
    found = await finder_of(request).get(series_id)
    if found is None:
        raise not_found("series", series_id)
    return schemas.SeriesOut.model_validate(found)


@router.get(
    "/{series_id}/points", summary="Recent points with the expected band", responses=responses(401, 404)
)
async def points_of(engine: EngineDep, request: Request, series_id: str) -> schemas.Points:
    """What the engine still holds in memory."""
    found = await finder_of(request).get(series_id)
    if found is None:
        raise not_found("series", series_id)
    ring = points.joined(points.empty(), points.recent(engine, found.labels))
    return schemas.Points.model_validate(points.as_lists(ring))
