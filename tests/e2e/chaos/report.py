"""How a scenario ended."""

from dataclasses import dataclass, field
from typing import Any

from tests.e2e.chaos.world import World


@dataclass(frozen=True)
class Report:
    end: str
    """Of the problem: resolved or escalated."""
    run: str
    """How the last run ended."""
    seconds: float
    """From the fault to that end."""
    effects: dict[str, int]
    """What was done to the outside, counted there."""
    tickets: int
    marks: dict[str, float] = field(default_factory=dict)
    """What was seen when, in seconds after the fault."""
    note: str = ""

    def line(self) -> str:
        done = ", ".join(f"{name} {count}" for name, count in self.effects.items())
        return (
            f"{self.end} after {self.seconds:.1f} s; run {self.run or 'none'}; {done}; tickets {self.tickets}"
        )


def report(here: World, problem: dict[str, Any], effects: dict[str, int], note: str = "") -> Report:
    """Of a scenario whose `problem` has ended as was asserted."""
    runs, end = problem["runs"], problem["state"]
    last = runs[-1]["state"] if runs else ""
    return Report(end, last, here.marks[end], effects, len(here.itsm.tickets()), here.marks, note)
