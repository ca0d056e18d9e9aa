"""Silences: list, create, end early."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, Field

from aiops.core.silence import EVERYBODY
from aiops.plugin.params import Duration
from aiops.store import silences
from aiops.store.silences import Silence
from aiops.web import schemas
from aiops.web.errors import not_found, responses
from aiops.web.inputs import Ident, Words
from aiops.web.ports import Engine
from aiops.web.security import EngineDep, Writer
from aiops.web.teams import teams_of

router = APIRouter(prefix="/silences", tags=["silences"])


class SilenceIn(BaseModel):
    """What to hold back. Give either `ends` or `duration`; with neither it holds until somebody ends it."""

    match: Words = Field(
        min_length=2, max_length=2000, description="A selector.", examples=['{service="checkout"}']
    )
    reason: Words = Field(min_length=1, max_length=1000, examples=["database migration"])
    starts: datetime | None = Field(None, description="At once when left out.")
    ends: datetime | None = None
    duration: Duration | None = Field(None, examples=["2h"])
    team: Words = Field(
        "", max_length=100, description="Whose alerts; everybody's, or one's own, when left out."
    )


def as_schema(one: Silence, now: float) -> dict[str, Any]:
    """Its fields, and its ``state`` at `now` (epoch s)."""
    names = ("id", "match", "starts", "ends", "reason", "created_by", "created")
    return {name: getattr(one, name) for name in names} | {"state": one.state(now)}


async def created(engine: Engine, wish: SilenceIn, by: str) -> Silence:
    """Store it. Raises `SelectorError`, and 422 for times that make no sense."""
    now = engine.clock.now()
    starts = _epoch(wish.starts) if wish.starts else now
    if wish.ends is not None and wish.duration is not None:
        raise HTTPException(422, "give either ends or duration")
    ends = _epoch(wish.ends) if wish.ends else starts + wish.duration if wish.duration else None
    values = {"match": wish.match, "starts": starts, "ends": ends, "reason": wish.reason, "by": by, "at": now}
    values["team"] = _team(teams_of(engine), wish.team)
    try:
        return await engine.db.run(lambda conn: silences.create(conn, **values))  # type: ignore[arg-type]
    except ValueError as why:
        raise HTTPException(422, str(why)) from why


def _team(theirs: frozenset[str], wished: str) -> str:
    """Whose alerts it holds back. Raises 422 when that is not theirs to say, or not said."""
    if not theirs:
        return wished or EVERYBODY
    if wished in theirs or (not wished and len(theirs) == 1):
        return wished or min(theirs)
    raise HTTPException(422, f"name the team whose alerts it holds back: {', '.join(sorted(theirs))}")


def _epoch(moment: datetime) -> float:
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


@router.get("", summary="List silences", responses=responses(401))
async def listed(
    engine: EngineDep,
    expired: Annotated[bool, Query(description="Also those that have ended.")] = False,
) -> schemas.Page[schemas.SilenceOut]:
    """Those made here; silences in the config file stand in `/api/v1/config`."""
    now = engine.clock.now()
    found = await engine.db.read(silences.listed, now, expired=expired)
    return schemas.Page(items=[schemas.SilenceOut.model_validate(as_schema(one, now)) for one in found])


@router.post("", status_code=201, summary="Create a silence", responses=responses(401, 403, 422))
async def create(engine: EngineDep, who: Writer, body: SilenceIn) -> schemas.SilenceOut:
    """Alerts that match are kept, and become no problem while it holds."""
    made = await created(engine, body, who.name)
    return schemas.SilenceOut.model_validate(as_schema(made, engine.clock.now()))


@router.post("/{silence_id}/expire", summary="End a silence now", responses=responses(401, 403, 404))
async def expire(engine: EngineDep, who: Writer, silence_id: Ident) -> schemas.SilenceOut:
    """One that has ended already stays as it is."""
    now = engine.clock.now()
    found = await engine.db.run(silences.expire, silence_id, by=who.name, at=now)
    if found is None:
        raise not_found("silence", silence_id)
    return schemas.SilenceOut.model_validate(as_schema(found, now))
