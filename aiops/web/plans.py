"""What playbooks would do about a problem, before anything is done."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection

from aiops.core.acts import BadArguments
from aiops.core.context import problem_context
from aiops.core.playbook import Playbook
from aiops.core.remediate import plan_of
from aiops.model.lifecycle import RunState
from aiops.store import causes, problems, views
from aiops.store.tables import problem as problem_table


@dataclass(frozen=True, slots=True)
class Plan:
    """The dry run of one playbook that fits; ``why_not``: why it cannot be made, else empty."""

    playbook: str
    description: str
    autonomy: str
    target: str
    steps: list[str]
    why_not: str = ""


def plans(conn: Connection, problem_id: int, playbooks: Mapping[str, Playbook]) -> list[Plan] | None:
    """Those of the playbooks that fit, in their order; None for a problem that is not there.

    They are matched with its most telling alerts: a problem may have thousands.
    """
    row = views.get(conn, problem_table, problem_id)
    return None if row is None else fitting(conn, row, views.alerts_of(conn, problem_id), playbooks)


def fitting(
    conn: Connection, row: views.Row, alerts: list[views.Row], playbooks: Mapping[str, Playbook]
) -> list[Plan]:
    """As `plans`, of rows that are known already."""
    if not playbooks:
        return []
    problem = problems.built(row, alerts)
    problem.causes = causes.of_problems(conn, [problem.id]).get(problem.id)
    context = {"problem": problem_context(problem)}
    return [_plan(one, context) for one in playbooks.values() if one.match.matches(context)]


def _plan(playbook: Playbook, context: Mapping[str, object]) -> Plan:
    about = (playbook.name, playbook.description, playbook.autonomy.value)
    try:
        return Plan(*about, playbook.target_of(context), plan_of(playbook, context))
    except BadArguments as why:
        return Plan(*about, "", [], str(why))


def plan_difference(
    conn: Connection, run: Mapping[str, Any], playbooks: Mapping[str, Playbook]
) -> list[str] | None:
    """What a run that waits for approval would do now, against what it waits with: lines with + and -.

    Empty: the same. None: nothing waits, or its playbook is not there or does not fit any more.
    """
    if run["state"] != RunState.AWAITING_APPROVAL or not run["plan"]:
        return None
    known = {name: one for name, one in playbooks.items() if name == run["playbook"]}
    found = next(iter(plans(conn, run["problem_id"], known) or ()), None)
    if found is None or found.why_not:
        return None
    was, now = [run["target"], *run["plan"]], [found.target, *found.steps]
    return [] if was == now else [line for line in difflib.ndiff(was, now) if not line.startswith("?")]
