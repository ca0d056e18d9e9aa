"""The likely causes of a problem."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cause:
    """`share`: its part of all evidence, 0..1. `reasons`: in words, the strongest first."""

    component: str
    score: float
    share: float
    reasons: tuple[str, ...] = ()
    counterfactual: str = ""
    """What would have had to be otherwise, in words."""


@dataclass(frozen=True, slots=True)
class Causes:
    """Components, the likeliest first. Not `known`: the evidence is thin, and `because` says how."""

    ranked: tuple[Cause, ...]
    known: bool
    because: str
    at: float = float("nan")
    """When that was found (epoch s)."""

    @property
    def lead(self) -> Cause | None:
        """The likely cause, when one is known."""
        return self.ranked[0] if self.known and self.ranked else None
