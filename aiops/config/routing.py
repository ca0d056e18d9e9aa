"""Who is told of which problem, when, and who is asked if nobody answers."""

from datetime import date, time
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, field_validator

from aiops.config.blocks import Block, CelText
from aiops.core.hours import Hours
from aiops.plugin import Duration
from aiops.plugin.params import Zone

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = get_args(Day)


class HoursRule(Block):
    """Hours of the week, such as an office's."""

    days: list[Day] = Field(["mon", "tue", "wed", "thu", "fri"], description="Days on which they start.")
    start: time = Field(description="Such as 09:00.")
    end: time = Field(description="When not later than `start`, it is on the next day.")
    timezone: Zone = Field("UTC", description="IANA name, such as Europe/Berlin.")
    holidays: list[date] = Field(default_factory=list, description="Days without, such as 2026-12-25.")

    @property
    def hours(self) -> Hours:
        days = frozenset(DAYS.index(day) for day in self.days)
        return Hours(days, self.start, self.end, self.timezone, frozenset(self.holidays))


class EscalateAfter(Block):
    """When a person is asked although nothing failed."""

    after: Duration = Field(900.0, description="Unresolved, and in later steps unanswered, for this long.")
    to: str = Field(
        "", description="Name of the sink that reaches the person; the route's own when left out."
    )
    during: str = Field(
        "", description="Name of `hours`: only they count as time that passes. All of it when left out."
    )


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, dict | EscalateAfter) else ([] if value is None else value)


Chain = Annotated[list[EscalateAfter], BeforeValidator(_as_list)]


class RouteRule(Block):
    """Which problems go to which sink."""

    match: CelText = Field(
        "true",
        description="CEL over `problem`: its labels, severity, stage, team and more; all problems when left "
        "out.",
    )
    to: str = Field(description="Name of a sink.")
    queue: str = Field(
        "",
        description="Where in the sink's system, such as a queue, project or group; sinks that have such "
        "take it in place of their own.",
    )
    during: str = Field("", description="Name of `hours` in which the route holds; always when left out.")
    outside: str = Field("", description="Name of `hours` in which the route does not hold.")
    last: bool = Field(False, description="A problem that takes this route takes none that is written below.")
    escalate: Chain = Field(
        default_factory=list,
        description="One step, or a list of steps: who is asked, and then who next if nobody acknowledges.",
    )

    @field_validator("escalate")
    @classmethod
    def _in_order(cls, steps: list[EscalateAfter]) -> list[EscalateAfter]:
        waits = [step.after for step in steps]
        if waits != sorted(waits):
            raise ValueError("write the steps in the order of `after`: each counts from the problem's start")
        return steps


class Storm(Block):
    """When very much happens at once, one ticket gathers what would have been many."""

    most: int = Field(
        50, ge=1, description="New tickets of one sink within the window; further problems share one ticket."
    )
    window: Duration = Field(600.0, description="The window.", gt=0)
