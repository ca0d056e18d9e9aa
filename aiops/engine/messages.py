"""What other rooms tell the pipeline about problems; it alone changes them."""

from dataclasses import dataclass
from typing import TypeAlias

from aiops.model.lifecycle import RunState
from aiops.model.problem import EscalationReason


@dataclass(frozen=True, slots=True)
class RunStarted:
    problem_id: int
    run_id: int
    text: str


@dataclass(frozen=True, slots=True)
class RunEnded:
    """``reason`` is set when a person is to be asked."""

    problem_id: int
    run_id: int
    state: RunState
    reason: EscalationReason | None
    text: str
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Acknowledge:
    problem_id: int
    by: str


@dataclass(frozen=True, slots=True)
class Resolve:
    problem_id: int
    by: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Escalate:
    problem_id: int
    by: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Comment:
    problem_id: int
    by: str
    text: str


@dataclass(frozen=True, slots=True)
class Reopen:
    problem_id: int
    by: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Assign:
    """``to``: whose it is from now on; empty for nobody's."""

    problem_id: int
    by: str
    to: str


@dataclass(frozen=True, slots=True)
class Heard:
    """A comment that somebody wrote in a ticket system: for the timeline, not to be told back."""

    problem_id: int
    by: str
    text: str


Message: TypeAlias = (
    RunStarted | RunEnded | Acknowledge | Resolve | Escalate | Comment | Reopen | Assign | Heard
)
