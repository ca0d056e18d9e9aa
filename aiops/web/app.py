"""The one ASGI app: API, console and operations, made for one engine."""

from fastapi import APIRouter, Depends, FastAPI
from starlette.middleware.gzip import GZipMiddleware

import aiops
from aiops.web import ops
from aiops.web.api import (
    access,
    alerts,
    autonomy,
    back,
    config,
    deliveries,
    events,
    handling,
    holds,
    inbound,
    ledger,
    problems,
    runs,
    series,
    silences,
    slis,
)
from aiops.web.attempts import Attempts
from aiops.web.away import Away
from aiops.web.console import install as install_console
from aiops.web.console.install import error_page
from aiops.web.events import Events
from aiops.web.hooks import webhooks
from aiops.web.named import Named
from aiops.web.openapi import describe
from aiops.web.passwords import Passwords
from aiops.web.ports import Engine
from aiops.web.repeats import Repeats, Tags
from aiops.web.security import Guard, reader
from aiops.web.series import Finder
from aiops.web.session import Signer, session_key

TAGS = [
    {"name": "problems", "description": "Alerts with one likely cause: read them, say what people decided."},
    {
        "name": "alerts",
        "description": "Debounced anomalies and breaches, with what was observed around them.",
    },
    {"name": "series", "description": "What is watched, and how ready its detectors are."},
    {"name": "runs", "description": "Attempts of playbooks: plan, steps, approvals."},
    {"name": "holds", "description": "Playbooks that may not act until a person lets them."},
    {"name": "deliveries", "description": "The outbox: what the ITSM was told, and what it would not take."},
    {"name": "silences", "description": "Alerts that are not to become problems for a while."},
    {"name": "access", "description": "Tokens and accounts: who may come in, and what they may do."},
    {"name": "configuration", "description": "Sources and the one YAML file."},
    {"name": "inbound", "description": "What ticket systems say; each proves itself in its own way."},
    {"name": "events", "description": "What happens, as it happens."},
    {"name": "operations", "description": "Metrics, health, readiness, reload."},
]
ABOUT = (
    "Times are ISO 8601 in UTC, lists are newest first and paged by an opaque cursor, errors are "
    "`application/problem+json` (RFC 9457). Reading is open on loopback; what changes something needs "
    "`Authorization: Bearer fw_...`. A GET carries an ETag (`If-None-Match`); a POST with an "
    "`Idempotency-Key` is done once, and its repeats within a day get the same answer."
)


def create_app(engine: Engine) -> FastAPI:
    """The app for `engine`. Reads or makes the session key in the config's data folder."""
    app = FastAPI(
        title="Forewarn",
        version=aiops.__version__,
        description=ABOUT,
        openapi_tags=TAGS,
        webhooks=webhooks(),
        openapi_url="/api/v1/openapi.json",
        # Both load scripts from another host; the console's own policy forbids that
        docs_url=None,
        redoc_url=None,
    )
    app.state.engine = engine
    app.state.finder = Finder(engine)
    app.state.signer = Signer(session_key(engine.config.data))
    app.state.passwords = Passwords()
    app.state.attempts = Attempts()
    app.state.events = Events(engine)
    app.add_middleware(Repeats, engine=engine)
    app.add_middleware(Away, page=error_page)
    app.add_middleware(Tags)
    web = engine.config.web
    # SSE is left out by its type. What BREACH needs, another site's requests with our cookie, there is not:
    # the cookie is SameSite=Strict
    app.add_middleware(GZipMiddleware, minimum_size=1000, compresslevel=3)
    app.add_middleware(Guard, listen=web.host, url=web.url, hosts=web.hosts)
    app.add_middleware(Named)
    app.include_router(_api())
    app.include_router(inbound.router, prefix="/api/v1")
    app.include_router(ops.router)
    install_console(app)
    describe(app)
    return app


def _api() -> APIRouter:
    api = APIRouter(prefix="/api/v1", dependencies=[Depends(reader)])
    for room in (
        problems,
        handling,
        events,
        alerts,
        series,
        runs,
        holds,
        deliveries,
        silences,
        slis,
        ledger,
        autonomy,
        back,
        access,
        config,
    ):
        api.include_router(room.router)
    return api
