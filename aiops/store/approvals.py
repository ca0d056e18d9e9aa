"""Approvals of runs: who has given one, who may, and when they are enough.

A run carries its terms (``needs``, ``approvers``, ``asked_by``, ``expires``) since it was queued, so that a
file which changes meanwhile changes nothing for it. Each approval is one row and one line of the audit trail.
"""

from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from aiops.model.lifecycle import RunState, check
from aiops.model.problem import Run
from aiops.store import audit, runs
from aiops.store.tables import approval, run


class NotAllowed(Exception):
    """This person may not approve this run; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Approver:
    """Who approves. ``known_as``: further names under which a playbook may name them, such as roles."""

    name: str
    known_as: frozenset[str] = field(default_factory=frozenset)


def given(conn: Connection, run_id: int) -> list[dict[str, Any]]:
    """Who has approved the run, and when: ``given_by, at``, in order."""
    query = sa.select(approval.c.given_by, approval.c.at).where(approval.c.run_id == run_id)
    return [dict(row) for row in conn.execute(query.order_by(approval.c.id)).mappings()]


def may(one: Run, who: Approver) -> str:
    """Why `who` may not approve the run; empty when they may."""
    if one.asked_by and who.name == one.asked_by:
        return f"{who.name} asked for this run: another has to approve it"
    if one.approvers and not {who.name, *who.known_as} & set(one.approvers):
        return f"{who.name} may not approve this run; who may: {', '.join(one.approvers)}"
    return ""


def give(conn: Connection, run_id: int, who: Approver, at: float) -> Run:
    """One approval; the run is queued once they are enough. ``at``: epoch s.

    Raises KeyError, `IllegalTransition` for one that does not wait, `NotAllowed`, and `RunChanged` when the
    same approver comes again or the time is over.
    """
    # Two who approve at once must see each other; SQLite has one writer anyway
    conn.execute(sa.select(run.c.id).where(run.c.id == run_id).with_for_update())
    one = runs.get(conn, run_id)
    if one is None:
        raise KeyError(run_id)
    check(one.state, RunState.QUEUED)
    if at >= one.expires:
        raise runs.RunChanged(f"run {run_id} waited for its approval until a moment ago; its time is over")
    if why := may(one, who):
        raise NotAllowed(why)
    names = [row["given_by"] for row in given(conn, run_id)]
    if who.name in names:
        raise runs.RunChanged(f"{who.name} has approved run {run_id} already")
    conn.execute(approval.insert().values(run_id=run_id, given_by=who.name, at=at, team=one.team))
    names.append(who.name)
    if len(names) < one.needs:
        reason = f"approved by {who.name}: {len(names)} of {one.needs}"
        audit.note_run(conn, one, at, reason=reason, actor=who.name)
        return one
    return runs.approve(conn, run_id, ", ".join(names), at, actor=who.name)


def refuse(conn: Connection, run_id: int, who: Approver, at: float, note: str = "") -> Run:
    """Say no for all: the run ends expired. Who asked for it may take it back so.

    Raises KeyError, `IllegalTransition`, `RunChanged`, and `NotAllowed` for whom the playbook does not name.
    """
    one = runs.get(conn, run_id)
    if one is None:
        raise KeyError(run_id)
    if who.name != one.asked_by and (why := may(one, who)):
        raise NotAllowed(why.replace("approve", "decide on"))
    return runs.refuse(conn, run_id, who.name, at, note)


def wanted(conn: Connection, problem_id: int) -> dict[str, Any] | None:
    """The run of the problem that waits for approval, for its ticket; None when none does.

    ``run, playbook, target, plan, needs, given, by, asked_by, expires``; ``expires`` epoch s.
    """
    waits = (run.c.problem_id == problem_id) & (run.c.state == RunState.AWAITING_APPROVAL)
    row = conn.execute(sa.select(run).where(waits).order_by(run.c.id.desc())).mappings().first()
    if row is None:
        return None
    return {
        "run": row["id"],
        "playbook": row["playbook"],
        "target": row["target"],
        "plan": row["plan"] or [],
        "needs": row["needs"],
        "given": [one["given_by"] for one in given(conn, row["id"])],
        "by": row["approvers"] or [],
        "asked_by": row["asked_by"],
        "expires": row["expires"] if row["expires"] is not None else float("nan"),
    }
