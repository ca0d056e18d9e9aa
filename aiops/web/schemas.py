"""What the API answers. Times are ISO 8601 in UTC; a number that is not known is null, never NaN."""

from typing import Any

from pydantic import Field

from aiops.model.lifecycle import AlertState, DeliveryState, ProblemState, RunState, Stage
from aiops.model.signal import AlertKind, Severity
from aiops.web.schema_base import Instant, Instants, LabelMap, MaybeInstant, Number, Numbers, Page, Schema
from aiops.web.schema_cause import Cause, Causes
from aiops.web.schema_ties import Alike, MarkOut, Tied

__all__ = ["Cause", "Causes", "Instant", "LabelMap", "MaybeInstant", "Number", "Page", "Schema"]


class Problem(Schema):
    """Alerts with one likely cause."""

    id: int = Field(examples=[42])
    key: str = Field(description="Stable; the correlation key in every outside system.", examples=["fw-7c1e"])
    title: str = Field(examples=["checkout error ratio is 0.8 %, expected 0 to 0.2 %"])
    state: ProblemState
    stage: Stage = Field(description="`predicted` until an SLI is breached, then `active`.")
    severity: Severity
    team: str
    labels: LabelMap = Field(description="The labels on which all its alerts agree.")
    reason: str = Field(description="Why it is in its state, in words.")
    opened: Instant
    updated: Instant
    last_evidence: MaybeInstant = None
    breached: MaybeInstant = Field(None, description="When its SLI was breached.")
    breach_earliest: MaybeInstant = None
    breach_expected: MaybeInstant = Field(None, description="When the breach is forecast.")
    breach_latest: MaybeInstant = None
    breach_chance: Number = Field(
        None, description="P(breach) within the next `breach_within` seconds.", examples=[0.72]
    )
    breach_within: Number = Field(None, description="Seconds.", examples=[14400])
    resolved: MaybeInstant = None
    acknowledged: MaybeInstant = None
    assignee: str = ""
    escalation: str | None = Field(None, description="Why a person was asked.")
    flaps: int = Field(0, description="How often it came back after it was resolved.")
    snoozed_until: MaybeInstant = Field(None, description="No news of it before then.")
    merged_into: str = Field("", description="The key of the problem that it went into.")
    verdict: str = Field("", description="What a person says it was: true, false, duplicate.")


class Alert(Schema):
    """A debounced anomaly or breach on one series."""

    id: int
    problem_id: int | None
    kind: AlertKind
    rule: str = Field(description="The detector, limit or SLI that speaks.", examples=["adaptive"])
    source: str
    labels: LabelMap
    state: AlertState
    severity: Severity
    score: Number = Field(description="-log10 p under the learnt model: 4 means 1 in 10,000.", examples=[6.2])
    peak: Number = Field(description="The highest score so far.", examples=[9.1])
    observed: Number
    expected: Number
    lower: Number
    upper: Number
    bound: Number = Field(description="The limit, for kinds that have one.")
    breach_earliest: MaybeInstant
    breach_expected: MaybeInstant
    breach_latest: MaybeInstant
    breach_chance: Number = Field(None, description="P(breach) within the next `breach_within` seconds.")
    breach_within: Number = Field(None, description="Seconds.")
    started: Instant
    fired: MaybeInstant
    resolved: MaybeInstant
    updated: Instant
    flaps: int
    silenced_by: str
    reason: str
    examples: list[str] = Field(description="Log lines, for alerts on logs.")
    joined: str = Field("", description="Why it is in its problem.", examples=["caller of db, 12 s later"])


class Points(Schema):
    """A line and its band; all lists are of one length, null where nothing is known."""

    times: Instants
    observed: Numbers
    expected: Numbers
    lower: Numbers
    upper: Numbers


class TimelineEntry(Schema):
    """One transition of the problem or of anything that belongs to it."""

    at: Instant
    actor: str = Field(examples=["forewarn"])
    entity: str = Field(examples=["problem"])
    entity_id: str = Field(examples=["42"])
    from_state: str = Field(examples=["open"])
    to_state: str = Field(examples=["remediating"])
    reason: str = Field(examples=["playbook restart-nginx matched"])


class Ticket(Schema):
    """The record of a problem in an outside ITSM."""

    id: int
    problem_id: int
    sink: str
    ref: str = Field(examples=["INC0012345"])
    url: str
    state: str
    created: Instant
    updated: Instant


class Delivery(Schema):
    """One message in the outbox."""

    id: int
    problem_id: int
    sink: str
    seq: int = Field(description="Orders the messages of one problem to one sink.")
    reason: str = Field(examples=["opened"])
    message_id: str = Field(description="The same on every attempt.")
    state: DeliveryState
    attempts: int
    said: Instant
    due: Instant
    sent: MaybeInstant
    error: str


class Attempt(Schema):
    """One try of a delivery."""

    at: Instant
    seconds: Number
    ok: bool
    error: str


class DeliveryDetail(Delivery):
    """A delivery with what it carries and every try."""

    body: dict[str, Any]
    tries: list[Attempt]


class Run(Schema):
    """One attempt of a playbook on one problem."""

    id: int
    problem_id: int
    playbook: str = Field(examples=["restart-service"])
    revision: str = Field(description="Hash of the playbook text that this run is pinned to.")
    target: str = Field(description="What it acts on; one run at a time holds it.")
    state: RunState
    autonomy: str = Field(examples=["approve"])
    dry_run: bool
    queued: Instant
    started: MaybeInstant
    ended: MaybeInstant
    reason: str
    approved_by: str
    asked_by: str = Field("", description="Who asked for it by hand; empty: the engine.")
    needs: int = Field(1, description="Approvals that let it begin, where it waits for any.")
    approvers: list[str] | None = Field(None, description="Who may approve; empty: who may act at all.")
    expires: MaybeInstant = Field(None, description="When it stops to wait for its approval.")
    plan: list[str] | None = Field(None, description="What each step would do, in words.")
    service: str = Field("", description="For which its playbook earns autonomy.")


class Given(Schema):
    """One approval."""

    given_by: str
    at: Instant


class Step(Schema):
    """One intent to act, stored before the act."""

    number: int
    name: str
    phase: str = Field(description="precheck, step, verify or rollback", examples=["step"])
    plan: str = Field(description="What it does, in words: the dry run.")
    started: Instant
    ended: MaybeInstant
    ok: bool | None
    output: str


class RunDetail(Run):
    """A run with its steps, and the playbook that it is pinned to."""

    steps: list[Step]
    text: str = Field(description="The playbook's YAML at that revision.")
    given: list[Given] = Field([], description="Who has approved it so far.")


class ProblemDetail(Problem):
    """A problem with all that belongs to it."""

    causes: Causes | None = Field(None, description="Null before they were looked for.")
    alerts: list[Alert] = Field(description="The most telling 200; `/alerts?problem=` lists them all.")
    alerts_in_all: int
    evidence: dict[int, Points] = Field(
        description="Alert id -> what was observed and expected around it, for the 20 most telling; of any "
        "other `/alerts/{id}/points`."
    )
    timeline: list[TimelineEntry]
    tickets: list[Ticket]
    deliveries: list[Delivery]
    runs: list[RunDetail]
    related: list[Tied]
    similar: list[Alike] = Field(description="Of the past, the most alike first.")
    marks: list[MarkOut] = Field(description="What people said that it was, the latest first.")


class SeriesOut(Schema):
    """One labelled metric stream."""

    id: str = Field(description="16 hex digits that name the label set.", examples=["9f86d081884c7d65"])
    text: str = Field(examples=['node_load1{instance="web-1"}'])
    labels: LabelMap
    ready: bool = Field(description="Whether its detector has learnt enough to judge it.")
    last_seen: MaybeInstant = Field(description="Its last sample.")


class SilenceOut(Schema):
    """Alerts that are not to become problems for a while."""

    id: int
    match: str = Field(examples=['{service="checkout"}'])
    starts: Instant
    ends: MaybeInstant = Field(description="null: until somebody ends it")
    reason: str
    created_by: str
    created: Instant
    state: str = Field(description="pending, active or expired", examples=["active"])


class SourceOut(Schema):
    """How one source does."""

    name: str
    kind: str = Field(examples=["prometheus"])
    series: int
    last_ok: MaybeInstant
    lag: Number = Field(description="Seconds between now and its newest sample.")
    error: str = Field(description="Empty while it is well.")
    max_series: int | None = Field(description="Its cap (of kind prometheus: of one query); null: none.")
    counted: int | None = Field(description="Series that count towards `max_series`; null: not counted.")
    over_cap: int = Field(description="Samples of series beyond `max_series`, left out since the start.")
    refused: int = Field(description="Samples left out for their labels: too long, too many, doubled.")

    @classmethod
    def of(cls, health: Any, cap: Any) -> "SourceOut":
        """Of a `SourceHealth` and its `Cap`."""
        told = ("name", "kind", "series", "last_ok", "lag", "error")
        limits = ("max_series", "counted", "over_cap", "refused")
        values = {name: getattr(health, name) for name in told}
        return cls.model_validate(values | {name: getattr(cap, name) for name in limits})


class ComplaintOut(Schema):
    """One thing wrong with a config text."""

    line: int = Field(description="From 1; 0 is the whole text.", examples=[7])
    column: int = Field(examples=[5])
    key: str = Field(examples=["sources.0.evry"])
    message: str = Field(examples=["unknown key 'evry'"])
    suggestion: str = Field(
        validation_alias="hint", description="What was probably meant.", examples=["did you mean `every`?"]
    )


class Checked(Schema):
    """The verdict on a config text."""

    ok: bool
    complaints: list[ComplaintOut]


class Told(Schema):
    """The pipeline was told; it acts at its next turn."""

    told: str = Field(examples=["acknowledge"])
    problem: Problem
