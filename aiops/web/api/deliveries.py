"""Deliveries: the outbox, its attempts, and the replay of dead letters."""

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, Field
from sqlalchemy.engine import Connection

from aiops.model.lifecycle import DeliveryState
from aiops.store import outbox, views
from aiops.store.tables import delivery as delivery_table
from aiops.web import schemas
from aiops.web.api.paging import PagingDep
from aiops.web.errors import not_found, responses
from aiops.web.inputs import LARGEST, Ident, Words
from aiops.web.ports import Engine
from aiops.web.security import EngineDep, Writer

router = APIRouter(prefix="/deliveries", tags=["deliveries"])


@router.get("", summary="List deliveries", responses=responses(401, 422))
async def listed(
    engine: EngineDep,
    paging: PagingDep,
    state: DeliveryState | None = None,
    sink: Annotated[Words, Query(max_length=128)] = "",
    problem: Annotated[int | None, Query(ge=1, le=LARGEST, description="Of this problem.")] = None,
) -> schemas.Page[schemas.Delivery]:
    """Newest first, narrowed by every filter given."""
    narrow = views.DeliveryFilter(state or "", sink, problem)
    rows = await engine.db.read(views.deliveries, narrow, paging.before, paging.limit + 1)
    return schemas.Page[schemas.Delivery].model_validate(paging.cut(rows))


@router.get("/{delivery_id}", summary="One delivery with its attempts", responses=responses(401, 404))
async def got(engine: EngineDep, delivery_id: Ident) -> schemas.DeliveryDetail:
    """What it carries, and every try with its error."""
    row = await engine.db.read(whole_delivery, delivery_id)
    if row is None:
        raise not_found("delivery", delivery_id)
    return schemas.DeliveryDetail.model_validate(row)


def whole_delivery(conn: Connection, delivery_id: int) -> dict[str, Any] | None:
    """The delivery's row with its attempts as ``tries``."""
    row = views.get(conn, delivery_table, delivery_id)
    return row and row | {"tries": views.attempts_of(conn, delivery_id)}


async def replayed(engine: Engine, delivery_id: int, by: str) -> dict[str, Any]:
    """Revive a dead letter. Raises 404, 409 when later news went out, `IllegalTransition` when not dead."""
    try:
        await engine.db.run(outbox.replay, delivery_id, engine.clock.now(), by)
    except LookupError as why:
        raise not_found("delivery", delivery_id) from why
    except outbox.Overtaken as why:
        raise HTTPException(409, str(why)) from why
    engine.outbox_wake.set()
    return await engine.db.read(whole_delivery, delivery_id) or {}


class ReplayIn(BaseModel):
    """Which dead letters."""

    sink: Words = Field("", max_length=128, description="Those to this sink; left out: all.")


class ReplayOut(BaseModel):
    """What came of them."""

    revived: int = Field(description="Due at once, under the same message ids.")
    overtaken: int = Field(description="Left dead: later news of their problem was sent already.")


async def replayed_all(engine: Engine, sink: str, by: str) -> ReplayOut:
    """Revive the dead letters of `sink`, of all sinks when empty. Raises 404 for a sink there is not."""
    if sink and sink not in {one.name for one in engine.config.sinks}:
        raise not_found("sink", sink)
    found, last = ReplayOut(revived=0, overtaken=0), 0
    while some := await engine.db.run(outbox.replay_some, sink, last, engine.clock.now(), by):
        last = some.last
        found.revived += some.revived
        found.overtaken += some.overtaken
    engine.outbox_wake.set()
    return found


@router.post("/replay", summary="Send all dead letters again", responses=responses(401, 403, 404, 422))
async def replay_all(engine: EngineDep, who: Writer, body: ReplayIn) -> ReplayOut:
    """Those of one sink, or of all; each stands in the audit trail."""
    return await replayed_all(engine, body.sink, who.name)


@router.post(
    "/{delivery_id}/replay", summary="Send a dead letter again", responses=responses(401, 403, 404, 409)
)
async def replay(engine: EngineDep, who: Writer, delivery_id: Ident) -> schemas.DeliveryDetail:
    """Due at once, under the same message id."""
    return schemas.DeliveryDetail.model_validate(await replayed(engine, delivery_id, who.name))
