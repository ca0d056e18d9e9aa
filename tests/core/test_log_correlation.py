"""Alerts on logs and on metrics of one service, host or pod are one problem."""

from typing import Any

import pytest

from aiops.model.signal import Alert, AlertKind, Severity
from tests.making import ProblemStand, firing


def log(metric: str, kind: AlertKind = AlertKind.LOG, **fields: Any) -> Alert:
    return firing(metric, kind=kind, **fields)


@pytest.mark.parametrize("label", ["service", "host", "pod", "unit"])
def test_a_new_error_joins_the_problem_of_a_metric_by_a_shared_label(label: str) -> None:
    stand = ProblemStand(by=["service", "host", "pod", "unit"])
    shared: dict[str, Any] = {label: "a", "severity": Severity.MAJOR}
    stand.step(firing("latency_seconds", **shared))
    rate = log("log_pattern_lines_per_second", template="t1", **shared)
    rate.examples = ["ERROR no route to <*>", "ERROR no route to db-7"]
    stand.step(rate, after=30)
    assert {alert.kind for alert in stand.only.alerts} == {AlertKind.ANOMALY, AlertKind.LOG}


def test_a_stream_that_falls_silent_opens_a_problem_and_joins_one() -> None:
    stand = ProblemStand()
    silence = log("log_lines_per_second", AlertKind.SILENCE, service="web", severity=Severity.MAJOR)
    stand.step(silence)
    assert [alert.kind for alert in stand.only.alerts] == [AlertKind.SILENCE]
    stand.step(firing("load", service="web"), after=20)
    assert {alert.kind for alert in stand.only.alerts} == {AlertKind.SILENCE, AlertKind.ANOMALY}


def test_minor_alerts_of_one_stream_open_nothing_and_with_a_metric_and_another_stream_they_do() -> None:
    stand = ProblemStand(open_at=3)
    for metric in ("log_lines_per_second", "log_error_lines_per_second", "log_pattern_lines_per_second"):
        assert stand.step(log(metric, service="web"), after=10) == []
    assert stand.step(firing("load", service="web"), after=10) == []
    assert stand.step(log("log_lines_per_second", service="web", filename="/b.log"), after=10) != []
    assert len(stand.only.alerts) == 5
