"""Under what terms a run is queued: who approves it, for which service it counts, whether it is held back."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from pydantic import Field

from aiops.core.acts import Block
from aiops.core.playbook import Approval, Earning, Playbook
from aiops.model.lifecycle import Stage
from aiops.model.problem import Problem
from aiops.model.signal import Severity
from aiops.plugin import Duration

SERVICE = "service"
"""The label by which autonomy is earned."""


class HoldBack(Block):
    """Some runs wait at random, so that what would have healed by itself is known."""

    share: float = Field(0.0, ge=0, le=0.5, description="Share of the runs that act by themselves; 0: none.")
    delay: Duration = Field(
        120.0,
        gt=0,
        description="How long each waits. Never one of a problem that users notice, or that is critical.",
    )


@dataclass(frozen=True)
class Policy:
    """What holds for all playbooks unless they say otherwise."""

    approval: Approval = field(default_factory=Approval)
    approval_timeout: float = 900.0
    earn: Earning = field(default_factory=Earning)
    hold_back: HoldBack = field(default_factory=HoldBack)
    domains: Sequence[str] = ()
    """Labels that name a failure domain; the first that a problem bears is its own."""


def approval_of(playbook: Playbook, policy: Policy) -> tuple[int, list[str], float]:
    """How many approve, who may, and for how many seconds a run waits for them."""
    own, common = playbook.guards.approval, policy.approval
    chosen = common.model_copy(update={k: getattr(own, k) for k in own.model_fields_set}) if own else common
    within = chosen.within if chosen.within is not None else policy.approval_timeout
    return chosen.needs, list(chosen.by), within


def service_of(labels: dict[str, str], target: str) -> str:
    """For which its playbook earns autonomy."""
    return labels.get(SERVICE) or target


def domain_of(labels: dict[str, str], domains: Sequence[str]) -> str:
    """``zone=a``, or empty when the problem is in no known one, or in several."""
    return next((f"{name}={labels[name]}" for name in domains if labels.get(name)), "")


def held_back(problem: Problem, playbook: Playbook, policy: Policy) -> float:
    """Seconds for which a run waits to see whether the problem heals without it; mostly 0.

    Who is held back is drawn by a hash of problem and playbook: as good as a die, and the same each time.
    """
    grave = problem.stage is not Stage.PREDICTED or problem.severity is Severity.CRITICAL
    if policy.hold_back.share <= 0 or grave:
        return 0.0
    digest = hashlib.sha256(f"{problem.key} {playbook.name}".encode()).digest()
    drawn = int.from_bytes(digest[:8], "big") / 2**64
    return policy.hold_back.delay if drawn < policy.hold_back.share else 0.0
