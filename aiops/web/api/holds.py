"""Holds: stop playbooks from acting, all of them or one, and let them again."""

from typing import Annotated

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, Field

from aiops.store import holds
from aiops.store.holds import Hold
from aiops.web import schemas
from aiops.web.errors import not_found, responses
from aiops.web.inputs import Ident, Words
from aiops.web.ports import Engine
from aiops.web.schema_base import Instant, MaybeInstant, Schema
from aiops.web.security import EngineDep, Writer

router = APIRouter(prefix="/holds", tags=["holds"])


class HoldIn(BaseModel):
    """What may not act until the hold is lifted."""

    playbook: str = Field("", max_length=64, description="One playbook; all when left out.")
    reason: Words = Field(min_length=1, max_length=1000, examples=["failing over by hand"])


class HoldOut(Schema):
    """Nothing new begins, and a run under way stops before its next step."""

    id: int
    playbook: str = Field(description="Empty: all.")
    reason: str
    made: Instant
    made_by: str
    lifted: MaybeInstant = Field(description="null: it holds")
    lifted_by: str


def _shown(one: Hold) -> HoldOut:
    return HoldOut.model_validate({name: getattr(one, name) for name in HoldOut.model_fields})


async def created(engine: Engine, playbook: str, reason: str, by: str) -> Hold:
    """Store it. Raises 422 for a playbook that is not there."""
    known = engine.playbooks()
    if playbook and playbook not in known:
        raise HTTPException(422, f"no playbook {playbook!r}; there are: {', '.join(sorted(known)) or 'none'}")
    values = {"playbook": playbook, "reason": reason, "by": by, "at": engine.clock.now()}
    return await engine.db.run(lambda conn: holds.create(conn, **values))  # type: ignore[arg-type]


@router.get("", summary="List holds", responses=responses(401))
async def listed(
    engine: EngineDep, lifted: Annotated[bool, Query(description="Also those that were lifted.")] = False
) -> schemas.Page[HoldOut]:
    """Those that hold, newest first."""
    return schemas.Page(items=[_shown(one) for one in await engine.db.read(holds.listed, lifted=lifted)])


@router.post("", status_code=201, summary="Hold remediation", responses=responses(401, 403, 422))
async def create(engine: EngineDep, who: Writer, body: HoldIn) -> HoldOut:
    """The kill switch: with no playbook named, nothing acts any more."""
    return _shown(await created(engine, body.playbook, body.reason, who.name))


@router.post("/{hold_id}/lift", summary="Lift a hold", responses=responses(401, 403, 404))
async def lift(engine: EngineDep, who: Writer, hold_id: Ident) -> HoldOut:
    """One that was lifted already stays as it is."""
    found = await engine.db.run(holds.lift, hold_id, by=who.name, at=engine.clock.now())
    if found is None:
        raise not_found("hold", hold_id)
    return _shown(found)
