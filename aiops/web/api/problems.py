"""Problems, as they are read; what people do to them is in `handling`."""

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query
from sqlalchemy.engine import Connection

from aiops.model.lifecycle import ProblemState, RunState, Stage
from aiops.model.signal import Severity
from aiops.store import approvals, audit, causes, likeness, ties, views
from aiops.store.tables import problem as problem_table
from aiops.web import points, schemas
from aiops.web.api.paging import PagingDep
from aiops.web.errors import not_found, responses
from aiops.web.inputs import Ident, Words
from aiops.web.security import EngineDep

router = APIRouter(prefix="/problems", tags=["problems"])

POINTS = 20
"""Alerts of a problem that come with their points, the most telling ones."""
STORY = 300
"""Entries of a problem's timeline that stand with it, the latest; all of them are in the audit trail."""


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
    whole = await engine.db.read(_with_points, problem_id)
    if whole is None:
        raise not_found("problem", problem_id)
    stored = whole["evidence"]
    whole["evidence"] = {
        one["id"]: points.as_lists(points.of_alert(engine, one, stored.get(one["id"])))
        for one in whole["alerts"][:POINTS]
    }
    return schemas.ProblemDetail.model_validate(whole)


def _with_points(conn: Connection, problem_id: int) -> dict[str, Any] | None:
    whole = whole_problem(conn, problem_id)
    if whole is not None:
        whole["evidence"] = views.evidence_of(conn, [one["id"] for one in whole["alerts"][:POINTS]])
    return whole


def whole_problem(conn: Connection, problem_id: int) -> dict[str, Any] | None:
    """The problem's row, with the rows of all that belongs to it under the names of `ProblemDetail`.

    But for its ``evidence``: who asks knows of which alerts.
    """
    row = views.get(conn, problem_table, problem_id)
    if row is None:
        return None
    alerts = views.alerts_of(conn, problem_id)
    runs = views.runs(conn, views.RunFilter(problem_id=problem_id), None, 50)
    steps = views.steps_of(conn, [one["id"] for one in runs])
    texts = views.texts_of(conn, [one["revision"] for one in runs])
    return row | {
        "alerts": alerts,
        "alerts_in_all": views.alert_count(conn, problem_id),
        "causes": causes.of_problem(conn, problem_id),
        "related": ties.of_problem(conn, problem_id),
        "similar": likeness.of_problem(conn, problem_id),
        "marks": ties.marks_of(conn, problem_id),
        "timeline": audit.of_problem(conn, problem_id, STORY),
        "tickets": views.tickets_of(conn, problem_id),
        "deliveries": views.deliveries(conn, views.DeliveryFilter(problem_id=problem_id), None, 200),
        "runs": [
            one
            | {"steps": steps.get(one["id"], []), "text": texts.get(one["revision"], "").strip()}
            | {
                "given": approvals.given(conn, one["id"])
                if one["state"] == RunState.AWAITING_APPROVAL
                else []
            }
            for one in runs
        ],
    }
