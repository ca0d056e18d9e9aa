"""What expressions and templates see of a problem: plain JSON-able data, no NaN."""

import math
from typing import Any

from aiops.model.problem import Problem
from aiops.model.series import NAME
from aiops.model.signal import Alert

_NUMBERS = ("score", "peak", "observed", "expected", "lower", "upper", "bound")


def problem_context(problem: Problem) -> dict[str, Any]:
    """``{id, key, title, severity, level, stage, state, team, opened, labels, metrics, cause, evidence}``.

    `cause` is the component that is the likely cause, empty while none is known. Evidence is one entry an
    alert; numbers that are not known are absent, so ``has(e.bound)`` asks for them.
    """
    return {
        "id": problem.id,
        "key": problem.key,
        "title": problem.title,
        "severity": problem.severity.value,
        "level": problem.severity.level,
        "stage": problem.stage.value,
        "state": problem.state.value,
        "team": problem.team,
        "opened": problem.opened,
        "labels": dict(problem.labels),
        "metrics": sorted({alert.metric for alert in problem.alerts}),
        "cause": problem.causes.lead.component if problem.causes and problem.causes.lead else "",
        "evidence": [evidence_of(alert) for alert in problem.alerts],
    }


def evidence_of(alert: Alert) -> dict[str, Any]:
    numbers = {name: float(getattr(alert, name)) for name in _NUMBERS}
    return {
        "metric": alert.metric,
        "kind": alert.kind.value,
        "rule": alert.rule,
        "state": alert.state.value,
        "severity": alert.severity.value,
        "level": alert.severity.level,
        "labels": {k: v for k, v in alert.labels if k != NAME},
        **{name: value for name, value in numbers.items() if math.isfinite(value)},
    }
