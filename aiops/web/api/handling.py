"""What people do to a problem. Each answers 202: the pipeline was told, and acts at its next turn."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, Field

from aiops.engine import messages as say
from aiops.model.lifecycle import Act
from aiops.model.problem import Verdict
from aiops.plugin.params import Duration
from aiops.store import ties
from aiops.web import handling, schemas
from aiops.web.api.paging import PagingDep
from aiops.web.errors import not_found, responses
from aiops.web.inputs import LARGEST, Ident, Words
from aiops.web.plans import plans
from aiops.web.ports import Engine
from aiops.web.schema_ties import MarkDetail
from aiops.web.security import EngineDep, Writer

router = APIRouter(tags=["problems"])

Number = Annotated[int, Field(ge=1, le=LARGEST)]
F = TypeVar("F", bound=Callable[..., Any])
LONGEST_SNOOZE = 365 * 86400.0


class Note(BaseModel):
    """Why, in a person's words."""

    note: Words = Field("", max_length=10_000, examples=["known: the nightly import"])


class CommentIn(BaseModel):
    text: Words = Field(min_length=1, max_length=10_000, examples=["looking at it with the database team"])


class AssignIn(BaseModel):
    to: Words = Field(max_length=200, description="Empty: nobody's.", examples=["ana"])


class SnoozeIn(Note):
    """Give either `until` or `duration`."""

    until: datetime | None = None
    duration: Duration | None = Field(None, examples=["2h"])

    def ends(self, now: float) -> float:
        """Epoch s. Raises 422 for a time that is not ahead, or more than a year."""
        if (self.until is None) == (self.duration is None):
            raise HTTPException(422, "give either until or duration")
        at = self.until
        if at is not None:
            ends = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
        else:
            ends = now + (self.duration or 0.0)
        if not now < ends <= now + LONGEST_SNOOZE:
            raise HTTPException(422, "the end must be ahead, and within a year")
        return ends


class LinkIn(Note):
    other: Number = Field(description="The other problem's number.", examples=[41])


class MergeIn(Note):
    into: Number = Field(description="The problem that is kept.", examples=[41])


class SplitIn(Note):
    alerts: list[Number] = Field(
        min_length=1, max_length=10_000, description="Alerts that are another problem's.", examples=[[7, 9]]
    )


class MarkIn(Note):
    verdict: Verdict
    duplicate_of: Number | None = Field(None, description="Of a duplicate: what it goes into.")


class RemediateIn(BaseModel):
    playbook: Words = Field(min_length=1, max_length=64, examples=["restart-checkout"])


class PlanOut(schemas.Schema):
    """What a playbook would do."""

    playbook: str
    description: str
    autonomy: str = Field(description="How far it may go by itself, at the most.")
    target: str
    steps: list[str] = Field(description="In order, in words.")
    why_not: str = Field(description="Why it cannot be made for this problem; empty when it can.")


async def _told(engine: Engine, act: Act, message: say.Handling) -> schemas.Told:
    row = await handling.tell(engine, act, message)
    return schemas.Told(told=act.value, problem=schemas.Problem.model_validate(row))


def _route(act: Act, summary: str) -> Callable[[F], F]:
    path = f"/problems/{{problem_id}}/{act.value}"
    return router.post(path, status_code=202, summary=summary, responses=responses(401, 403, 404, 409, 422))


@_route(Act.ACKNOWLEDGE, "Say that somebody looks")
async def acknowledge(engine: EngineDep, who: Writer, problem_id: Ident) -> schemas.Told:
    """The problem keeps its state and carries the name."""
    return await _told(engine, Act.ACKNOWLEDGE, say.Acknowledge(problem_id, who.name))


@_route(Act.ASSIGN, "Give it to somebody")
async def assign(engine: EngineDep, who: Writer, problem_id: Ident, body: AssignIn) -> schemas.Told:
    return await _told(engine, Act.ASSIGN, say.Assign(problem_id, who.name, body.to.strip()))


@_route(Act.SNOOZE, "Hear nothing of it for a while")
async def snooze(engine: EngineDep, who: Writer, problem_id: Ident, body: SnoozeIn) -> schemas.Told:
    """It wakes by itself when it grows worse or users notice."""
    ends = body.ends(engine.clock.now())
    return await _told(engine, Act.SNOOZE, say.Snooze(problem_id, who.name, ends, body.note))


@_route(Act.WAKE, "End its snooze")
async def wake(engine: EngineDep, who: Writer, problem_id: Ident) -> schemas.Told:
    """Does nothing to one that is awake."""
    return await _told(engine, Act.WAKE, say.Wake(problem_id, who.name))


@_route(Act.COMMENT, "Add a comment")
async def comment(engine: EngineDep, who: Writer, problem_id: Ident, body: CommentIn) -> schemas.Told:
    """It joins the timeline and is told to the tickets."""
    return await _told(engine, Act.COMMENT, say.Comment(problem_id, who.name, body.text))


@_route(Act.LINK, "Say that two problems belong together")
async def link(engine: EngineDep, who: Writer, problem_id: Ident, body: LinkIn) -> schemas.Told:
    """Both stay as they are, and point at each other."""
    return await _told(engine, Act.LINK, say.Link(problem_id, who.name, body.other, body.note))


@_route(Act.MERGE, "Say that two problems are one")
async def merge(engine: EngineDep, who: Writer, problem_id: Ident, body: MergeIn) -> schemas.Told:
    """This one goes into the other, with its alerts; its tickets are closed and told where it went."""
    return await _told(engine, Act.MERGE, say.Merge(problem_id, who.name, body.into, body.note))


@_route(Act.SPLIT, "Say that one problem is two")
async def split(engine: EngineDep, who: Writer, problem_id: Ident, body: SplitIn) -> schemas.Told:
    """The alerts that are named open a problem of their own, with its own ticket."""
    return await _told(engine, Act.SPLIT, say.Split(problem_id, who.name, tuple(body.alerts), body.note))


@_route(Act.MARK, "Say what it was")
async def mark(engine: EngineDep, who: Writer, problem_id: Ident, body: MarkIn) -> schemas.Told:
    """Kept with its evidence, to learn from. A false alarm is resolved; a duplicate goes into the other."""
    if body.duplicate_of is not None and body.verdict is not Verdict.DUPLICATE:
        raise HTTPException(422, "duplicate_of goes with the verdict duplicate")
    message = say.Judge(problem_id, who.name, body.verdict, body.note, body.duplicate_of or 0)
    return await _told(engine, Act.MARK, message)


@router.get(
    "/problems/{problem_id}/playbooks", summary="What playbooks would do", responses=responses(401, 403, 404)
)
async def playbooks(engine: EngineDep, problem_id: Ident) -> schemas.Page[PlanOut]:
    """The dry runs of those that fit; nothing is done."""
    found = await engine.db.read(plans, problem_id, engine.playbooks())
    if found is None:
        raise not_found("problem", problem_id)
    return schemas.Page(items=[PlanOut.model_validate(one) for one in found])


@_route(Act.REMEDIATE, "Ask for a run of a playbook")
async def remediate(engine: EngineDep, who: Writer, problem_id: Ident, body: RemediateIn) -> schemas.Told:
    """It waits for approval where its autonomy asks for that; guards and holds may refuse it."""
    return await _told(engine, Act.REMEDIATE, say.Remediate(problem_id, who.name, body.playbook))


@_route(Act.ESCALATE, "Hand it to people")
async def escalate(
    engine: EngineDep, who: Writer, problem_id: Ident, body: Note | None = None
) -> schemas.Told:
    """Told to the sinks that its routes escalate to."""
    note = body.note if body else ""
    return await _told(engine, Act.ESCALATE, say.Escalate(problem_id, who.name, note))


@_route(Act.RESOLVE, "Resolve by hand")
async def resolve(
    engine: EngineDep, who: Writer, problem_id: Ident, body: Note | None = None
) -> schemas.Told:
    """Its alerts may reopen it while they still fire."""
    note = body.note if body else ""
    return await _told(engine, Act.RESOLVE, say.Resolve(problem_id, who.name, note))


@_route(Act.REOPEN, "Say that it is not over")
async def reopen(engine: EngineDep, who: Writer, problem_id: Ident, body: Note | None = None) -> schemas.Told:
    """It is then a person's until a person resolves it."""
    note = body.note if body else ""
    return await _told(engine, Act.REOPEN, say.Reopen(problem_id, who.name, note))


@router.get("/marks", summary="What people said that problems were", responses=responses(401, 422))
async def marks(
    engine: EngineDep, paging: PagingDep, verdict: Verdict | None = None
) -> schemas.Page[MarkDetail]:
    """Newest first, with the evidence that each was spoken on."""
    rows = await engine.db.read(ties.marks, paging.before, paging.limit + 1, verdict or "")
    return schemas.Page[MarkDetail].model_validate(paging.cut(rows))
