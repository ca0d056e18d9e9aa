"""Mounts pages, actions and static files on the app."""

import logging
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from aiops.web import errors
from aiops.web.api.autonomy import Weighed
from aiops.web.console import actions, approve, back, handling, lists, pages, people, settings, signin, single
from aiops.web.console.access import SignInFirst
from aiops.web.console.render import STATIC, Renderer
from aiops.web.language import Speak

log = logging.getLogger("aiops.web")


class Assets(StaticFiles):
    """Static files; one asked for by its content's hash (``?v=``) never changes."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        answer = await super().get_response(path, scope)
        lasting = b"v=" in scope.get("query_string", b"")
        answer.headers["Cache-Control"] = "public, max-age=31536000, immutable" if lasting else "no-cache"
        return answer


def install(app: FastAPI) -> None:
    """Add the console to `app`; says so in the log when the build hook did not bring its assets."""
    if not Path(STATIC, "vendor", "htmx.min.js").is_file():
        log.warning("the console is not live and draws no charts: run `python hatch_build.py` for its assets")
    app.add_middleware(Speak)
    app.state.renderer = Renderer()
    app.state.weighed = Weighed()
    app.mount("/static", Assets(directory=STATIC), name="static")
    for room in (approve, pages, lists, back, handling, actions, settings, people, signin, single):
        app.include_router(room.router, include_in_schema=False)
    errors.install(app, error_page)

    @app.exception_handler(SignInFirst)
    async def _sign_in(request: Request, why: SignInFirst) -> Response:
        answer: Response = RedirectResponse(why.url, 303)
        if request.headers.get("HX-Request"):
            answer = Response(status_code=204, headers={"HX-Redirect": why.url})
        return answer


def error_page(request: Request, status: int, detail: str) -> Response | None:
    """An HTML page for people; None where a machine or a script asked."""
    machine = request.url.path.startswith(("/api/", "/-/", "/metrics", "/static/"))
    if machine or "HX-Request" in request.headers or "text/html" not in request.headers.get("accept", ""):
        return None
    renderer: Renderer = request.app.state.renderer
    context: dict[str, Any] = {"status": status, "detail": detail}
    return renderer.bare(request, "error.html", context, status)
