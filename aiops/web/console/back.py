"""Pages that look back and around: ledger, audit, log patterns, topology."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from aiops.core.ledger import Entry, Outcome, summarise
from aiops.core.log_shown import pace
from aiops.model.series import fingerprint
from aiops.store import ledger, log_templates, trail, views
from aiops.web import points
from aiops.web.api import slis
from aiops.web.api.ledger import pages
from aiops.web.api.paging import PagingDep, decode, encode
from aiops.web.console.access import Visitor
from aiops.web.console.bars import lead_bars
from aiops.web.console.map import drawn
from aiops.web.console.pages import ailing
from aiops.web.console.render import renderer_of
from aiops.web.console.spark import spark
from aiops.web.errors import not_found
from aiops.web.inputs import Words
from aiops.web.patterns import per_second, whole_pattern
from aiops.web.security import EngineDep
from aiops.web.teams import teams_of

router = APIRouter()

Text = Annotated[Words, Query(max_length=300)]
SPANS = {"7d": 7 * 86400.0, "30d": 30 * 86400.0, "90d": 90 * 86400.0, "365d": 365 * 86400.0}
MOST = 5000
"""Problems that the ledger is made of, the latest: 50 ms of them."""
LISTED = 200


@router.get("/ledger")
async def told(request: Request, engine: EngineDep, who: Visitor, within: Text = "30d") -> Response:
    """How early problems were told, what came unannounced, and how much noise was spared."""
    span = within if within in SPANS else "30d"
    since = engine.clock.now() - SPANS[span]
    rows, noise = await asyncio.gather(
        engine.db.read(ledger.rows, since, MOST, LISTED), engine.db.read(ledger.noise, since)
    )
    entries = [Entry.of(row) for row in rows]
    shown = [(row["id"], entry) for row, entry in zip(rows, entries, strict=True)][:LISTED]
    return await renderer_of(request).page(
        request,
        "ledger.html",
        who,
        span=span,
        spans=list(SPANS),
        found=summarise(entries),
        noise=noise,
        verdicts=await engine.db.read(ledger.verdicts, since),
        pages=await pages(engine, SPANS[span]),
        bars=lead_bars([entry.lead for entry in entries]),
        slis=[] if teams_of(engine) else slis.told(engine),
        items=shown,
        outcomes=Outcome,
    )


@router.get("/uplift")
async def helped(request: Request, engine: EngineDep, who: Visitor, within: Text = "90d") -> Response:
    """Whether playbooks help."""
    span = within if within in SPANS else "90d"
    items = await request.app.state.weighed.look(engine, SPANS[span])
    return await renderer_of(request).page(
        request, "uplift.html", who, items=items, span=span, spans=list(SPANS)
    )


@router.get("/audit")
async def audit(
    request: Request,
    engine: EngineDep,
    who: Visitor,
    paging: PagingDep,
    entity: Text = "",
    actor: Text = "",
    q: Text = "",
) -> Response:
    """Everything that changed anything, whose doing it was, and why; the latest first."""
    chosen = {"entity": entity.strip(), "actor": actor.strip(), "q": q.strip()}
    narrow = trail.TrailFilter(chosen["entity"], chosen["actor"], chosen["q"])
    rows = await engine.db.read(trail.page, narrow, paging.before, paging.limit + 1)
    cut = paging.cut(rows)
    url = f"?{request.url.include_query_params(cursor=cut['next']).query}" if cut["next"] else None
    context = {"items": cut["items"], "next": url, "chosen": chosen}
    return await renderer_of(request).page(request, "audit.html", who, **context)


@router.get("/patterns")
async def patterns(
    request: Request, engine: EngineDep, who: Visitor, q: Text = "", order: Text = "lines", cursor: Text = ""
) -> Response:
    """The patterns that log lines follow, with how often each was seen."""
    by = order if order in log_templates.ORDERS else "lines"
    skip = decode(cursor) if cursor else 0
    rows = await engine.db.read(log_templates.listed, q.strip(), by, skip, 101, engine.config.team)
    more = (
        f"?{request.url.include_query_params(cursor=encode(skip + 100)).query}" if len(rows) > 100 else None
    )
    context: dict[str, Any] = {"items": rows[:100], "next": more, "chosen": {"q": q, "order": by}}
    context["most"] = max((row["lines"] for row in rows), default=1)
    return await renderer_of(request).page(request, "patterns.html", who, **context)


@router.get("/patterns/{name}")
async def pattern(
    request: Request, engine: EngineDep, who: Visitor, name: Annotated[Words, Path(max_length=64)]
) -> Response:
    """One pattern: its rate over time, lines of it, and the problems that it took part in."""
    whole = await whole_pattern(engine, name)
    if whole is None:
        raise not_found("pattern", name)
    lines = [(fingerprint(labels), labels, points.recent(engine, labels)) for labels in whole["series"]]
    charts = [{"id": ident, "labels": labels, "drawn": spark(line)} for ident, labels, line in lines]
    context: dict[str, Any] = {"pattern": whole, "charts": charts, "pace": pace(per_second(whole))}
    return await renderer_of(request).page(request, "pattern.html", who, **context)


@router.get("/topology")
async def topology(request: Request, engine: EngineDep, who: Visitor, q: Text = "") -> Response:
    """What calls what, and where it hurts. `q`: only what is within two hops of it."""
    graph = engine.topology()
    links = graph.links()
    every = {name for link in links for name in link}
    wanted = {name for name in every if q.strip().lower() in name.lower()} if q.strip() else every
    shown = wanted.union(*(graph.near(name) for name in wanted)) if q.strip() else every
    ill = ailing(await engine.db.read(views.open_traits, "entity"))
    return await renderer_of(request).page(
        request,
        "topology.html",
        who,
        map=drawn(links, shown, ill, wanted if q.strip() else ()) if shown else None,
        links=links,
        ill={name: ill[name] for name in sorted(every & set(ill))},
        chosen={"q": q},
    )
