"""Webhooks of ticket systems: what people did to a ticket. Each sink checks who speaks in its own way."""

from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel, Field

from aiops.plugin import Fatal, Retryable, Unproven
from aiops.web.errors import responses
from aiops.web.security import EngineDep

router = APIRouter(prefix="/inbound", tags=["inbound"])

LARGEST = 1_000_000
"""Bytes of a body."""


class Taken(BaseModel):
    """What became of it."""

    news: int = Field(description="Changes that were not known yet; 0 for a repeat.")


@router.post("/{sink}", summary="Hear from a ticket system", responses=responses(401, 404, 413, 422, 503))
async def hear(engine: EngineDep, request: Request, sink: str) -> Taken:
    """Signed as the sink's kind asks for; needs no token of ours. Repeats do no harm."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > LARGEST:
            raise HTTPException(413, f"more than {LARGEST} bytes")
    headers = {name.lower(): value for name, value in request.headers.items()}
    try:
        return Taken(news=await engine.hear(sink, headers, body))
    except LookupError as why:
        raise HTTPException(404, f"there is no sink {sink!r}") from why
    except Unproven as why:
        raise HTTPException(401, str(why)) from why
    except Retryable as why:
        # the sender is to try again; polling would make up for it, too
        raise HTTPException(503, str(why)) from why
    except Fatal as why:
        raise HTTPException(422, str(why)) from why
