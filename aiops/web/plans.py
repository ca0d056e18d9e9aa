"""What playbooks would do about a problem, before anything is done."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from aiops.core.acts import BadArguments
from aiops.core.context import problem_context
from aiops.core.playbook import Playbook
from aiops.core.remediate import plan_of
from aiops.store import causes, problems


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
    """Those of the playbooks that fit, in their order; None for a problem that is not there."""
    problem = problems.load(conn, problem_id)
    if problem is None:
        return None
    problem.causes = causes.of_problems(conn, [problem_id]).get(problem_id)
    context = {"problem": problem_context(problem)}
    return [_plan(one, context) for one in playbooks.values() if one.match.matches(context)]


def _plan(playbook: Playbook, context: Mapping[str, object]) -> Plan:
    about = (playbook.name, playbook.description, playbook.autonomy.value)
    try:
        return Plan(*about, playbook.target_of(context), plan_of(playbook, context))
    except BadArguments as why:
        return Plan(*about, "", [], str(why))
