"""What people see of an alert on log lines, in tickets and in the console."""

import math

import pytest

from aiops.core.log_shown import in_body, in_text, of_alert, pace
from aiops.core.ticket import body
from aiops.core.told import Notice
from aiops.model.problem import NotifyReason, Problem
from aiops.model.series import NAME, labels_of
from aiops.model.signal import Alert, AlertKind
from aiops.web.console.log_evidence import log_shown
from aiops.web.console.render import Renderer

LINES = ["ERROR cannot reach <*>", "ERROR cannot reach db-7", "ERROR  cannot\n\treach db-8 <script>"]


def alert(metric: str = "log_pattern_lines_per_second", **fields: object) -> Alert:
    labels = labels_of({NAME: metric, "service": "shop", "template": "t0123"})
    made = Alert(AlertKind.LOG, labels, 100.0, "new log pattern", examples=list(LINES))
    made.observed, made.expected = 0.1, 0.0
    for name, value in fields.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize(
    ("rate", "words"),
    [
        (0.0, "no line"),
        (1.0, "1 line a second"),
        (2500.0, "2,500 lines a second"),
        (0.1, "6 lines a minute"),
        (0.001, "3.6 lines an hour"),
        (1 / 86400, "a line in 1 d"),
    ],
)
def test_rates_are_in_the_unit_in_which_they_are_no_fraction(rate: float, words: str) -> None:
    assert pace(rate) == words


def test_a_tickets_text_has_the_lines_and_the_rate_before_and_now() -> None:
    problem = Problem(key="fw-1", opened=100.0, title="new log pattern", alerts=[alert()])
    made = body(Notice(problem, "itsm", NotifyReason.OPENED, "opened", 160.0))
    assert (
        "\n  6 lines a minute now, no line before\n  > ERROR cannot reach db-7\n"
        "  > ERROR cannot reach db-8 <script>"
    ) in made["summary"]
    assert made["evidence"][0]["log"] == {
        "pattern": LINES[0],
        "template": "t0123",
        "lines": LINES[1:],
        "lines_per_second": 0.1,
        "lines_per_second_before": 0.0,
    }


def test_what_is_not_about_lines_shows_none() -> None:
    plain = Alert(AlertKind.ANOMALY, labels_of({NAME: "load", "host": "a"}), 100.0)
    assert in_text(plain) == []
    assert in_body(plain) is None


def test_rates_that_are_not_known_are_left_out() -> None:
    one = of_alert(alert(expected=math.nan))
    assert one
    assert one.rates == "6 lines a minute now"
    assert in_text(alert(observed=math.nan))[0].startswith("  > ")


def test_the_console_shows_pattern_lines_and_rates_escaped() -> None:
    row = {
        "labels": dict(alert().labels),
        "examples": LINES,
        "observed": 0.1,
        "expected": None,
    }
    page = Renderer()._env.get_template("_log_evidence.html").render(one=row)
    assert "<code>ERROR cannot reach &lt;*&gt;</code>" in page
    assert "6 lines a minute now" in page
    assert "ERROR cannot reach db-7\n" in page
    assert "&lt;script&gt;" in page
    assert "<script>" not in page
    foreign = log_shown(row | {"labels": {"alertname": "X"}, "examples": ["told elsewhere"]})
    assert foreign
    assert (foreign.pattern, foreign.lines) == ("", ("told elsewhere",))
    assert log_shown(row | {"labels": {"alertname": "X"}, "examples": []}) is None
