"""How far a playbook may go by itself, and what it has earned."""

from dataclasses import dataclass
from enum import StrEnum


class Autonomy(StrEnum):
    """How far a playbook may go by itself."""

    OBSERVE = "observe"
    """Plans only, for the record."""
    SUGGEST = "suggest"
    """Plans, and tells the ticket."""
    APPROVE = "approve"
    """Acts once a person approved."""
    AUTO = "auto"
    """Acts."""

    @property
    def acts(self) -> bool:
        return self in (Autonomy.APPROVE, Autonomy.AUTO)

    @property
    def height(self) -> int:
        """From 0, which only plans, to 3, which acts by itself."""
        return list(Autonomy).index(self)


@dataclass(frozen=True, slots=True)
class Standing:
    """What a playbook has earned for a service. ``since``: epoch s; ``pinned_by`` empty: it can move."""

    level: Autonomy
    streak: int = 0
    """Good evidence in a row at this level."""
    since: float = 0.0
    reason: str = ""
    pinned_by: str = ""


@dataclass(frozen=True, slots=True)
class Earned:
    """What a playbook has earned for a service."""

    playbook: str
    service: str
    standing: Standing
