"""Problems: read, and tell the pipeline what people decided."""

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, Field
from sqlalchemy.engine import Connection

from aiops.engine.messages import Acknowledge, Comment, Escalate, Message, Resolve
from aiops.model.lifecycle import ProblemState, Stage, check
from aiops.model.signal import Severity
from aiops.store import audit, causes, views
from aiops.store.tables import problem as problem_table
from aiops.web import points, schemas
from aiops.web.api.paging import PagingDep
from aiops.web.errors import not_found, responses
from aiops.web.inputs import Ident, Words
from aiops.web.ports import Engine
from aiops.web.security import EngineDep, Writer

router = APIRouter(prefix="/problems", tags=["problems"])


class Note(BaseModel):
    """Why, in a person's words."""

    note: Words = Field("", max_length=10_000, examples=["known: the nightly import"])


class CommentIn(BaseModel):
    text: Words = Field(min_length=1, max_length=10_000, examples=["looking at it with the database team"])


def label_pairs(label: Annotated[list[str] | None, Query()] = None) -> tuple[tuple[str, str], ...]:
    """``name=value`` texts as pairs. Raises 422 for one without ``=``."""
    pairs = []
    for text in label or []:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise HTTPException(422, f"label {text!r}: expected name=value")
        pairs.append((name, value))
    return tuple(pairs)


@router.get("", summary="List problems", responses=responses(401, 422))
async def listed(
    engine: EngineDep,
    paging: PagingDep,
    state: Annotated[list[ProblemState] | None, Query(description="Any of these.")] = None,
    stage: Stage | None = None,
    severity: Severity | None = None,
    label: Annotated[
        list[str] | None, Query(description="`name=value`; all must hold.", examples=["service=checkout"])
    ] = None,
    text: Annotated[Words, Query(max_length=200, description="Part of title or key.")] = "",
) -> schemas.Page[schemas.Problem]:
    """Newest first, narrowed by every filter given."""
    narrow = views.ProblemFilter(
        states=tuple(state or ()),
        stage=stage or "",
        severity=severity or "",
        labels=label_pairs(label),
        text=text,
    )
    rows = await engine.db.read(views.problems, narrow, paging.before, paging.limit + 1)
    return schemas.Page[schemas.Problem].model_validate(paging.cut(rows))


@router.get("/{problem_id}", summary="One problem", responses=responses(401, 404))
async def got(engine: EngineDep, problem_id: Ident) -> schemas.ProblemDetail:
    """Alerts, evidence, timeline, tickets, deliveries and runs."""
    whole = await engine.db.read(whole_problem, problem_id)
    if whole is None:
        raise not_found("problem", problem_id)
    stored = whole["evidence"]
    whole["evidence"] = {
        one["id"]: points.as_lists(points.of_alert(engine, one, stored.get(one["id"])))
        for one in whole["alerts"]
    }
    return schemas.ProblemDetail.model_validate(whole)


def whole_problem(conn: Connection, problem_id: int) -> dict[str, Any] | None:
    """The problem's row, with the rows of all that belongs to it under the names of `ProblemDetail`."""
    row = views.get(conn, problem_table, problem_id)
    if row is None:
        return None
    alerts = views.alerts_of(conn, problem_id)
    runs = views.runs(conn, views.RunFilter(problem_id=problem_id), None, 50)
    steps = views.steps_of(conn, [one["id"] for one in runs])
    texts = views.texts_of(conn, [one["revision"] for one in runs])
    return row | {
        "alerts": alerts,
        "evidence": views.evidence_of(conn, [one["id"] for one in alerts]),
        "causes": causes.of_problem(conn, problem_id),
        "timeline": audit.of_problem(conn, problem_id),
        "tickets": views.tickets_of(conn, problem_id),
        "deliveries": views.deliveries(conn, views.DeliveryFilter(problem_id=problem_id), None, 200),
        "runs": [
            one | {"steps": steps.get(one["id"], []), "text": texts.get(one["revision"], "").strip()}
            for one in runs
        ],
    }


async def told(engine: Engine, what: str, message: Message, to: ProblemState | None) -> schemas.Told:
    """Hand `message` to the pipeline. Raises 404, and `IllegalTransition` where it cannot become `to`."""
    problem_id = message.problem_id
    row = await engine.db.read(views.get, problem_table, problem_id)
    if row is None:
        raise not_found("problem", problem_id)
    if to is not None:
        check(ProblemState(row["state"]), to)
    await engine.tell(message)
    return schemas.Told(told=what, problem=schemas.Problem.model_validate(row))


@router.post(
    "/{problem_id}/acknowledge",
    status_code=202,
    summary="Say that somebody looks",
    responses=responses(401, 404),
)
async def acknowledge(engine: EngineDep, who: Writer, problem_id: Ident) -> schemas.Told:
    """The problem keeps its state and carries the name."""
    return await told(engine, "acknowledge", Acknowledge(problem_id, who.name), None)


@router.post(
    "/{problem_id}/resolve", status_code=202, summary="Resolve by hand", responses=responses(401, 404, 409)
)
async def resolve(
    engine: EngineDep, who: Writer, problem_id: Ident, body: Note | None = None
) -> schemas.Told:
    """Its alerts may reopen it while they still fire."""
    note = body.note if body else ""
    return await told(engine, "resolve", Resolve(problem_id, who.name, note), ProblemState.RESOLVED)


@router.post(
    "/{problem_id}/escalate", status_code=202, summary="Hand it to people", responses=responses(401, 404, 409)
)
async def escalate(
    engine: EngineDep, who: Writer, problem_id: Ident, body: Note | None = None
) -> schemas.Told:
    """Told to the sinks that its routes escalate to."""
    note = body.note if body else ""
    return await told(engine, "escalate", Escalate(problem_id, who.name, note), ProblemState.ESCALATED)


@router.post(
    "/{problem_id}/comment", status_code=202, summary="Add a comment", responses=responses(401, 404, 422)
)
async def comment(engine: EngineDep, who: Writer, problem_id: Ident, body: CommentIn) -> schemas.Told:
    """It joins the timeline."""
    return await told(engine, "comment", Comment(problem_id, who.name, body.text), None)
