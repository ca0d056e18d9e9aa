"""What expressions and templates see of a problem."""

import json

from aiops.core.context import problem_context
from aiops.core.expressions import Expression
from aiops.model.problem import Problem
from aiops.model.series import labels_of
from aiops.model.signal import Alert, AlertKind, Severity


def a_problem() -> Problem:
    labels = labels_of({"__name__": "probe_success", "service": "web"})
    alert = Alert(AlertKind.LIMIT, labels, 1000.0, rule="down", severity=Severity.MAJOR)
    alert.observed, alert.bound = 0.0, 0.5
    return Problem(
        "fw-1", 1000.0, title="web is down", severity=Severity.MAJOR, labels=labels, alerts=[alert]
    )


def test_the_context_is_plain_json_without_nan() -> None:
    context = problem_context(a_problem())
    assert json.loads(json.dumps(context, allow_nan=False)) == context
    assert set(context) == {
        "id", "key", "title", "severity", "level", "stage", "state", "team", "opened", "labels", "metrics",
        "evidence", "cause",
    }  # fmt: skip


def test_numbers_that_are_not_known_are_absent() -> None:
    seen = problem_context(a_problem())["evidence"][0]
    assert (seen["observed"], seen["bound"], seen["metric"]) == (0.0, 0.5, "probe_success")
    assert "expected" not in seen
    assert "__name__" not in seen["labels"]


def test_a_playbook_can_ask_for_what_it_needs() -> None:
    asks = (
        'problem.labels.service == "web" && problem.level >= level.major && '
        'problem.evidence.exists(e, e.metric == "probe_success" && e.observed == 0.0 && !has(e.upper))'
    )
    assert Expression(asks).test({"problem": problem_context(a_problem())})
