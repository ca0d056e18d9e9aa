"""Every state and every legal transition, as one table. Whatever is not written here cannot happen."""

from enum import StrEnum


class AlertState(StrEnum):
    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"


class ProblemState(StrEnum):
    OPEN = "open"
    REMEDIATING = "remediating"
    ESCALATED = "escalated"
    RESOLVED = "resolved"


class Stage(StrEnum):
    """Whether users notice yet."""

    PREDICTED = "predicted"
    ACTIVE = "active"


class RunState(StrEnum):
    QUEUED = "queued"
    AWAITING_APPROVAL = "awaiting_approval"
    RUNNING = "running"
    VERIFYING = "verifying"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ROLLED_BACK = "rolled_back"
    EXPIRED = "expired"
    INTERRUPTED = "interrupted"


class DeliveryState(StrEnum):
    DUE = "due"
    SENT = "sent"
    DEAD = "dead"


State = AlertState | ProblemState | Stage | RunState | DeliveryState

_A, _P, _S, _R, _D = AlertState, ProblemState, Stage, RunState, DeliveryState

LEGAL: dict[type[State], dict[State, frozenset[State]]] = {
    # A table an entity: words of two entities may be equal, their states are not
    _A: {  # owned by core/alerting
        _A.PENDING: frozenset({_A.FIRING, _A.RESOLVED}),
        _A.FIRING: frozenset({_A.RESOLVED}),
        _A.RESOLVED: frozenset(),
    },
    _P: {  # owned by core/problems
        _P.OPEN: frozenset({_P.REMEDIATING, _P.ESCALATED, _P.RESOLVED}),
        _P.REMEDIATING: frozenset({_P.OPEN, _P.ESCALATED, _P.RESOLVED}),
        _P.ESCALATED: frozenset({_P.REMEDIATING, _P.RESOLVED}),
        _P.RESOLVED: frozenset({_P.OPEN}),
    },
    _S: {  # a prediction comes true once; it never becomes untrue again
        _S.PREDICTED: frozenset({_S.ACTIVE}),
        _S.ACTIVE: frozenset(),
    },
    _R: {  # owned by core/remediate
        _R.QUEUED: frozenset({_R.AWAITING_APPROVAL, _R.RUNNING, _R.EXPIRED, _R.INTERRUPTED}),
        _R.AWAITING_APPROVAL: frozenset({_R.QUEUED, _R.RUNNING, _R.EXPIRED, _R.INTERRUPTED}),
        _R.RUNNING: frozenset({_R.VERIFYING, _R.SUCCEEDED, _R.FAILED, _R.ROLLED_BACK, _R.INTERRUPTED}),
        _R.VERIFYING: frozenset({_R.SUCCEEDED, _R.FAILED, _R.ROLLED_BACK, _R.INTERRUPTED}),
        _R.SUCCEEDED: frozenset(),
        _R.FAILED: frozenset(),
        _R.ROLLED_BACK: frozenset(),
        _R.EXPIRED: frozenset(),
        _R.INTERRUPTED: frozenset(),
    },
    _D: {  # owned by engine/deliver; a dead letter can be replayed
        _D.DUE: frozenset({_D.SENT, _D.DEAD}),
        _D.SENT: frozenset(),
        _D.DEAD: frozenset({_D.DUE}),
    },
}


class Act(StrEnum):
    """What people do to a problem besides moving it by its alerts and runs."""

    ACKNOWLEDGE = "acknowledge"
    ASSIGN = "assign"
    SNOOZE = "snooze"
    WAKE = "wake"
    COMMENT = "comment"
    LINK = "link"
    MERGE = "merge"
    SPLIT = "split"
    MARK = "mark"
    ESCALATE = "escalate"
    REMEDIATE = "remediate"
    RESOLVE = "resolve"
    REOPEN = "reopen"


_ANY_TIME = frozenset({Act.ASSIGN, Act.COMMENT, Act.LINK, Act.MERGE, Act.SPLIT, Act.MARK})
_UNRESOLVED = _ANY_TIME | {Act.ACKNOWLEDGE, Act.SNOOZE, Act.WAKE, Act.RESOLVE}

ACTS: dict[ProblemState, frozenset[Act]] = {
    _P.OPEN: _UNRESOLVED | {Act.ESCALATE, Act.REMEDIATE},
    _P.REMEDIATING: _UNRESOLVED | {Act.ESCALATE},
    _P.ESCALATED: _UNRESOLVED | {Act.REMEDIATE},
    _P.RESOLVED: _ANY_TIME | {Act.REOPEN},
}

LIVE_RUN = frozenset({_R.QUEUED, _R.AWAITING_APPROVAL, _R.RUNNING, _R.VERIFYING})
"""A run that has not ended."""


class IllegalTransition(Exception):
    """The table above does not hold this step; nothing was changed."""


def check(current: State, to: State) -> None:
    """Raise `IllegalTransition` unless ``current => to`` is in the table."""
    legal_now = LEGAL[type(current)][current]
    if type(to) is not type(current) or to not in legal_now:
        legal = ", ".join(sorted(legal_now)) or "nothing: it has ended"
        raise IllegalTransition(f"{type(current).__name__} {current} => {to}; legal from here: {legal}")


def check_act(state: ProblemState, act: Act) -> None:
    """Raise `IllegalTransition` unless people may do that to a problem in this state."""
    if act not in ACTS[state]:
        legal = ", ".join(sorted(ACTS[state]))
        raise IllegalTransition(f"cannot {act} a problem that is {state}; possible now: {legal}")


def sentence(entity: str, ident: object, current: State | str, to: State | str, reason: str) -> str:
    """The one grammar in which every transition is logged: ``problem 42: open => remediating: why``."""
    return f"{entity} {ident}: {current} => {to}: {reason}"
