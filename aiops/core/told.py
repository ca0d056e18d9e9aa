"""What is to be said to one sink, and what the outside knows of a problem once that is committed."""

from dataclasses import dataclass, replace

from aiops.model.lifecycle import ProblemState
from aiops.model.problem import NotifyReason, Problem


@dataclass(frozen=True, slots=True)
class Notice:
    """One message to one sink, still without its body."""

    problem: Problem
    sink: str
    reason: NotifyReason
    why: str
    """The change's own words."""
    at: float
    queue: str = ""
    """Where in the sink's system; empty for the sink's own."""
    held: bool = False
    """Not to be sent: another problem's ticket stands for it."""
    gathers: bool = False
    """Its ticket is to stand for the problems that follow in this storm."""
    gathered: tuple[str, ...] = ()
    """The titles of the problems that it stands for already."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the outside knows of one problem. A problem without one has never been spoken of."""

    sinks: frozenset[str] = frozenset()
    """Sinks that have a ticket, or will get one."""
    at: float = 0.0
    """When anything was last said (epoch s)."""
    evidence: int = 0
    """How many alerts it spoke of."""
    opened: float = 0.0
    """When it was first spoken of (epoch s)."""
    asked: frozenset[str] = frozenset()
    """Sinks through which a person was asked."""
    held: frozenset[str] = frozenset()
    """Sinks in which another problem's ticket stands for it."""
    gathers: frozenset[str] = frozenset()
    """Sinks in which its ticket stands for others."""
    gathered: int = 0
    """For how many, when that was last said."""
    title: str = ""
    over: bool = False

    def after(self, notice: Notice) -> "Told":
        """Once `notice` is committed."""
        problem, sink = notice.problem, frozenset({notice.sink})
        known = replace(self, title=problem.title, over=problem.state is ProblemState.RESOLVED)
        if notice.held:
            return replace(known, held=self.held | sink)
        asked = frozenset[str]() if notice.reason is NotifyReason.REOPENED else self.asked
        return replace(
            known,
            sinks=self.sinks | sink,
            at=notice.at,
            evidence=len(problem.alerts),
            opened=self.opened or notice.at,
            asked=asked | sink if notice.reason is NotifyReason.ESCALATED else asked,
            held=self.held - sink,
            gathers=self.gathers | sink if notice.gathers else self.gathers,
            gathered=max(self.gathered, len(notice.gathered)),
        )
