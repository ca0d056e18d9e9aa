"""Lists: problems, alerts, series, runs, deliveries, silences, sources."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from sqlalchemy.engine import Connection

from aiops.config import Config
from aiops.model.lifecycle import AlertState, DeliveryState, ProblemState, RunState, Stage
from aiops.model.selector import SelectorError
from aiops.model.signal import AlertKind, Severity
from aiops.store import audit, flagged, outbox, silences, views
from aiops.web import points
from aiops.web.api.autonomy import standings
from aiops.web.api.deliveries import whole_delivery
from aiops.web.api.paging import Paging, PagingDep, decode, encode
from aiops.web.api.runs import whole_run
from aiops.web.api.series import finder_of
from aiops.web.caps import caps
from aiops.web.console.access import Visitor
from aiops.web.console.pages import beside, sparks
from aiops.web.console.render import as_yaml, renderer_of
from aiops.web.console.spark import spark
from aiops.web.console.timeline import entries
from aiops.web.errors import not_found
from aiops.web.inputs import LARGEST, Ident, Words
from aiops.web.plans import plan_difference
from aiops.web.ports import Engine
from aiops.web.redact import redacted
from aiops.web.security import EngineDep

router = APIRouter()

WAITING = 20
"""Runs that wait for approval and are shown whole."""
FLAGGED = 7 * 86400.0
"""Seconds for which a series' page tells when it was flagged."""
Text = Annotated[Words, Query(max_length=300)]
_LIVE_RUNS = (RunState.QUEUED, RunState.AWAITING_APPROVAL, RunState.RUNNING, RunState.VERIFYING)


def _one_of(value: str, known: Any) -> str:
    """A filter from the address bar: what is not known narrows nothing."""
    return value if value in list(known) else ""


def _next(request: Request, paging: Paging, rows: list[views.Row]) -> dict[str, Any]:
    """The page's ``items``, and the address of the page after (None at the end)."""
    cut = paging.cut(rows)
    url = str(request.url.include_query_params(cursor=cut["next"]).query) if cut["next"] else ""
    return {"items": cut["items"], "next": f"?{url}" if url else None}


@router.get("/problems")
async def problems(
    request: Request,
    engine: EngineDep,
    who: Visitor,
    paging: PagingDep,
    state: Text = "",
    stage: Text = "",
    severity: Text = "",
    q: Text = "",
) -> Response:
    """All problems, ended ones too."""
    chosen = {
        "state": _one_of(state, ProblemState),
        "stage": _one_of(stage, Stage),
        "severity": _one_of(severity, Severity),
        "q": q.strip(),
    }
    states = (chosen["state"],) if chosen["state"] else ()
    labels, words = _label_words(chosen["q"])
    narrow = views.ProblemFilter(states, chosen["stage"], chosen["severity"], labels, words)
    rows = await engine.db.read(views.problems, narrow, paging.before, paging.limit + 1)
    page = _next(request, paging, rows)
    found = await engine.db.read(beside, page["items"])
    context = page | found | {"sparks": sparks(engine, found), "chosen": chosen}
    return await renderer_of(request).page(request, "problems.html", who, **context)


def _label_words(text: str) -> tuple[tuple[tuple[str, str], ...], str]:
    """``service=web disk`` -> the label ``service=web`` and the words ``disk``."""
    parts = text.split()
    labels = tuple((name, value) for name, _, value in (p.partition("=") for p in parts if "=" in p) if name)
    return labels, " ".join(p for p in parts if "=" not in p)


@router.get("/alerts")
async def alerts(
    request: Request,
    engine: EngineDep,
    who: Visitor,
    paging: PagingDep,
    state: Text = "",
    kind: Text = "",
    q: Text = "",
    problem: Annotated[int | None, Query(ge=1, le=LARGEST)] = None,
) -> Response:
    chosen = {"state": _one_of(state, AlertState), "kind": _one_of(kind, AlertKind), "q": q.strip()}
    states = (chosen["state"],) if chosen["state"] else ()
    narrow = views.AlertFilter(states, chosen["kind"], problem, chosen["q"])
    rows = await engine.db.read(views.alerts, narrow, paging.before, paging.limit + 1)
    context = _next(request, paging, rows) | {"chosen": chosen | {"problem": problem}}
    return await renderer_of(request).page(request, "alerts.html", who, **context)


@router.get("/series")
async def series(
    request: Request, engine: EngineDep, who: Visitor, q: Text = "", cursor: Text = ""
) -> Response:
    """By selector or words; a selector that cannot be read is explained beside the field."""
    wrong, items, more = "", list[Any](), None
    try:
        items, more = finder_of(request).search(q.strip(), decode(cursor) if cursor else 0, 60)
    except SelectorError as why:
        wrong = str(why)
    lines = {one.id: points.recent(engine, one.labels) for one in items}
    drawn = {ident: spark(line) for ident, line in lines.items()}
    latest = {i: float(line["observed"][-1]) for i, line in lines.items() if len(line["observed"])}
    url = f"?{request.url.include_query_params(cursor=encode(more)).query}" if more is not None else None
    return await renderer_of(request).page(
        request,
        "series.html",
        who,
        items=items,
        next=url,
        sparks=drawn,
        latest=latest,
        wrong=wrong,
        chosen={"q": q},
    )


@router.get("/series/{series_id}")
async def one_series(request: Request, engine: EngineDep, who: Visitor, series_id: str) -> Response:
    found = await finder_of(request).get(series_id)
    if found is None:
        raise not_found("series", series_id)
    line = points.recent(engine, found.labels)
    latest = {name: float(column[-1]) for name, column in line.items() if len(column)}
    since = engine.clock.now() - FLAGGED
    context: dict[str, Any] = {"series": found, "latest": latest, "drawn": spark(line)}
    context["flagged"] = await engine.db.read(flagged.of_series, found.labels, since, 20)
    return await renderer_of(request).page(request, "series_one.html", who, **context)


@router.get("/runs")
async def runs(
    request: Request, engine: EngineDep, who: Visitor, paging: PagingDep, state: Text = ""
) -> Response:
    chosen = {"state": "live" if state == "live" else _one_of(state, RunState)}
    states: tuple[str, ...] = (chosen["state"],) if chosen["state"] else ()
    narrow = views.RunFilter(_LIVE_RUNS if chosen["state"] == "live" else states)
    rows = await engine.db.read(views.runs, narrow, paging.before, paging.limit + 1)
    everybody_s = [] if who and who.teams else await standings(engine)
    context = _next(request, paging, rows) | {"chosen": chosen, "autonomy": everybody_s}
    first = not chosen["state"] and paging.before is None
    context["inbox"] = await engine.db.read(_inbox) if first else []
    return await renderer_of(request).page(request, "runs.html", who, **context)


@router.get("/runs/{run_id}")
async def one_run(request: Request, engine: EngineDep, who: Visitor, run_id: Ident) -> Response:
    row = await engine.db.read(whole_run, run_id)
    if row is None:
        raise not_found("run", run_id)
    trail = await engine.db.read(audit.of_problem, row["problem_id"])
    mine = [one for one in trail if (one["entity"], one["entity_id"]) == ("run", str(run_id))]
    context: dict[str, Any] = {"run": row, "story": entries({"timeline": mine, "runs": [row]})}
    context["diff"] = await engine.db.read(plan_difference, row, engine.playbooks())
    return await renderer_of(request).page(request, "run.html", who, **context)


def _inbox(conn: Connection) -> list[views.Row]:
    """The runs that wait for approval, the newest first, each as its own page shows it."""
    rows = views.runs(conn, views.RunFilter((RunState.AWAITING_APPROVAL,)), None, WAITING)
    return [row | (whole_run(conn, row["id"]) or {}) for row in rows]


@router.get("/deliveries")
async def deliveries(
    request: Request,
    engine: EngineDep,
    who: Visitor,
    paging: PagingDep,
    state: Text = "",
    sink: Text = "",
    revived: Annotated[int | None, Query(ge=0)] = None,
    overtaken: Annotated[int, Query(ge=0)] = 0,
) -> Response:
    """`revived` and `overtaken`: what came of sending all dead letters again, just now."""
    chosen = {"state": _one_of(state, DeliveryState), "sink": sink}
    narrow = views.DeliveryFilter(chosen["state"], sink)
    rows = await engine.db.read(views.deliveries, narrow, paging.before, paging.limit + 1)
    context = _next(request, paging, rows) | {"chosen": chosen, "sinks": engine.config.sinks}
    context |= {"revived": revived, "overtaken": overtaken, "dead": await engine.db.read(outbox.dead_by_sink)}
    return await renderer_of(request).page(request, "deliveries.html", who, **context)


@router.get("/deliveries/{delivery_id}")
async def one_delivery(request: Request, engine: EngineDep, who: Visitor, delivery_id: Ident) -> Response:
    row = await engine.db.read(whole_delivery, delivery_id)
    if row is None:
        raise not_found("delivery", delivery_id)
    return await renderer_of(request).page(request, "delivery.html", who, delivery=row)


@router.get("/silences")
async def silence_list(request: Request, engine: EngineDep, who: Visitor, match: Text = "") -> Response:
    """Those made here, those of the file, and the form; `match` fills the form in."""
    return await render_silences(request, engine, who, {"match": match, "duration": "2h", "reason": ""})


async def render_silences(
    request: Request, engine: Engine, who: Visitor, typed: dict[str, str], wrong: str = ""
) -> Response:
    """The page, with what was `typed` into its form, and what is `wrong` with that."""
    request.scope["forewarn_page"] = "/silences"
    found = await engine.db.read(silences.listed, engine.clock.now(), expired=True)
    context = {
        "items": found,
        "declared": engine.config.silences,
        "windows": engine.config.maintenance,
        "typed": typed,
        "wrong": wrong,
    }
    status = 422 if wrong else 200
    return await renderer_of(request).page(request, "silences.html", who, status, **context)


@router.get("/sources")
async def sources(request: Request, engine: EngineDep, who: Visitor) -> Response:
    context: dict[str, Any] = {"configured": _configured(engine.config), "caps": caps(engine.config)}
    return await renderer_of(request).page(request, "sources.html", who, items=engine.sources(), **context)


def _configured(config: Config) -> dict[str, dict[str, Any]]:
    """Source name -> ``every`` (s; None for one that pushes), and its whole block as ``text``."""
    shown = redacted(config)["sources"]
    return {
        one.name: {"every": getattr(one, "every", None), "text": as_yaml(block)}
        for one, block in zip(config.sources, shown, strict=True)
    }
