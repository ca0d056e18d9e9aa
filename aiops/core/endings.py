"""How a run's last reason names why a person is asked, and how that is read back."""

from aiops.model.problem import EscalationReason, Run


def ending(reason: EscalationReason, detail: str) -> str:
    """A run's last reason, from which `escalation_of` reads the named one back."""
    return f"{reason.value}: {detail}"


def escalation_of(run: Run) -> EscalationReason | None:
    """Why a person is asked about this ended run; None when nobody has to be."""
    named = (reason for reason in EscalationReason if run.reason.startswith(f"{reason.value}: "))
    return next(named, None)


def detail_of(run: Run) -> str:
    """A run's last reason without the named one: what `ending` was given."""
    reason = escalation_of(run)
    return run.reason.removeprefix(f"{reason.value}: ") if reason else run.reason
