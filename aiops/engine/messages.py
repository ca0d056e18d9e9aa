"""What other rooms tell the pipeline about problems; it alone changes them."""

from dataclasses import dataclass
from typing import TypeAlias

from aiops.model.lifecycle import RunState
from aiops.model.problem import EscalationReason, Verdict


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
    heard: bool = False
    """Somebody said so in a ticket system: it is not told back."""


@dataclass(frozen=True, slots=True)
class Snooze:
    """``until``: epoch s."""

    problem_id: int
    by: str
    until: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class Wake:
    problem_id: int
    by: str


@dataclass(frozen=True, slots=True)
class Link:
    problem_id: int
    by: str
    other_id: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Merge:
    """The problem goes into ``into_id``."""

    problem_id: int
    by: str
    into_id: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Split:
    """These alerts, by their numbers, are another problem's."""

    problem_id: int
    by: str
    alert_ids: tuple[int, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Judge:
    """What the problem was; a duplicate goes into ``duplicate_of`` where that is given."""

    problem_id: int
    by: str
    verdict: Verdict
    note: str = ""
    duplicate_of: int = 0


@dataclass(frozen=True, slots=True)
class Remediate:
    """Somebody asks for a run of ``playbook``."""

    problem_id: int
    by: str
    playbook: str


@dataclass(frozen=True, slots=True)
class Heard:
    """A comment that somebody wrote in a ticket system: for the timeline, not to be told back."""

    problem_id: int
    by: str
    text: str


Handling: TypeAlias = (
    Acknowledge
    | Resolve
    | Escalate
    | Comment
    | Reopen
    | Assign
    | Snooze
    | Wake
    | Link
    | Merge
    | Split
    | Judge
    | Remediate
)
"""What people do."""


def concerned(message: Handling) -> tuple[int, ...]:
    """The numbers of the problems that it speaks of."""
    match message:
        case Link(problem_id=one, other_id=other) | Merge(problem_id=one, into_id=other):
            return one, other
        case Judge(problem_id=one, duplicate_of=other) if other:
            return one, other
    return (message.problem_id,)


Message: TypeAlias = RunStarted | RunEnded | Handling | Heard
