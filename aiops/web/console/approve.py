"""The page behind the link that a ticket carries: a look changes nothing, the form decides, once."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, HTTPException, Request
from fastapi.responses import Response
from sqlalchemy.engine import Connection

from aiops.core.approval_link import Link
from aiops.engine.approval_links import ApprovalLinks
from aiops.model.lifecycle import IllegalTransition, RunState
from aiops.model.role import Role
from aiops.store import approvals, runs, views
from aiops.store.approvals import Approver
from aiops.store.tables import problem as problem_table
from aiops.store.tables import run as run_table
from aiops.web.api.runs import approver_of
from aiops.web.console.access import same_origin
from aiops.web.console.render import renderer_of
from aiops.web.inputs import Words
from aiops.web.language import gettext, noted
from aiops.web.ports import Engine
from aiops.web.security import EngineDep, by_session

router = APIRouter(prefix="/approve")

OVER = noted("This link is not good any more: it was changed, or its time is over.")
USED = noted("This link was used already.")
DECIDED = noted("This run does not wait for approval any more.")


@router.get("/{text}")
async def look(request: Request, engine: EngineDep, text: str) -> Response:
    """What waits, and the form. Mail scanners and chats that look ahead at links do nothing by it."""
    link, row = await _waiting(engine, text)
    if link is None or row is None:
        return _page(request, 410, said=gettext(OVER))
    who = await _who(request, link)
    return _page(request, 200, run=row, who=who.name, said=_why_not(row, link))


@router.post("/{text}")
async def decide(
    request: Request,
    engine: EngineDep,
    text: str,
    decision: Annotated[str, Form(pattern="^(approve|refuse)$")],
    note: Annotated[Words, Form(max_length=1000)] = "",
) -> Response:
    """Approve or refuse, as whoever is signed in here, else as a reader of the ticket."""
    same_origin(request)
    link, row = await _waiting(engine, text)
    if link is None or row is None:
        return _page(request, 410, said=gettext(OVER))
    if said := _why_not(row, link):
        return _page(request, 409, run=row, said=said)
    who, now = await _who(request, link), engine.clock.now()
    try:
        if decision == "approve":
            await engine.db.run(approvals.give, link.run_id, who, now)
        else:
            await engine.db.run(approvals.refuse, link.run_id, who, now, note.strip())
    except approvals.NotAllowed as why:
        raise HTTPException(403, str(why)) from why
    except (runs.RunChanged, IllegalTransition) as why:
        return _page(request, 409, run=row, said=str(why))
    engine.runs_wake.set()
    _, row = await _waiting(engine, text)
    return _page(request, 200, run=row, done=decision)


async def _waiting(engine: Engine, text: str) -> tuple[Link | None, dict[str, Any] | None]:
    """The link, and its run with its problem's title and who has approved it; None where there is none."""
    link = ApprovalLinks(lambda: engine.config).read(text, engine.clock.now())
    return link, await engine.db.read(_run, link.run_id) if link else None


def _run(conn: Connection, run_id: int) -> dict[str, Any] | None:
    row = views.get(conn, run_table, run_id)
    if row is None:
        return None
    problem = views.get(conn, problem_table, row["problem_id"]) or {}
    return row | {"title": problem.get("title", ""), "given": approvals.given(conn, run_id)}


async def _who(request: Request, link: Link) -> Approver:
    """Whoever is signed in and may act; else the link's own holder, by the name of its sink."""
    found = await by_session(request)
    if found is not None and found.may(Role.RESPONDER):
        return approver_of(found)
    return Approver(link.holder, frozenset({link.sink}))


def _why_not(row: dict[str, Any], link: Link) -> str:
    """Why the link does nothing any more; empty while it does."""
    if any(one["given_by"] == link.holder for one in row["given"]):
        return gettext(USED)
    return "" if row["state"] == RunState.AWAITING_APPROVAL else gettext(DECIDED)


def _page(request: Request, status: int, **context: Any) -> Response:
    given = {"run": None, "who": "", "said": "", "done": ""} | context
    return renderer_of(request).bare(request, "approve.html", given, status)
