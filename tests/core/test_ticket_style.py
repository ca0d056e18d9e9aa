"""Tickets in another language, in words of one's own, with what is missing said, and for a storm."""

import re
from pathlib import Path
from typing import Any

import pytest

from aiops.config.locale import LANGUAGES, catalogue, translator
from aiops.core import ticket, ticket_style, ticket_words
from aiops.core.ticket_plots import POINTS, plots, shown
from aiops.core.ticket_style import Style, dress
from aiops.core.told import Notice
from aiops.model.lifecycle import AlertState, ProblemState, Stage
from aiops.model.problem import EscalationReason, Problem
from aiops.model.problem import NotifyReason as R
from aiops.model.series import labels_of
from aiops.model.signal import Alert, AlertKind, Severity
from aiops.plugin import Message

NOW = 1_767_225_600.0
"""2026-01-01 00:00:00 UTC"""
ZH = translator("zh")


def an_alert(kind: AlertKind = AlertKind.ANOMALY, **other: object) -> Alert:
    labels = labels_of({"__name__": "node_memory_used_ratio", "service": "web"})
    alert = Alert(kind, labels, started=NOW - 125, state=AlertState.FIRING, id=7, rule="memory")
    alert.observed, alert.expected, alert.lower, alert.upper, alert.bound = 0.93, 0.2, 0.1, 0.3, 0.9
    for name, value in other.items():
        setattr(alert, name, value)
    return alert


def a_problem(**other: object) -> Problem:
    problem = Problem("fw-1", opened=NOW - 60, title="memory used is 93 %", id=42, severity=Severity.MAJOR)
    problem.alerts = [an_alert()]
    problem.labels = problem.alerts[0].labels
    for name, value in other.items():
        setattr(problem, name, value)
    return problem


def dressed(style: Style, problem: Problem | None = None, **other: Any) -> dict[str, Any]:
    reason = other.pop("reason", R.OPENED)
    notice = Notice(problem or a_problem(), "itsm", reason, "because", NOW, **other)
    return dress(ticket.body(notice), notice, style)


def test_the_usual_ticket_is_as_it_was() -> None:
    body = ticket.body(Notice(a_problem(), "itsm", R.OPENED, "because", NOW))
    made = dressed(Style())
    assert {key: made[key] for key in body} == body
    assert (made["queue"], made["gathered"], made["missing"], made["text"]) == ("", [], [], "")


def test_chinese() -> None:
    problem = a_problem(breach_earliest=NOW + 1200, breach_expected=NOW + 1500, breach_latest=NOW + 2400)
    problem.breach_chance, problem.breach_within = 0.724, 14400.0
    made = dressed(Style(translate=ZH), problem)
    assert made["title"] == "node memory used (service web) 为 93 %，预期在 10 % 至 30 % 之间"
    assert made["summary"] == (
        "node memory used (service web) 为 93 %，预期在 10 % 至 30 % 之间。自 2025-12-31 23:57:55 UTC 起，"
        "至今已 2 分钟 5 秒。\n"
        "用户尚未受到影响；预计 25 分钟 后越过限值"
        "（2026-01-01 00:20:00 UTC 至 2026-01-01 00:40:00 UTC 之间）。4 小时 内发生的可能性为 72 %。\n"
        "\n"
        "依据：\n"
        "- node memory used (service web) 为 93 %，预期在 10 % 至 30 % 之间"
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"stage": Stage.ACTIVE, "breached": NOW - 6}, "用户自 2025-12-31 23:59:54 UTC 起受到影响"),
        (
            {"state": ProblemState.RESOLVED, "resolved": NOW, "reason": "its alert cleared"},
            "已于 2026-01-01 00:00:00 UTC 恢复",
        ),
        (
            {"state": ProblemState.ESCALATED, "escalation": EscalationReason.VERIFY_FAILED},
            "需要人工处理：修复未通过验证。",
        ),
        ({"alerts": [an_alert(AlertKind.LIMIT)]}, "已超出限值 90 %"),
        ({"alerts": [an_alert(AlertKind.SLI)]}, "用户受到影响：memory 为 93 %，目标为 90 %"),
        ({"alerts": []}, "memory used is 93 %"),
    ],
)
def test_chinese_of_every_standing(change: dict[str, object], said: str) -> None:
    assert said in dressed(Style(translate=ZH), a_problem(**change))["summary"]


def test_every_text_is_translated_with_its_places() -> None:
    code = "".join(Path(m.__file__ or "").read_text("utf-8") for m in (ticket_words, ticket_style))
    code = re.sub(r'"\s*\n\s*"', "", code)
    used = set(re.findall(r'\btr\(\s*"([^"]+)"', code))
    used |= set(re.findall(r'"(?:limit|forecast|sli|silence|anomaly)": "([^"]+)"', code))
    used |= {reason.value for reason in EscalationReason}
    assert len(used) > 30
    for language in LANGUAGES[1:]:
        known = catalogue(language)
        assert used - set(known) == set()
        for said, meant in known.items():
            places = re.compile(r"{\w+}")
            assert sorted(places.findall(said)) == sorted(places.findall(meant)), said


def test_there_is_no_such_language() -> None:
    with pytest.raises(LookupError, match="there are: en, zh"):
        catalogue("tlh")


def test_words_of_ones_own_replace_the_usual_ones() -> None:
    style = Style(
        "[{{ problem.severity }}] {{ problem.title }}", "{{ problem.why }} in {{ problem.labels.service }}"
    )
    made = dressed(style)
    assert made["title"] == "[major] memory used is 93 %"
    assert Message("id", "fw-1", "opened", NOW, made).text == "because in web"


def test_a_template_that_fails_leaves_the_usual_words(caplog: pytest.LogCaptureFixture) -> None:
    made = dressed(Style("{{ problem.nothing }}", "{{ problem.labels.nobody }}"))
    assert made["title"] == "memory used is 93 %"
    assert made["text"] == ""
    assert "is the usual one" in caplog.text


def test_a_long_ticket_can_be_written_by_a_template() -> None:
    problem = a_problem(title="x" * 3000, reason="y" * 3000, state=ProblemState.ESCALATED)
    assert len(dressed(Style(text="{{ problem.summary }}"), problem)["text"]) == 4096


def test_empty_fields_are_filled_or_said_to_be_missing(caplog: pytest.LogCaptureFixture) -> None:
    style = Style(
        defaults={"labels.category": "operations", "assignee": "desk"}, required=("labels.owner", "team")
    )
    made = dressed(style)
    assert (made["labels"], made["assignee"]) == ({"service": "web", "category": "operations"}, "desk")
    assert made["missing"] == ["labels.owner"]
    assert made["summary"].endswith("\nNot known, though it should be: labels.owner.")
    assert "lacks labels.owner" in caplog.text
    assert "category" not in dict(a_problem().labels)


def test_a_storms_ticket_says_for_what_it_stands() -> None:
    first = dressed(Style(), gathers=True)
    assert (
        first["title"] == "Storm: further problems are gathered here, the first of them: memory used is 93 %"
    )
    titles = tuple(f"fault {n}" for n in range(25))
    later = dressed(Style(), reason=R.UPDATED, gathered=titles)
    assert later["title"].startswith("Storm: 25 problems more, the first of them: ")
    assert "- fault 19\n- and 5 more" in later["summary"]
    assert later["gathered"] == list(titles)


def test_the_courses_of_the_most_telling_alerts_are_shown_thinned() -> None:
    problem = a_problem()
    problem.alerts = [an_alert(id=n, peak=float(n)) for n in range(5)]
    alerts = shown(problem)
    assert [alert.id for alert in alerts] == [4, 3]
    course: dict[str, Any] = {"times": [NOW + n for n in range(1000)], "observed": [0.5] * 999 + [None]}
    course |= {"lower": [0.1] * 1000, "upper": [0.9] * 1000}
    (one,) = plots(
        alerts, {4: course, 3: {"times": [NOW], "observed": [1.0], "lower": [None], "upper": [None]}}
    )
    assert 100 <= len(one["times"]) == len(one["observed"]) <= POINTS
    assert (one["title"], one["bound"]) == ("node memory used (service web)", 0.9)
