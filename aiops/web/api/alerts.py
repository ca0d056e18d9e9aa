"""Alerts, and what was observed around them."""

from typing import Annotated

from fastapi import APIRouter, Query

from aiops.model.lifecycle import AlertState
from aiops.model.signal import AlertKind
from aiops.store import views
from aiops.store.tables import alert as alert_table
from aiops.web import points, schemas
from aiops.web.api.paging import PagingDep
from aiops.web.errors import not_found, responses
from aiops.web.inputs import LARGEST, Ident, Words
from aiops.web.security import EngineDep

router = APIRouter(prefix="/alerts", tags=["alerts"])


@router.get("", summary="List alerts", responses=responses(401, 422))
async def listed(
    engine: EngineDep,
    paging: PagingDep,
    state: Annotated[list[AlertState] | None, Query(description="Any of these.")] = None,
    kind: AlertKind | None = None,
    problem: Annotated[int | None, Query(ge=1, le=LARGEST, description="Of this problem.")] = None,
    text: Annotated[Words, Query(max_length=200, description="Part of the labels or of the reason.")] = "",
) -> schemas.Page[schemas.Alert]:
    """Newest first, narrowed by every filter given."""
    narrow = views.AlertFilter(tuple(state or ()), kind or "", problem, text)
    rows = await engine.db.read(views.alerts, narrow, paging.before, paging.limit + 1)
    return schemas.Page[schemas.Alert].model_validate(paging.cut(rows))


@router.get("/{alert_id}", summary="One alert", responses=responses(401, 404))
async def got(engine: EngineDep, alert_id: Ident) -> schemas.Alert:
    row = await engine.db.read(views.get, alert_table, alert_id)
    if row is None:
        raise not_found("alert", alert_id)
    return schemas.Alert.model_validate(row)


@router.get("/{alert_id}/points", summary="Observed line and expected band", responses=responses(401, 404))
async def points_of(engine: EngineDep, alert_id: Ident) -> schemas.Points:
    """From before it began; while it fires, up to now."""
    row = await engine.db.read(views.get, alert_table, alert_id)
    if row is None:
        raise not_found("alert", alert_id)
    stored = await engine.db.read(views.evidence_of, [alert_id])
    found = points.of_alert(engine, row, stored.get(alert_id))
    return schemas.Points.model_validate(points.as_lists(found))
