"""When playbooks may act, and the windows of the week in which alerts or changes are held back."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

from pydantic import Field

from aiops.config.blocks import Block
from aiops.config.routing import DAYS, Day
from aiops.core.brakes import Brakes
from aiops.core.playbook import Approval, Earning
from aiops.core.terms import HoldBack, Policy
from aiops.model.selector import Selector
from aiops.plugin import Duration, Secret, SelectorText
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
    approval: Approval = Field(
        default_factory=Approval, description="Who approves, of playbooks that do not say so themselves."
    )
    approval_links: bool = Field(
        True,
        description="Tickets carry a link by which their readers approve, once; false: in the console only.",
    )
    approval_key: Secret | None = Field(
        None,
        description="Signs those links; made, and kept in the data folder, when left out.",
    )
    earn: Earning = Field(
        default_factory=Earning,
        description="How playbooks earn their autonomy that do not say so themselves.",
    )
    hold_back: HoldBack = Field(
        default_factory=HoldBack, description="Runs held back to measure what heals without them."
    )
    parallel: int = Field(4, ge=1, description="Runs at one time; one target is never held by two.")
    brakes: Brakes = Field(default_factory=Brakes, description="What holds all playbooks back together.")
    freezes: list[Maintenance] = Field(
        default_factory=list, description="Windows in which nothing may be changed: no run begins."
    )

    @property
    def policy(self) -> Policy:
        """The terms under which runs are queued."""
        domains = self.brakes.blast_radius.domains
        return Policy(self.approval, self.approval_timeout, self.earn, self.hold_back, domains)


def frozen(windows: Iterable[Maintenance], labels: Mapping[str, str], now: float) -> str:
    """Why nothing may be changed now (epoch s) on what carries `labels`, or the empty string."""
    moment = datetime.fromtimestamp(now, UTC)
    found = (one for one in windows if one.covers(moment) and one.match.matches(labels))
    open_ = next(found, None)
    return f"changes are frozen until {open_.end:%H:%M} {open_.timezone}: {open_.reason}" if open_ else ""
