"""For the machines that look after this one: metrics, health, readiness, reload."""

import math

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from aiops.web.api import config
from aiops.web.errors import responses
from aiops.web.ports import Engine
from aiops.web.security import Author, EngineDep

router = APIRouter(tags=["operations"])


@router.get("/metrics", summary="Own metrics", response_class=PlainTextResponse)
async def metrics(engine: EngineDep) -> Response:
    """In the Prometheus text format."""
    text = await run_in_threadpool(generate_latest, engine.metrics.registry)
    return Response(text, media_type=CONTENT_TYPE_LATEST)


@router.get("/-/healthy", summary="Alive", response_class=PlainTextResponse)
async def healthy() -> str:
    """Answers as long as the process does."""
    return "healthy\n"


@router.get(
    "/-/ready",
    summary="Ready",
    response_class=PlainTextResponse,
    responses={503: {"description": "Not yet."}},
)
async def ready(engine: EngineDep) -> PlainTextResponse:
    """503 with the reason until every source was heard of once and the pipeline turns.

    Of several engines on one store one leads; the others stand by, and are ready for that.
    """
    if engine.ready():
        return PlainTextResponse(f"ready ({'leader' if engine.leads else 'standby'})\n")
    return PlainTextResponse(f"not ready: {waiting_for(engine)}\n", 503)


def waiting_for(engine: Engine) -> str:
    """What the engine still waits for, in words."""
    silent = [one.name for one in engine.sources() if math.isnan(one.last_ok) and not one.error]
    return f"no answer yet from source {', '.join(silent)}" if silent else "the pipeline has not started"


@router.post(
    "/-/reload", status_code=204, summary="Take up the file anew", responses=responses(401, 403, 422)
)
async def reload(engine: EngineDep, who: Author) -> Response:
    """The same as `POST /api/v1/config/reload`."""
    return await config.reload(engine, who)
