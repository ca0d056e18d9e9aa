"""The settings page: the file against what runs, and a text to try."""

import asyncio
import difflib
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from aiops.config import Config
from aiops.config.complaint import ConfigError
from aiops.config.playbooks import PlaybookError
from aiops.config.read import PACKAGED, check, move_data
from aiops.model.role import Role
from aiops.store.tokens import Principal
from aiops.web.console.access import Author, Visitor
from aiops.web.console.render import as_yaml, renderer_of
from aiops.web.ports import Engine
from aiops.web.redact import redacted
from aiops.web.security import EngineDep

router = APIRouter()


@router.get("/settings")
async def settings(request: Request, engine: EngineDep, who: Visitor) -> Response:
    """What the file says, and what runs."""
    return await _page(request, engine, who)


@router.post("/settings/check")
async def tried(
    request: Request, engine: EngineDep, who: Author, text: Annotated[str, Form(max_length=1_000_000)] = ""
) -> Response:
    """Only looked at: nothing is changed."""
    config, complaints = await asyncio.to_thread(check, text, str(engine.config_path or PACKAGED))
    diff = _diff(engine.config, config) if config else []
    return await _page(request, engine, who, tried=text, trial=complaints, trial_diff=diff)


@router.post("/settings/reload")
async def reload(request: Request, engine: EngineDep, who: Author) -> Response:
    """All or nothing; what is wrong with the file then stands on the page."""
    try:
        await engine.reload()
    except (ConfigError, PlaybookError) as why:
        return await _page(request, engine, who, 422, wrong=str(why))
    return RedirectResponse("/settings", 303)


async def _page(
    request: Request, engine: Engine, who: Principal | None, status: int = 200, **more: Any
) -> Response:
    request.scope["forewarn_page"] = "/settings"
    path = engine.config_path or PACKAGED
    text = await asyncio.to_thread(_text, path)
    config, complaints = await asyncio.to_thread(check, text, str(path))
    if config is not None:
        move_data(config, engine.config.data)  # as a reload does
    context: dict[str, Any] = {
        "path_of": path.name if engine.config_path else "",
        # secrets may stand in it as they should not: who may not change it sees what is masked only
        "file_text": text if who and who.may(Role.AUTHOR) else "",
        "complaints": complaints,
        "diff": _diff(engine.config, config) if config else [],
        "running": as_yaml(redacted(engine.config)),
        "wrong": "",
        "tried": None,
        "trial": [],
        "trial_diff": [],
    }
    return await renderer_of(request).page(request, "settings.html", who, status, **context | more)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _diff(old: Config, new: Config) -> list[str]:
    """What `new` would change, as lines of a unified diff of the masked YAML."""
    masked = redacted(old), redacted(new)
    if masked[0] == masked[1]:
        return []  # writing YAML takes 50 ms each
    before, after = (as_yaml(one).splitlines() for one in masked)
    return list(difflib.unified_diff(before, after, "runs", "file", lineterm="", n=2))[2:]
