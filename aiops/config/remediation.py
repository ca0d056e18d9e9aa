"""When playbooks may act, and the windows of the week in which alerts or changes are held back."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

from pydantic import Field

from aiops.config.blocks import Block
from aiops.config.routing import DAYS, Day
from aiops.core.brakes import Brakes
from aiops.model.selector import Selector
from aiops.plugin import Duration, SelectorText
from aiops.plugin.params import Zone


class Maintenance(Block):
    """A window that comes again every week."""

    match: SelectorText = Field(Selector(), description="Which series; all when left out.")
    days: list[Day] = Field(list(DAYS), description="Days on which it starts.")
    start: time = Field(description="When it starts, such as 22:00.")
    end: time = Field(description="May be earlier than start: then it ends on the next day.")
    timezone: Zone = Field("UTC", description="IANA name.")
    reason: str = Field("maintenance", description="Shown wherever an alert is held back.")

    def covers(self, at: datetime) -> bool:
        """Whether the window is open at the aware time `at`."""
        local = at.astimezone(ZoneInfo(self.timezone))
        today, yesterday = DAYS[local.weekday()], DAYS[local.weekday() - 1]
        clock = local.time()
        if self.start <= self.end:
            return today in self.days and self.start <= clock < self.end
        return (today in self.days and clock >= self.start) or (yesterday in self.days and clock < self.end)


class Remediation(Block):
    """Whether playbooks may act at all."""

    enabled: bool = Field(False, description="While false every run is a dry run: planned, shown, not done.")
    approval_timeout: Duration = Field(900.0, description="How long a run waits for its approval.")
    parallel: int = Field(4, ge=1, description="Runs at one time; one target is never held by two.")
    brakes: Brakes = Field(default_factory=Brakes, description="What holds all playbooks back together.")
    freezes: list[Maintenance] = Field(
        default_factory=list, description="Windows in which nothing may be changed: no run begins."
    )


def frozen(windows: Iterable[Maintenance], labels: Mapping[str, str], now: float) -> str:
    """Why nothing may be changed now (epoch s) on what carries `labels`, or the empty string."""
    moment = datetime.fromtimestamp(now, UTC)
    found = (one for one in windows if one.covers(moment) and one.match.matches(labels))
    open_ = next(found, None)
    return f"changes are frozen until {open_.end:%H:%M} {open_.timezone}: {open_.reason}" if open_ else ""
