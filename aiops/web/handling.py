"""What people do to problems, checked before the pipeline hears of it: for API and console alike."""

from typing import Any

from fastapi import HTTPException
from sqlalchemy.engine import Connection

from aiops.engine.messages import Handling, Judge, Link, Merge, Remediate, Split, concerned
from aiops.model.lifecycle import Act, IllegalTransition, ProblemState, check_act
from aiops.store import views
from aiops.store.tables import problem as problem_table
from aiops.web.errors import not_found
from aiops.web.plans import plans
from aiops.web.ports import Engine


async def tell(engine: Engine, act: Act, message: Handling) -> dict[str, Any]:
    """Hand `message` to the pipeline, and give the problem's row as it was.

    Raises 404 for a problem that is not there, 409 (`IllegalTransition`) for what its state does not allow,
    422 for what makes no sense.
    """
    rows = await engine.db.read(_rows, concerned(message))
    for ident, row in rows.items():
        if row is None:
            raise not_found("problem", ident)
    row = rows[message.problem_id] or {}
    check_act(ProblemState(row["state"]), act)
    match message:
        case Merge(into_id=other) | Judge(duplicate_of=other) if other:
            _may_merge(row, rows[other] or {})
        case Link(other_id=other) if other == message.problem_id:
            raise HTTPException(422, "a problem cannot be linked with itself")
        case Remediate(playbook=name):
            await _may_run(engine, message.problem_id, name)
        case Split(alert_ids=ids):
            await _may_split(engine, message.problem_id, set(ids))
    await engine.tell(message)
    return row


def _rows(conn: Connection, idents: tuple[int, ...]) -> dict[int, dict[str, Any] | None]:
    return {ident: views.get(conn, problem_table, ident) for ident in idents}


def _may_merge(gone: dict[str, Any], kept: dict[str, Any]) -> None:
    if gone["id"] == kept["id"]:
        raise HTTPException(422, "a problem cannot be merged with itself")
    if gone["team"] != kept["team"]:
        raise HTTPException(422, "problems of two teams cannot be merged")
    for one in (gone, kept):
        if one["merged_into"]:
            raise IllegalTransition(f"problem {one['id']} was merged already")


async def _may_run(engine: Engine, problem_id: int, playbook: str) -> None:
    found = await engine.db.read(plans, problem_id, engine.playbooks()) or []
    names = [one.playbook for one in found]
    if playbook not in names:
        fitting = f"; there are: {', '.join(names)}" if names else ""
        raise HTTPException(422, f"no playbook {playbook!r} fits this problem{fitting}")


async def _may_split(engine: Engine, problem_id: int, wanted: set[int]) -> None:
    rows = await engine.db.read(views.alerts_of, problem_id, 10_000)
    by_id = {row["id"]: row["fingerprint"] for row in rows}
    if strange := wanted - set(by_id):
        raise HTTPException(422, f"no alert of this problem: {', '.join(map(str, sorted(strange)))}")
    going = {by_id[ident] for ident in wanted}
    if not going or going == set(by_id.values()):
        raise HTTPException(422, "some of its alerts must go, and some must stay")
