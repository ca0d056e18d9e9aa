"""What a signed-in person does about a problem: each action answers with the page it was done on."""

import asyncio
import json
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Form, HTTPException, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import TypeAdapter, ValidationError

from aiops.engine import messages as say
from aiops.model.lifecycle import Act
from aiops.model.problem import Verdict
from aiops.plugin.params import Duration
from aiops.store import audit
from aiops.store.tokens import Principal
from aiops.web import handling
from aiops.web.api.handling import SnoozeIn
from aiops.web.console.access import Actor
from aiops.web.console.pages import render_problem
from aiops.web.inputs import LARGEST, Ident, Words
from aiops.web.language import gettext as _
from aiops.web.language import noted
from aiops.web.ports import Engine
from aiops.web.security import EngineDep

router = APIRouter(prefix="/problems/{problem_id}")

PATIENCE = 20
"""Looks at the audit trail, 50 ms apart, before an action is answered without its effect."""
Note = Annotated[Words, Form(max_length=10_000)]
Other = Annotated[str, Form(max_length=20)]
_DURATION: TypeAdapter[float] = TypeAdapter(Duration)


async def _tell(
    request: Request, engine: Engine, who: Principal, act: Act, message: say.Handling, said: str
) -> Response:
    """Tell the pipeline, wait a moment until it has noted it, and show the problem as it then is."""
    before = await _deeds(engine, message)
    await handling.tell(engine, act, message)
    for _look in range(PATIENCE):
        if await _deeds(engine, message) > before:
            break
        await asyncio.sleep(0.05)
    return await shown(request, engine, who, message.problem_id, said)


async def _deeds(engine: Engine, message: say.Handling) -> int:
    """How often this person stands in the problem's timeline: the engine itself may write there too."""
    rows = await engine.db.read(audit.of_problem, message.problem_id)
    return sum(row["actor"] == message.by for row in rows)


async def shown(request: Request, engine: Engine, who: Principal, problem_id: int, notice: str) -> Response:
    """The problem's page, with a word that it says aloud."""
    if request.headers.get("HX-Request") != "true":
        return RedirectResponse(f"/problems/{problem_id}", 303)
    answer = await render_problem(request, engine, who, problem_id)
    answer.headers["HX-Trigger"] = json.dumps({"notice": {"text": notice}})
    return answer


def _number(text: str, optional: bool = False) -> int:
    """Of another problem, with or without its #. Raises 422."""
    digits = text.strip().removeprefix("#")
    if optional and not digits:
        return 0
    if not digits.isdecimal() or not 0 < int(digits) <= LARGEST:
        raise HTTPException(422, _("the other problem's number is needed, such as 42"))
    return int(digits)


@router.post("/assign")
async def assign(
    request: Request, engine: EngineDep, who: Actor, problem_id: Ident, to: Note = ""
) -> Response:
    message = say.Assign(problem_id, who.name, to.strip()[:200])
    return await _tell(request, engine, who, Act.ASSIGN, message, _("Assigned"))


@router.post("/snooze")
async def snooze(
    request: Request,
    engine: EngineDep,
    who: Actor,
    problem_id: Ident,
    duration: Annotated[str, Form(max_length=20)] = "",
    note: Note = "",
) -> Response:
    try:
        wish = SnoozeIn(duration=_DURATION.validate_python(duration.strip()))
    except ValidationError as why:
        raise HTTPException(422, _("for how long? Such as 30m, 2h, 1d")) from why
    ends = wish.ends(engine.clock.now())
    message = say.Snooze(problem_id, who.name, ends, note.strip())
    return await _tell(request, engine, who, Act.SNOOZE, message, _("Snoozed"))


@router.post("/comment")
async def comment(
    request: Request, engine: EngineDep, who: Actor, problem_id: Ident, text: Note = ""
) -> Response:
    if not text.strip():
        raise HTTPException(422, _("an empty comment says nothing"))
    message = say.Comment(problem_id, who.name, text.strip())
    return await _tell(request, engine, who, Act.COMMENT, message, _("Comment added"))


@router.post("/link")
async def link(
    request: Request, engine: EngineDep, who: Actor, problem_id: Ident, other: Other = "", note: Note = ""
) -> Response:
    message = say.Link(problem_id, who.name, _number(other), note.strip())
    return await _tell(request, engine, who, Act.LINK, message, _("Linked"))


@router.post("/merge")
async def merge(
    request: Request, engine: EngineDep, who: Actor, problem_id: Ident, other: Other = "", note: Note = ""
) -> Response:
    message = say.Merge(problem_id, who.name, _number(other), note.strip())
    return await _tell(request, engine, who, Act.MERGE, message, _("Merged"))


@router.post("/split")
async def split(
    request: Request,
    engine: EngineDep,
    who: Actor,
    problem_id: Ident,
    alert: Annotated[list[int] | None, Form()] = None,
    note: Note = "",
) -> Response:
    message = say.Split(problem_id, who.name, tuple(alert or ()), note.strip())
    return await _tell(request, engine, who, Act.SPLIT, message, _("Split"))


@router.post("/remediate")
async def remediate(
    request: Request, engine: EngineDep, who: Actor, problem_id: Ident, playbook: Note = ""
) -> Response:
    message = say.Remediate(problem_id, who.name, playbook.strip())
    return await _tell(request, engine, who, Act.REMEDIATE, message, _("Asked for"))


@router.post("/mark")
async def mark(
    request: Request,
    engine: EngineDep,
    who: Actor,
    problem_id: Ident,
    verdict: Annotated[Verdict, Form()],
    note: Note = "",
    other: Other = "",
) -> Response:
    of = _number(other, optional=True) if verdict is Verdict.DUPLICATE else 0
    message = say.Judge(problem_id, who.name, verdict, note.strip(), of)
    return await _tell(request, engine, who, Act.MARK, message, _("Marked"))


Bare = Callable[[int, str, str], say.Handling]
"""(problem, by whom, note) -> what the pipeline is told."""
BARE: dict[Act, tuple[Bare, str]] = {
    Act.ACKNOWLEDGE: (lambda problem_id, by, _note: say.Acknowledge(problem_id, by), noted("Acknowledged")),
    Act.WAKE: (lambda problem_id, by, _note: say.Wake(problem_id, by), noted("Awake")),
    Act.ESCALATE: (say.Escalate, noted("Escalated")),
    Act.RESOLVE: (say.Resolve, noted("Resolved")),
    Act.REOPEN: (say.Reopen, noted("Opened again")),
}
"""Acts that need a note at most, and what is said when they are done."""


def _bare(act: Act, message: Bare, said: str) -> None:
    @router.post(f"/{act.value}", name=act.value)
    async def done(
        request: Request, engine: EngineDep, who: Actor, problem_id: Ident, note: Note = ""
    ) -> Response:
        told = message(problem_id, who.name, note.strip())
        return await _tell(request, engine, who, act, told, _(said))


for _act, (_message, _said) in BARE.items():
    _bare(_act, _message, _said)
