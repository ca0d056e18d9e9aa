"""Sources and the configuration: what runs, whether a text would, and taking it up."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.responses import Response

from aiops.config.complaint import ConfigError
from aiops.config.playbooks import PlaybookError
from aiops.web import schemas
from aiops.web.caps import Cap, caps
from aiops.web.errors import Invalid, responses, trouble
from aiops.web.redact import redacted
from aiops.web.security import Author, EngineDep

router = APIRouter(tags=["configuration"])


class ConfigText(BaseModel):
    text: str = Field(
        max_length=1_000_000, description="The whole YAML.", examples=["sources:\n  - {kind: host}\n"]
    )


@router.get("/sources", summary="Health of the sources", responses=responses(401))
async def sources(engine: EngineDep) -> schemas.Page[schemas.SourceOut]:
    """All of them, in the order of the file."""
    known = caps(engine.config)
    found = [(one, known.get(one.name, Cap())) for one in engine.sources()]
    return schemas.Page(items=[schemas.SourceOut.of(one, cap) for one, cap in found])


@router.get("/config", summary="The configuration that runs", responses=responses(401))
async def shown(engine: EngineDep) -> dict[str, Any]:
    """With every default filled in; secrets are references, and passwords in URLs are masked."""
    return redacted(engine.config)


@router.post("/config/check", summary="Check a configuration", responses=responses(401, 403, 422))
async def checked(engine: EngineDep, who: Author, body: ConfigText) -> schemas.Checked:
    """Nothing is changed; each complaint names line, column and key, and what was probably meant."""
    found = await engine.check_text(body.text)
    complaints = [schemas.ComplaintOut.model_validate(one) for one in found]
    return schemas.Checked(ok=not complaints, complaints=complaints)


@router.post(
    "/config/reload", status_code=204, summary="Take up the file anew", responses=responses(401, 403, 422)
)
async def reload(engine: EngineDep, who: Author) -> Response:
    """All or nothing: when anything is wrong with the file, the old configuration keeps running."""
    try:
        await engine.reload()
    except (ConfigError, PlaybookError) as why:
        errors = [
            Invalid(where=f"{one.place} {one.key}".strip(), message=one.message) for one in why.complaints
        ]
        return trouble(422, str(why), errors)
    return Response(status_code=204)
