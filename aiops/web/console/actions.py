"""What a signed-in person does about runs, deliveries and silences."""

from typing import Annotated

from fastapi import APIRouter, Form, HTTPException, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import ValidationError
from sqlalchemy.engine import Connection

from aiops.store import silences
from aiops.web.api import deliveries, runs
from aiops.web.api.silences import SilenceIn, created
from aiops.web.console.access import Actor
from aiops.web.console.handling import shown
from aiops.web.console.lists import render_silences
from aiops.web.errors import not_found
from aiops.web.inputs import Ident, Words
from aiops.web.language import gettext as _
from aiops.web.security import EngineDep

router = APIRouter()

Note = Annotated[Words, Form(max_length=10_000)]


@router.post("/runs/{run_id}/approve")
async def approve(request: Request, engine: EngineDep, who: Actor, run_id: Ident) -> Response:
    run = await runs.approve_run(engine, run_id, runs.approver_of(who))
    return await shown(request, engine, who, run["problem_id"], _("Approved"))


@router.post("/runs/{run_id}/refuse")
async def refuse(request: Request, engine: EngineDep, who: Actor, run_id: Ident, note: Note = "") -> Response:
    run = await runs.refuse_run(engine, run_id, runs.approver_of(who), note.strip())
    return await shown(request, engine, who, run["problem_id"], _("Refused"))


@router.post("/deliveries/{delivery_id}/replay")
async def replay(engine: EngineDep, who: Actor, delivery_id: Ident) -> Response:
    await deliveries.replayed(engine, delivery_id, who.name)
    return RedirectResponse(f"/deliveries/{delivery_id}", 303)


@router.post("/deliveries/replay")
async def replay_all(
    engine: EngineDep, who: Actor, sink: Annotated[Words, Form(max_length=128)] = ""
) -> Response:
    """All dead letters, or those of one sink; the list then says what came of them."""
    found = await deliveries.replayed_all(engine, sink, who.name)
    return RedirectResponse(f"/deliveries?revived={found.revived}&overtaken={found.overtaken}", 303)


@router.post("/silences")
async def silence(
    request: Request,
    engine: EngineDep,
    who: Actor,
    match: Annotated[str, Form(max_length=2000)] = "",
    duration: Annotated[str, Form(max_length=20)] = "",
    reason: Annotated[str, Form(max_length=1000)] = "",
) -> Response:
    """Back to the list; a wrong field is named there, with what was typed kept."""
    typed = {"match": match, "duration": duration, "reason": reason}
    try:
        wish = SilenceIn.model_validate(typed | {"duration": duration.strip() or None})
        await created(engine, wish, who.name)
    except (ValueError, HTTPException) as why:
        return await render_silences(request, engine, who, typed, _first(why))
    return RedirectResponse("/silences", 303)


def _first(why: Exception) -> str:
    if isinstance(why, ValidationError):
        one = why.errors()[0]
        return f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}"
    return str(why.detail if isinstance(why, HTTPException) else why)


@router.post("/silences/{silence_id}/expire")
async def expire(engine: EngineDep, who: Actor, silence_id: Ident) -> Response:
    if await engine.db.run(_expire, silence_id, who.name, engine.clock.now()) is None:
        raise not_found("silence", silence_id)
    return RedirectResponse("/silences", 303)


def _expire(conn: Connection, silence_id: int, by: str, at: float) -> silences.Silence | None:
    return silences.expire(conn, silence_id, by=by, at=at)
