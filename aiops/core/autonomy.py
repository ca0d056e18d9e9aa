"""How far a playbook may go by itself for one service: earned by evidence, lost at once. Pure.

The ladder is observe, suggest, approve, auto. Its top is the playbook's own `autonomy`; where it begins, and
how much evidence raises it a level, is said under `earn`. What counts as evidence depends on the level, since
only who acts can prove that it helps:

    observe    a plan that could be made for a real problem
    suggest    a verified repair, begun by a person's hand
    approve    a verified repair, approved by a person
    any        a failure takes a level away, at once; an approval that was refused begins the count anew
"""

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from typing import TypeAlias

from aiops.core.endings import escalation_of
from aiops.core.playbook import Earning, Playbook
from aiops.model.autonomy import Autonomy, Standing
from aiops.model.lifecycle import RunState
from aiops.model.problem import EscalationReason, Run

Levels: TypeAlias = Mapping[tuple[str, str], Autonomy]
"""Playbook and service -> the level that is stored for them."""

_BROKE = (EscalationReason.STEP_FAILED, EscalationReason.VERIFY_FAILED, EscalationReason.INTERRUPTED)


class Evidence(StrEnum):
    """What a run that has ended says of its playbook."""

    PLANNED = "planned"
    """It could be made, and nothing was done."""
    PROVED = "proved"
    """It acted, and was verified."""
    FAILED = "failed"
    """It acted, and broke or did not help."""
    REFUSED = "refused"
    """A person did not want it."""


def start(playbook: Playbook, default: Earning) -> Autonomy:
    """The level of a playbook for a service that it has not met."""
    first = (playbook.earn or default).from_ or playbook.autonomy
    return min(first, playbook.autonomy, key=lambda one: one.height)


def level(playbook: Playbook, stored: Autonomy | None, default: Earning) -> Autonomy:
    """How far it may go: never further than its file allows, whatever it has earned."""
    if stored is None:
        return start(playbook, default)
    return min(stored, playbook.autonomy, key=lambda one: one.height)


def evidence_of(run: Run, verified: bool) -> Evidence | None:
    """What an ended run says; None when it says nothing. `verified`: its proof was passed."""
    if run.dry_run:
        return Evidence.PLANNED if run.state is RunState.SUCCEEDED else None
    if run.state is RunState.SUCCEEDED:
        return Evidence.PROVED if verified else None
    reason = escalation_of(run)
    if reason is EscalationReason.APPROVAL_REFUSED:
        return Evidence.REFUSED
    return Evidence.FAILED if reason in _BROKE and run.started == run.started else None


def learnt(
    standing: Standing, evidence: Evidence, playbook: Playbook, default: Earning, run: Run, now: float
) -> Standing:
    """The standing after one more piece of evidence. A pinned one keeps its level."""
    name = f"run {run.id}"
    if evidence is Evidence.FAILED:
        below = _beside(standing.level, -1)
        if standing.pinned_by or below is standing.level:
            return replace(standing, streak=0)
        return Standing(below, 0, now, f"{name} failed")
    if evidence is Evidence.REFUSED:
        return replace(standing, streak=0)
    if evidence is Evidence.PLANNED and standing.level is not Autonomy.OBSERVE:
        return standing
    streak = standing.streak + 1
    above = _beside(standing.level, 1)
    most = above is standing.level or above.height > playbook.autonomy.height
    needed = (playbook.earn or default).after
    if standing.pinned_by or most or streak < needed:
        return replace(standing, streak=streak)
    kind = "plans that could be made" if evidence is Evidence.PLANNED else "verified repairs"
    return Standing(above, 0, now, f"{streak} {kind} in a row, the last by {name}")


def _beside(one: Autonomy, steps: int) -> Autonomy:
    ladder = list(Autonomy)
    return ladder[min(max(one.height + steps, 0), len(ladder) - 1)]
