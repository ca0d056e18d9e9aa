"""Templates to pages. Everything is escaped; a request by htmx gets only the live part of its page."""

import hashlib
import io
import json
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jinja2
from fastapi import Request
from fastapi.responses import HTMLResponse
from ruamel.yaml import YAML

from aiops.core import words as core_words
from aiops.model.role import Role
from aiops.store import views
from aiops.store.tokens import Principal
from aiops.web import sentences, times
from aiops.web.console import said, spark, words
from aiops.web.console.access import csrf_of
from aiops.web.console.log_evidence import log_shown
from aiops.web.language import LANGUAGES, gettext, language, ngettext
from aiops.web.security import engine_of
from aiops.web.series import watch

ROOM = Path(__file__).resolve().parent.parent
STATIC = ROOM / "static"


class Renderer:
    """The template environment of one app."""

    def __init__(self) -> None:
        self._env = jinja2.Environment(
            loader=jinja2.FileSystemLoader(ROOM / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.i18n"],
        )
        self._env.install_gettext_callables(gettext, ngettext, newstyle=True)  # type: ignore[attr-defined]
        self._env.filters |= {
            "duration": words.lasting,
            "number": _number,
            "clock": times.clock,
            "stamp": times.stamp,
            "instant": times.instant,
            "day": times.day,
            "labels": words.shown_labels,
            "pretty": _pretty,
            "sentence": words.sentence,
            "told": sentences.told,
            "together": words.together,
        }
        self._env.globals |= {
            "asset": asset,
            "words": words,
            "spark": spark,
            "log_shown": log_shown,
            "said": said,
            "language": language,
            "times": times,
        }
        self._env.globals["languages"] = LANGUAGES

    async def page(
        self, request: Request, template: str, who: Principal | None, status: int = 200, **context: Any
    ) -> HTMLResponse:
        """`template` as a whole page, or as its live part for htmx."""
        engine = engine_of(request)
        partial = request.headers.get("HX-Request") == "true"
        common = {
            "layout": "live.html" if partial else "page.html",
            "now": engine.clock.now(),
            "path": request.url.path,
            "here": _here(request),
            "who": who,
            "may": lambda role: who is not None and who.may(Role(role)),
            "csrf": csrf_of(request) if who else "",
            "counts": await engine.db.read(views.counts),
            "watch": watch(engine),
            "ready": engine.ready(),
        }
        text = self._env.get_template(template).render(common | context)
        return HTMLResponse(text, status, headers={"Vary": "HX-Request, Cookie, Accept-Language"})

    def bare(
        self, request: Request, template: str, context: dict[str, Any], status: int = 200
    ) -> HTMLResponse:
        """A page without navigation, which needs neither store nor engine."""
        common = {"here": _here(request)}
        return HTMLResponse(self._env.get_template(template).render(common | context), status)


def renderer_of(request: Request) -> Renderer:
    """The app's one renderer."""
    renderer: Renderer = request.app.state.renderer
    return renderer


def _here(request: Request) -> str:
    """The page's own address for polling; after an action it is the page that the form stands on."""
    path = request.scope.get("forewarn_page", request.url.path)
    query = urlencode([(k, v) for k, v in request.query_params.multi_items() if v])
    return f"{path}?{query}" if query else str(path)


@cache
def asset(name: str) -> str:
    """The URL of a static file, with its content's hash, so that it can be cached for good."""
    path = STATIC / name
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12] if path.is_file() else "missing"
    return f"/static/{name}?v={digest}"


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _number(value: float | None, metric: str = "") -> str:
    return "" if value is None else core_words.number(float(value), metric)


def as_yaml(value: Any) -> str:
    """In block style."""
    out = io.StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.width = 110
    yaml.dump(value, out)
    return out.getvalue()
