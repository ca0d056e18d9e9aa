"""Runs of playbooks: what was planned, done and found; approvals."""

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, Field
from sqlalchemy.engine import Connection

from aiops.model.lifecycle import RunState, check
from aiops.model.role import Role
from aiops.store import approvals, runs, views
from aiops.store.approvals import Approver
from aiops.store.tables import run as run_table
from aiops.store.tokens import Principal
from aiops.web import schemas
from aiops.web.api.paging import PagingDep
from aiops.web.errors import not_found, responses
from aiops.web.inputs import LARGEST, Ident, Words
from aiops.web.ports import Engine
from aiops.web.security import EngineDep, Writer

router = APIRouter(prefix="/runs", tags=["runs"])


class Refusal(BaseModel):
    """Why the run is not wanted."""

    note: Words = Field("", max_length=10_000, examples=["not during the migration"])


@router.get("", summary="List runs", responses=responses(401, 422))
async def listed(
    engine: EngineDep,
    paging: PagingDep,
    state: Annotated[list[RunState] | None, Query(description="Any of these.")] = None,
    problem: Annotated[int | None, Query(ge=1, le=LARGEST, description="Of this problem.")] = None,
    playbook: Annotated[Words, Query(max_length=128)] = "",
) -> schemas.Page[schemas.Run]:
    """Newest first, narrowed by every filter given."""
    narrow = views.RunFilter(tuple(state or ()), problem, playbook)
    rows = await engine.db.read(views.runs, narrow, paging.before, paging.limit + 1)
    return schemas.Page[schemas.Run].model_validate(paging.cut(rows))


@router.get("/{run_id}", summary="One run with its steps", responses=responses(401, 404))
async def got(engine: EngineDep, run_id: Ident) -> schemas.RunDetail:
    """Each step's plan stands there before the step acts."""
    row = await engine.db.read(whole_run, run_id)
    if row is None:
        raise not_found("run", run_id)
    return schemas.RunDetail.model_validate(row)


def whole_run(conn: Connection, run_id: int) -> dict[str, Any] | None:
    """The run's row with its ``steps`` and the playbook's ``text``."""
    row = views.get(conn, run_table, run_id)
    if row is None:
        return None
    text = views.texts_of(conn, [row["revision"]]).get(row["revision"], "").strip()
    steps = views.steps_of(conn, [run_id]).get(run_id, [])
    return row | {"steps": steps, "text": text, "given": approvals.given(conn, run_id)}


def approver_of(who: Principal) -> Approver:
    """As a playbook may name them: by name, or by a role that they cover."""
    return Approver(who.name, frozenset(role.value for role in Role if who.may(role)))


async def approve_run(engine: Engine, run_id: int, who: Approver) -> dict[str, Any]:
    """One approval of an awaiting run, which goes once they are enough.

    Raises 403 for who may not, 404, 409 for a second approval of one person, `IllegalTransition`.
    """
    await _awaiting(engine, run_id)
    try:
        await engine.db.run(approvals.give, run_id, who, engine.clock.now())
    except approvals.NotAllowed as why:
        raise HTTPException(403, str(why)) from why
    except runs.RunChanged as why:
        raise HTTPException(409, str(why)) from why
    return await _woken(engine, run_id)


async def refuse_run(engine: Engine, run_id: int, who: Approver, note: str) -> dict[str, Any]:
    """Turn an awaiting run down; its problem is then a person's. Raises as `approve_run` does."""
    await _awaiting(engine, run_id)
    try:
        await engine.db.run(approvals.refuse, run_id, who, engine.clock.now(), note)
    except approvals.NotAllowed as why:
        raise HTTPException(403, str(why)) from why
    except runs.RunChanged as why:
        raise HTTPException(409, str(why)) from why
    return await _woken(engine, run_id)


async def _awaiting(engine: Engine, run_id: int) -> None:
    row = await engine.db.read(views.get, run_table, run_id)
    if row is None:
        raise not_found("run", run_id)
    if row["state"] != RunState.AWAITING_APPROVAL:
        check(RunState(row["state"]), RunState.AWAITING_APPROVAL)


async def _woken(engine: Engine, run_id: int) -> dict[str, Any]:
    engine.runs_wake.set()
    return await engine.db.read(whole_run, run_id) or {}


@router.post("/{run_id}/approve", summary="Approve a run", responses=responses(401, 403, 404, 409))
async def approve(engine: EngineDep, who: Writer, run_id: Ident) -> schemas.RunDetail:
    """With the last approval that it needs it starts, as soon as its target is free."""
    return schemas.RunDetail.model_validate(await approve_run(engine, run_id, approver_of(who)))


@router.post("/{run_id}/refuse", summary="Refuse a run", responses=responses(401, 403, 404, 409))
async def refuse(
    engine: EngineDep, who: Writer, run_id: Ident, body: Refusal | None = None
) -> schemas.RunDetail:
    """One refusal ends it: nothing is done, and the problem is escalated."""
    note = body.note if body else ""
    return schemas.RunDetail.model_validate(await refuse_run(engine, run_id, approver_of(who), note))
