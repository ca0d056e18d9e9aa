"""What ties problems together and what people say of them, as the API tells it."""

from typing import Any

from pydantic import Field

from aiops.model.lifecycle import ProblemState, Stage
from aiops.model.problem import Verdict
from aiops.model.signal import Severity
from aiops.web.schema_base import Instant, MaybeInstant, Schema


class TiedTicket(Schema):
    sink: str
    ref: str
    url: str


class Tied(Schema):
    """Another problem that is tied to this one."""

    how: str = Field(description="merged into, took in, split from, gave, related", examples=["took in"])
    id: int
    key: str
    title: str
    state: ProblemState
    severity: Severity
    note: str
    made: Instant
    made_by: str
    tickets: list[TiedTicket]


class Alike(Schema):
    """A problem of the past that was like this one."""

    id: int
    key: str
    title: str
    state: ProblemState
    stage: Stage
    severity: Severity
    opened: Instant
    resolved: MaybeInstant
    score: float = Field(description="0 to 1; 1: the same signature.", examples=[0.83])
    because: str = Field(examples=["same log pattern T12; same component checkout"])
    fix: str = Field(description="What ended it, in words.", examples=["playbook restart-checkout"])
    playbook: str = Field(description="The playbook that repaired it; empty when none did.")


class MarkOut(Schema):
    """What a person said that the problem was."""

    id: int
    verdict: Verdict
    note: str
    made: Instant
    made_by: str


class MarkDetail(MarkOut):
    """With what it was spoken on: kept when the problem itself is long purged."""

    problem_id: int | None
    problem_key: str
    evidence: dict[str, Any]
