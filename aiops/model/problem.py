"""Problems and what is done about them. Times are seconds since the epoch; ids are 0 until stored."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from aiops.model.cause import Causes
from aiops.model.lifecycle import DeliveryState, ProblemState, RunState, Stage
from aiops.model.series import Labels
from aiops.model.signal import Alert, Severity

NAN = float("nan")


class NotifyReason(StrEnum):
    """Why a message about a problem is sent."""

    OPENED = "opened"
    BREACHED = "breached"
    UPDATED = "updated"
    REMEDIATING = "remediating"
    ESCALATED = "escalated"
    RESOLVED = "resolved"
    REOPENED = "reopened"


class EscalationReason(StrEnum):
    """Why a person is asked."""

    NO_PLAYBOOK = "no playbook fits"
    REFUSED_BY_GUARD = "a guard refused the playbook"
    PRECHECK_FAILED = "the precheck did not find the fault"
    STEP_FAILED = "a playbook step failed"
    VERIFY_FAILED = "the repair did not verify"
    APPROVAL_EXPIRED = "nobody approved in time"
    APPROVAL_REFUSED = "the approval was refused"
    INTERRUPTED = "the engine stopped mid-step and the step may not be repeated"
    TIMEOUT = "not resolved in time"
    BY_HAND = "asked for by a person"
    REOPENED = "opened again by a person"


class Verdict(StrEnum):
    """What a person says that a problem was."""

    TRUE = "true"
    FALSE = "false"
    DUPLICATE = "duplicate"


class TieKind(StrEnum):
    """How a problem is tied to another."""

    MERGED = "merged"
    """It went into the other."""
    SPLIT = "split"
    """It came out of the other."""
    RELATED = "related"
    """A person says that they belong together."""


@dataclass(slots=True)
class Problem:
    """Alerts with one likely cause."""

    key: str
    """Stable, unique; the correlation key in every outside system."""
    opened: float
    title: str = ""
    state: ProblemState = ProblemState.OPEN
    stage: Stage = Stage.PREDICTED
    severity: Severity = Severity.MINOR
    team: str = "default"
    labels: Labels = ()
    """The labels on which all its alerts agree."""
    alerts: list[Alert] = field(default_factory=list)
    updated: float = NAN
    last_evidence: float = NAN
    """When an alert last joined or fired."""
    breached: float = NAN
    """When its SLI was breached: from then on it is active."""
    breach_earliest: float = NAN
    breach_expected: float = NAN
    breach_latest: float = NAN
    breach_chance: float = NAN
    """P(the breach comes within `breach_within` seconds)."""
    breach_within: float = NAN
    resolved: float = NAN
    escalation: EscalationReason | None = None
    assignee: str = ""
    acknowledged: float = NAN
    reason: str = ""
    """Why it is in its state, in words."""
    causes: Causes | None = None
    """The likely ones, by the last look."""
    flaps: int = 0
    """How often it came back after it was resolved."""
    snoozed_until: float = NAN
    merged_into: str = ""
    """The key of the problem that this one went into."""
    verdict: Verdict | None = None
    """What a person last said that it was."""
    waited_from: float = NAN
    """Not stored: since when a person is waited for, when that is not since it was opened."""
    quiet_since: float = NAN
    """Not stored: since when none of its alerts fires."""
    id: int = 0

    @property
    def name(self) -> str:
        """For sentences; a problem has no number before it is stored."""
        return f"problem {self.id}" if self.id else f"\u201c{self.title}\u201d"

    def snoozed(self, now: float) -> bool:
        return now < self.snoozed_until

    @property
    def lead_seconds(self) -> float:
        """Seconds from opening to the breach of its SLI; 0 when it came first, NaN while not breached."""
        lead = self.breached - self.opened
        return 0.0 if lead < 0 else lead


@dataclass(frozen=True, slots=True)
class Tie:
    """A problem is tied to `other`; with a merge or split, `alerts` changed hands."""

    other: Problem
    kind: TieKind
    note: str = ""
    alerts: tuple[Alert, ...] = ()


@dataclass(frozen=True, slots=True)
class Mark:
    """What a person says that a problem was."""

    verdict: Verdict
    note: str = ""


@dataclass(slots=True)
class Ticket:
    """The record of a problem in an outside ITSM."""

    problem_id: int
    sink: str
    ref: str
    url: str = ""
    state: str = "open"
    team: str = "default"
    id: int = 0


@dataclass(slots=True)
class Delivery:
    """One message in the outbox. ``seq`` orders the messages of one problem to one sink."""

    problem_id: int
    sink: str
    seq: int
    reason: NotifyReason
    body: dict[str, Any]
    message_id: str
    """The same on every attempt, so that a receiver can drop repeats."""
    state: DeliveryState = DeliveryState.DUE
    attempts: int = 0
    due: float = 0.0
    sent: float = NAN
    error: str = ""
    team: str = "default"
    id: int = 0


@dataclass(slots=True)
class Run:
    """One attempt of a playbook on one problem."""

    problem_id: int
    playbook: str
    revision: str
    """Hash of the playbook text that this run is pinned to."""
    target: str
    """What it acts on; one run at a time holds a target."""
    state: RunState = RunState.QUEUED
    autonomy: str = "approve"
    dry_run: bool = True
    queued: float = 0.0
    started: float = NAN
    ended: float = NAN
    reason: str = ""
    approved_by: str = ""
    asked_by: str = ""
    """Who asked for it by hand; empty: the engine."""
    needs: int = 1
    """Approvals that let it begin, where it waits for any."""
    approvers: list[str] = field(default_factory=list)
    """Who may approve it; empty: anybody who may act."""
    expires: float = NAN
    """When it stops to wait for its approval."""
    plan: list[str] = field(default_factory=list)
    """What each step would do, in words: what an approval is given for."""
    service: str = ""
    """For which its playbook earns autonomy: the problem's service, else the target."""
    domain: str = ""
    """The failure domain in which it acts, such as a zone; empty when not known."""
    replicas: int = 0
    """Replicas of the service that are watched; 0 when not known."""
    not_before: float = 0.0
    """It is held back until then, to see whether the problem heals without it."""
    weighed: bool = False
    """Its end has counted as evidence for its playbook."""
    team: str = "default"
    id: int = 0


@dataclass(slots=True)
class Step:
    """One intent to act, committed before the act. ``number`` counts all steps of a run from 0."""

    run_id: int
    number: int
    name: str
    phase: str
    """precheck, step, verify or rollback"""
    plan: str
    """What it does, in words: the dry run."""
    started: float
    ended: float = NAN
    ok: bool | None = None
    output: str = ""
    data: dict[str, Any] | None = None
    """What it found, where it is registered for later steps."""
    team: str = "default"
    id: int = 0


@dataclass(frozen=True, slots=True)
class Escalation:
    """Handing a problem to people, with the reason named."""

    problem_key: str
    reason: EscalationReason
    at: float
    to: str = ""
    note: str = ""
