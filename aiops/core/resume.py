"""The ambiguity rule: what is done about a step that was under way when the engine stopped. Pure."""

from enum import StrEnum

from aiops.model.problem import Step
from aiops.plugin import Action


class Resume(StrEnum):
    """What is done about a step that a crash cut off."""

    REPEAT = "repeat"
    PROBE = "probe"
    INTERRUPT = "interrupt"


def on_resume(step: Step | None, action: Action | None) -> Resume:
    """The ambiguity rule: what to do about the step that was under way when the engine stopped.

    Nothing was under way, or it only looked: go on. Idempotent: do it again. It has a probe: ask it, and do
    what was not done. Else, or when its plan is another one by now: a person decides.
    """
    if step is None or step.phase in ("precheck", "verify"):
        return Resume.REPEAT
    if action is None or action.never_retry or action.plan() != step.plan:
        return Resume.INTERRUPT
    if action.idempotent:
        return Resume.REPEAT
    return Resume.PROBE if type(action).probe is not Action.probe else Resume.INTERRUPT
