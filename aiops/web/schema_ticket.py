"""What the `webhook` sink posts, as the OpenAPI document tells it: a CloudEvent around the whole ticket.

The ticket is made by `aiops.core.ticket` and the modules that add to it (`ticket_ties`, `ticket_approval`,
`ticket_style`); tests/engine/test_hooks.py holds what is really sent against this. No key is ever left out
but those that say so; new ones may come.
"""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from aiops.model.lifecycle import AlertState, ProblemState, Stage
from aiops.model.problem import EscalationReason, NotifyReason
from aiops.model.signal import AlertKind, Severity

TYPES = [f"dev.forewarn.problem.{reason.value}" for reason in NotifyReason]
Labels = dict[str, str]


class TicketBreach(BaseModel):
    """When users are expected to notice."""

    earliest: datetime | None
    expected: datetime | None
    latest: datetime | None
    chance: float | None = Field(description="P(breach) within `within_seconds`, 0 to 1.")
    within_seconds: float | None


class TicketCauseRanked(BaseModel):
    """A component that may have caused it."""

    component: str
    share: float = Field(description="Its part of all evidence, 0 to 1.")
    reasons: list[str]
    counterfactual: str


class TicketCause(BaseModel):
    """Likely causes, by the last look."""

    known: bool = Field(description="False: the evidence is thin.")
    because: str
    found: datetime | None
    ranked: list[TicketCauseRanked] = Field(description="The likeliest first, at most 5.")


class TicketLog(BaseModel):
    """Of evidence on log lines; without secrets."""

    pattern: str
    template: str
    lines: list[str]
    lines_per_second: float | None
    lines_per_second_before: float | None


class TicketEvidence(BaseModel):
    """An alert; numbers are in the metric's own unit."""

    text: str
    metric: str
    kind: AlertKind
    rule: str
    severity: Severity
    state: AlertState
    labels: Labels
    since: datetime | None
    score: float | None
    observed: float | None
    expected: float | None
    lower: float | None
    upper: float | None
    bound: float | None
    log: TicketLog | None


class TicketHappening(BaseModel):
    """One transition of the problem or of a run."""

    at: datetime | None
    entity: str
    from_: str = Field(alias="from")
    to: str
    by: str
    text: str


class TicketElsewhere(BaseModel):
    """The record of a problem in one system."""

    sink: str
    ref: str
    url: str


class TicketRelated(BaseModel):
    """Another problem that is tied to this one."""

    how: str = Field(description="merged into, took in, split from, gave or related")
    problem: int
    key: str
    title: str
    note: str
    tickets: list[TicketElsewhere]


class TicketSimilar(BaseModel):
    """A problem of the past that was like this one."""

    problem: int
    key: str
    title: str
    score: float = Field(description="How alike, 0 to 1.")
    because: str
    fix: str = Field(description="What ended it, in words; empty while it is not over.")


class TicketApproval(BaseModel):
    """A run that waits for approval."""

    run: int
    playbook: str
    target: str
    plan: list[str] = Field(description="What each step would do.")
    needs: int = Field(description="How many have to approve.")
    given: list[str] = Field(description="Who has.")
    by: list[str] = Field(description="Who may; empty: anybody who may act.")
    asked_by: str = Field(description="Who asked for it by hand; empty: the engine.")
    expires: datetime | None
    link: str | None = Field(description="Where the ticket's readers decide.")


class TicketLinks(BaseModel):
    """Addresses; each left out where it is not known."""

    problem: str = Field("", description="Its page in the console.")
    approval: str = Field("", description="Where its readers decide on the run that waits.")


class TicketPlot(BaseModel):
    """A course, thinned; all lists are of one length, null where nothing is known."""

    title: str
    metric: str
    bound: float | None
    times: list[float | None] = Field(description="Seconds since 1970.")
    observed: list[float | None]
    lower: list[float | None]
    upper: list[float | None]


class TicketBody(BaseModel):
    """The whole ticket, so that a reader needs no earlier message."""

    version: Literal[1]
    reason: NotifyReason
    said: datetime | None
    why: str = Field(description="The change in words.")
    key: str = Field(description="The same in every message about the problem.", examples=["fw-7c1e"])
    problem: int = Field(description="Its number in Forewarn.")
    title: str
    summary: str = Field(description="Plain text: what is wrong, what users feel or will, what was done.")
    severity: Severity
    stage: Stage
    state: ProblemState
    team: str
    assignee: str
    labels: Labels
    opened: datetime | None
    breached: datetime | None
    resolved: datetime | None
    breach: TicketBreach | None = Field(description="null: not foreseen")
    lead_seconds: float | None = Field(description="From opening to breach; null: not breached.")
    escalation: EscalationReason | None = Field(description="Why a person is asked.")
    cause: TicketCause | None = Field(description="null before it was looked for")
    evidence: list[TicketEvidence] = Field(description="The most telling first, at most 20.")
    evidence_total: int
    timeline: list[TicketHappening] = Field(description="Oldest first, the last 30.")
    related: list[TicketRelated]
    similar: list[TicketSimilar] = Field(description="The most alike first, at most 5.")
    approval: TicketApproval | None
    links: TicketLinks
    queue: str = Field(description="Where in the receiver's system, as the route says.")
    gathered: list[str] = Field(description="Titles of problems of a storm that it stands for as well.")
    plots: list[TicketPlot] = Field(description="Of the most telling evidence, at most 2.")
    text: str = Field(description="What a person reads, when a template says it; else empty.")
    missing: list[str] = Field(description="Fields that are required by the configuration, and empty.")
    ticket: str = Field("", description="The receiver's own name for the record; left out of the first.")


class TicketEvent(BaseModel):
    """CloudEvents 1.0 in its structured JSON form."""

    specversion: Literal["1.0"]
    id: str = Field(description="The same on every attempt: the `webhook-id`.")
    source: str = Field(description="Which installation speaks.", examples=["/forewarn"])
    type: str = Field(json_schema_extra={"enum": list[Any](TYPES)})
    subject: str = Field(description="The problem's key.")
    time: datetime = Field(description="When it was said, not when it is sent.")
    sequence: str = Field(
        pattern=r"^\d{10}$", description="Its place among the messages of one problem to this sink."
    )
    datacontenttype: Literal["application/json"]
    data: TicketBody


class TicketTaken(BaseModel):
    """What a receiver may answer; the first of `ref`, `id` and `ticket` that is there names its record."""

    ref: str | int | None = None
    id: str | int | None = None
    ticket: str | int | None = None
    url: str | None = None
