"""What happens, as it happens."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import StreamingResponse

from aiops.web.errors import responses
from aiops.web.events import Events
from aiops.web.inputs import LARGEST, Words
from aiops.web.security import asker

router = APIRouter(prefix="/events", tags=["events"])

_STREAM: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}
}


@router.get(
    "",
    summary="Server-sent events",
    response_class=StreamingResponse,
    responses={**_STREAM, **responses(401, 422)},
)
async def stream(
    request: Request,
    entity: Annotated[Words, Query(max_length=16, description="Only of these, such as `problem`.")] = "",
    after: Annotated[
        int | None, Query(ge=0, le=LARGEST, description="Ids after this one; a `Last-Event-ID` goes first.")
    ] = None,
    last_event_id: Annotated[int | None, Header(ge=0, le=LARGEST)] = None,
) -> StreamingResponse:
    """Every transition of problems, alerts, runs and deliveries, and every remark; from now or from an id."""
    events: Events = request.app.state.events
    who = await asker(request)
    since = last_event_id if last_event_id is not None else after
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(
        events.listen(since, entity, who.teams if who else frozenset()),
        media_type="text/event-stream",
        headers=headers,
    )
