"""What a signed-in person does: each action answers with the page it was done on."""

import asyncio
import json
from typing import Annotated

from fastapi import APIRouter, Form, HTTPException, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import ValidationError
from sqlalchemy.engine import Connection

from aiops.engine.messages import Acknowledge, Comment, Escalate, Message, Resolve
from aiops.model.lifecycle import ProblemState
from aiops.store import audit, silences
from aiops.store.tokens import Principal
from aiops.web.api import deliveries, runs
from aiops.web.api.problems import told
from aiops.web.api.silences import SilenceIn, created
from aiops.web.console.access import Actor
from aiops.web.console.lists import render_silences
from aiops.web.console.pages import render_problem
from aiops.web.errors import not_found
from aiops.web.inputs import Ident, Words
from aiops.web.ports import Engine
from aiops.web.security import EngineDep

router = APIRouter()

PATIENCE = 20
"""Looks at the audit trail, 50 ms apart, before an action is answered without its effect."""
Note = Annotated[Words, Form(max_length=10_000)]


async def _tell(
    request: Request, engine: Engine, who: Principal, what: str, message: Message, to: ProblemState | None
) -> Response:
    """Tell the pipeline, wait a moment until it has noted it, and show the problem as it then is."""
    before = len(await engine.db.read(audit.of_problem, message.problem_id))
    await told(engine, what, message, to)
    for _ in range(PATIENCE):
        if len(await engine.db.read(audit.of_problem, message.problem_id)) > before:
            break
        await asyncio.sleep(0.05)
    return await _problem(request, engine, who, message.problem_id, what)


async def _problem(
    request: Request, engine: Engine, who: Principal, problem_id: int, notice: str
) -> Response:
    if request.headers.get("HX-Request") != "true":
        return RedirectResponse(f"/problems/{problem_id}", 303)
    return _noticed(await render_problem(request, engine, who, problem_id), notice)


def _noticed(answer: Response, notice: str) -> Response:
    """With a word that the page says aloud."""
    answer.headers["HX-Trigger"] = json.dumps({"notice": {"text": notice}})
    return answer


@router.post("/problems/{problem_id}/acknowledge")
async def acknowledge(request: Request, engine: EngineDep, who: Actor, problem_id: Ident) -> Response:
    message = Acknowledge(problem_id, who.name)
    return await _tell(request, engine, who, "Acknowledged", message, None)


@router.post("/problems/{problem_id}/resolve")
async def resolve(
    request: Request, engine: EngineDep, who: Actor, problem_id: Ident, note: Note = ""
) -> Response:
    message = Resolve(problem_id, who.name, note.strip())
    return await _tell(request, engine, who, "Resolved", message, ProblemState.RESOLVED)


@router.post("/problems/{problem_id}/escalate")
async def escalate(
    request: Request, engine: EngineDep, who: Actor, problem_id: Ident, note: Note = ""
) -> Response:
    message = Escalate(problem_id, who.name, note.strip())
    return await _tell(request, engine, who, "Escalated", message, ProblemState.ESCALATED)


@router.post("/problems/{problem_id}/comment")
async def comment(
    request: Request, engine: EngineDep, who: Actor, problem_id: Ident, text: Note = ""
) -> Response:
    if not text.strip():
        raise HTTPException(422, "an empty comment says nothing")
    message = Comment(problem_id, who.name, text.strip())
    return await _tell(request, engine, who, "Comment added", message, None)


@router.post("/runs/{run_id}/approve")
async def approve(request: Request, engine: EngineDep, who: Actor, run_id: Ident) -> Response:
    run = await runs.approve_run(engine, run_id, who.name)
    return await _problem(request, engine, who, run["problem_id"], "Approved")


@router.post("/runs/{run_id}/refuse")
async def refuse(request: Request, engine: EngineDep, who: Actor, run_id: Ident, note: Note = "") -> Response:
    run = await runs.refuse_run(engine, run_id, who.name, note.strip())
    return await _problem(request, engine, who, run["problem_id"], "Refused")


@router.post("/deliveries/{delivery_id}/replay")
async def replay(engine: EngineDep, who: Actor, delivery_id: Ident) -> Response:
    await deliveries.replayed(engine, delivery_id, who.name)
    return RedirectResponse(f"/deliveries/{delivery_id}", 303)


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
