"""The pages that people live on: Now, and the problem."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import PlainTextResponse, Response
from sqlalchemy.engine import Connection

from aiops.core.components import entity_of
from aiops.core.playbook import Playbook
from aiops.model.frame import Change
from aiops.model.lifecycle import ACTS, Act, ProblemState
from aiops.model.signal import Severity
from aiops.store import causes, views
from aiops.store.tables import alert as alert_table
from aiops.store.tables import problem as problem_table
from aiops.web import points
from aiops.web.api.problems import whole_problem
from aiops.web.console.access import Visitor
from aiops.web.console.evidence import drawn, grouped
from aiops.web.console.map import Map, neighbourhood
from aiops.web.console.markdown import problem_text
from aiops.web.console.render import renderer_of
from aiops.web.console.spark import Spark, spark
from aiops.web.console.timeline import entries
from aiops.web.errors import not_found
from aiops.web.inputs import Ident
from aiops.web.plans import fitting
from aiops.web.ports import Engine
from aiops.web.security import EngineDep

router = APIRouter()

SHOWN = 50
"""Open problems a page of Now."""
RECENTLY = 86400.0
"""Seconds for which a resolved problem stays on Now."""
BEFORE = 3600.0
"""Seconds before a problem's first sign from which changes are shown."""
CHANGES = 20
CHARTS = 6
"""Series charted on a problem's page; the alerts beyond are listed."""


def ranked(conn: Connection, now: float, skip: int) -> dict[str, Any]:
    """Now: open problems by urgency and the latest resolved ones, with alert, evidence and run of each."""
    open_ = views.open_problems(conn, now, skip, SHOWN)
    over = [] if skip else views.resolved_problems(conn, now - RECENTLY, 8)
    return {"open": open_, "over": over} | beside(conn, [*open_, *over])


def beside(conn: Connection, problems: Sequence[views.Row]) -> dict[str, Any]:
    """What a list of problems shows beside each: worst alert, that alert's evidence, newest run, cause."""
    ids = [one["id"] for one in problems]
    worst = views.worst_alerts(conn, ids)
    return {
        "worst": worst,
        "evidence": views.evidence_of(conn, [one["id"] for one in worst.values()]),
        "runs": views.latest_runs(conn, ids),
        "causes": causes.of_problems(conn, ids),
    }


def sparks(engine: Engine, found: dict[str, Any]) -> dict[int, Spark | None]:
    """Problem id -> the line of its worst alert."""
    drawn = {}
    for problem_id, alert in found["worst"].items():
        line = points.of_alert(engine, alert, found["evidence"].get(alert["id"]))
        drawn[problem_id] = spark(line, alert["started"])
    return drawn


@router.get("/")
async def now_page(
    request: Request, engine: EngineDep, who: Visitor, skip: Annotated[int, Query(ge=0, le=100_000)] = 0
) -> Response:
    """Most urgent first, from the `skip`th on; when there is nothing, what is watched and how ready it is."""
    found = await engine.db.read(ranked, engine.clock.now(), skip)
    context = found | {"sparks": sparks(engine, found), "sources": engine.sources()}
    context |= {"skipped": skip, "shown": SHOWN}
    return await renderer_of(request).page(request, "now.html", who, **context)


@router.get("/problems/{problem_id}.md")
async def problem_markdown(
    request: Request, engine: EngineDep, who: Visitor, problem_id: Ident
) -> PlainTextResponse:
    """The problem's page as Markdown, for a chat or a review."""
    whole = await engine.db.read(whole_problem, problem_id)
    if whole is None:
        raise not_found("problem", problem_id)
    url = f"{str(request.base_url).rstrip('/')}/problems/{problem_id}"
    text = problem_text(whole, engine.clock.now(), url)
    return PlainTextResponse(text, media_type="text/markdown; charset=utf-8")


@router.get("/problems/{problem_id}")
async def problem_page(request: Request, engine: EngineDep, who: Visitor, problem_id: Ident) -> Response:
    return await render_problem(request, engine, who, problem_id)


async def render_problem(request: Request, engine: Engine, who: Visitor, problem_id: Ident) -> Response:
    """The problem's page, also as the answer to an action on it."""
    found = await engine.db.read(_page, problem_id, engine.playbooks())
    if found is None:
        raise not_found("problem", problem_id)
    request.scope["forewarn_page"] = f"/problems/{problem_id}"
    whole, charts = found["problem"], grouped(found["problem"]["alerts"])
    context: dict[str, Any] = found | {
        "charts": drawn(engine, charts[:CHARTS], found["evidence"]),
        "more": [one for chart in charts[CHARTS:] for one in chart.alerts],
        "story": entries(whole),
        "map": await _map(engine, whole["alerts"]),
        "acts": ACTS[ProblemState(whole["state"])],
        "acting": engine.config.remediation.enabled,
    }
    return await renderer_of(request).page(request, "problem.html", who, **context)


def _page(conn: Connection, problem_id: int, playbooks: Mapping[str, Playbook]) -> dict[str, Any] | None:
    """``problem``, ``evidence`` of its charts, ``plans`` that fit, ``news``; None when there is no such."""
    whole = whole_problem(conn, problem_id)
    if whole is None:
        return None
    sources = [one.source["id"] for one in grouped(whole["alerts"])[:CHARTS]]
    acts = ACTS[ProblemState(whole["state"])]
    return {
        "problem": whole,
        "evidence": views.evidence_of(conn, sources),
        "plans": fitting(conn, whole, whole["alerts"], playbooks) if Act.REMEDIATE in acts else [],
        "news": _changes(conn, whole),
    }


def _changes(conn: Connection, problem: views.Row) -> list[Change]:
    """Deploys, rollouts and the like from before it began until it was over, the latest last."""
    began = min([problem["opened"], *(one["started"] for one in problem["alerts"])])
    found = causes.changes(conn, began - BEFORE, CHANGES)
    return [one for one in found if one.time <= (problem["resolved"] or math.inf)]


async def _map(engine: Engine, alerts: Sequence[views.Row]) -> Map | None:
    """What is around the problem; who else is in trouble is asked only where there is something to draw."""
    topology, named = engine.topology(), _components(engine, alerts)
    if not any(topology.neighbours(name) for name in named):
        return None
    return neighbourhood(topology, named, ailing(await engine.db.read(views.open_traits, "entity")))


def _components(engine: Engine, alerts: Sequence[views.Row]) -> list[str]:
    """The components that a problem's alerts are on, those that fire first."""
    by = engine.config.grouping.by
    return [name for one in alerts if (name := entity_of(tuple(one["labels"].items()), by))]


def ailing(entities: Iterable[tuple[str, str, int]]) -> dict[str, tuple[str, int]]:
    """Component -> (severity, id) of the gravest open problem on it; of `views.open_traits`."""
    levels = {str(one): one.level for one in Severity}
    return {
        name: (severity, ident) for name, severity, ident in sorted(entities, key=lambda one: levels[one[1]])
    }


@router.get("/alerts/{alert_id}")
async def alert_page(request: Request, engine: EngineDep, who: Visitor, alert_id: Ident) -> Response:
    """One alert with its chart, for alerts that became no problem too."""
    row = await engine.db.read(views.get, alert_table, alert_id)
    if row is None:
        raise not_found("alert", alert_id)
    stored = await engine.db.read(views.evidence_of, [alert_id])
    (chart,) = drawn(engine, grouped([row]), stored)
    problem = None
    if row["problem_id"] is not None:
        problem = await engine.db.read(views.get, problem_table, row["problem_id"])
    return await renderer_of(request).page(request, "alert.html", who, alert=row, problem=problem, one=chart)
