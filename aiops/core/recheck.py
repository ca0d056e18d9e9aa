"""What is asked again right before a run begins that a person approved a while ago. Pure."""

from collections.abc import Mapping
from typing import Any

from aiops.core.acts import BadArguments
from aiops.core.playbook import Playbook
from aiops.core.remediate import plan_of
from aiops.model.problem import Run


def changed(run: Run, playbook: Playbook, problem: Mapping[str, Any]) -> str:
    """Why what was approved is not what would be done now, or the empty string.

    `problem` is its context as it is now. A person approves target and steps, in words; a problem that has
    moved on since (another label, another number in an argument) would make others of them.
    """
    if not run.approved_by or not run.plan:
        return ""
    context = {"problem": problem}
    if not playbook.match.matches(context):
        return f"since it was asked for, the problem has become one that {playbook.name} does not fit"
    try:
        now = [playbook.target_of(context), *plan_of(playbook, context)]
    except BadArguments as why:
        return f"what was approved cannot be made any more: {why}"
    pairs = zip([run.target, *run.plan], now, strict=False)
    other = next(((was, is_) for was, is_ in pairs if was != is_), None)
    if other is None and len(now) == len(run.plan) + 1:
        return ""
    was, is_ = other or ("other steps", "these")
    return f"what was approved is not what would be done now: {was!r} has become {is_!r}"
