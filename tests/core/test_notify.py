"""Which messages a change causes, to whom, and what a person reads in them."""

import json
import math
import re
from typing import Any

import pytest

from aiops.core import ticket
from aiops.core.expressions import Expression
from aiops.core.notify import UPDATE_EVERY, Notice, Route, Router, Told, after
from aiops.core.problems import ProblemChange
from aiops.core.routing import Routes, Step
from aiops.model.lifecycle import AlertState, ProblemState, Stage
from aiops.model.problem import EscalationReason, NotifyReason, Problem
from aiops.model.series import labels_of
from aiops.model.signal import Alert, AlertKind, Severity

R = NotifyReason
NOW = 1_767_225_600.0
"""2026-01-01 00:00:00 UTC"""


def an_alert(metric: str = "node_memory_used_ratio", **other: object) -> Alert:
    labels = labels_of({"__name__": metric, "service": "web"})
    alert = Alert(AlertKind.ANOMALY, labels, started=NOW - 120, state=AlertState.FIRING)
    alert.observed, alert.expected, alert.lower, alert.upper = 0.93, 0.2, 0.1, 0.3
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


def change(
    problem: Problem, notify: NotifyReason | None, at: float = NOW, why: str = "because"
) -> ProblemChange:
    to = "escalated" if notify is R.ESCALATED else "open"
    return ProblemChange(problem, "open", to, why, at, notify)


def router(*routes: tuple[str, str, str]) -> Router:
    made = [
        Route(Expression(match), to, steps=(Step(900.0, person),) if person else ())
        for match, to, person in routes
    ]
    return Router(Routes(made, ["itsm", "chat", "oncall"]))


def said(notices: list[Notice]) -> list[tuple[str, NotifyReason]]:
    return [(n.sink, n.reason) for n in notices]


GRAVE = router(("problem.level >= level.major", "itsm", "oncall"), ("true", "chat", ""))


def test_a_problem_goes_to_every_matching_route_once() -> None:
    assert said(GRAVE.messages([change(a_problem(), R.OPENED)], {})) == [
        ("itsm", R.OPENED),
        ("chat", R.OPENED),
    ]
    minor = a_problem(severity=Severity.MINOR)
    assert said(GRAVE.messages([change(minor, R.OPENED)], {})) == [("chat", R.OPENED)]
    twice = router(("true", "itsm", ""), ("problem.id == 42", "itsm", ""))
    assert said(twice.messages([change(a_problem(), R.OPENED)], {})) == [("itsm", R.OPENED)]


def test_without_routes_every_sink_hears_of_everything() -> None:
    heard = Router(Routes((), ["itsm", "chat"])).messages([change(a_problem(), R.OPENED)], {})
    assert said(heard) == [("itsm", R.OPENED), ("chat", R.OPENED)]
    assert Router().messages([change(a_problem(), R.OPENED)], {}) == []


def test_escalation_reaches_the_person_too_and_keeps_them_informed() -> None:
    problem, told = a_problem(), {"fw-1": Told(frozenset({"itsm", "chat"}), NOW, 1)}
    asked = GRAVE.messages([change(problem, R.ESCALATED)], told)
    assert said(asked) == [("itsm", R.ESCALATED), ("chat", R.ESCALATED), ("oncall", R.ESCALATED)]
    told |= after(told, asked)
    over = GRAVE.messages([change(problem, R.RESOLVED)], told)
    assert said(over) == [("itsm", R.RESOLVED), ("chat", R.RESOLVED), ("oncall", R.RESOLVED)]


def test_a_sink_that_knows_a_problem_is_told_of_its_end_whatever_the_routes_say_by_then() -> None:
    problem = a_problem(severity=Severity.INFO)
    only_grave = router(("problem.level >= level.major", "itsm", ""))
    told = {"fw-1": Told(frozenset({"itsm", "gone"}), NOW, 1)}
    assert said(only_grave.messages([change(problem, R.RESOLVED)], told)) == [("itsm", R.RESOLVED)]
    assert said(only_grave.messages([change(problem, R.UPDATED)], told)) == [("itsm", R.UPDATED)]


def test_a_sink_that_comes_late_is_told_of_the_opening_never_only_of_the_end() -> None:
    told = {"fw-1": Told(frozenset({"chat"}), NOW, 1)}
    raised = GRAVE.messages([change(a_problem(), R.UPDATED)], told)
    assert said(raised) == [("itsm", R.OPENED), ("chat", R.UPDATED)]
    assert said(GRAVE.messages([change(a_problem(), R.RESOLVED)], told)) == [("chat", R.RESOLVED)]
    assert GRAVE.messages([change(a_problem(), R.RESOLVED)], {}) == []


@pytest.mark.parametrize(
    ("at_once", "heard"),
    [
        ([R.OPENED, R.BREACHED, R.REMEDIATING], [R.OPENED]),
        ([R.REMEDIATING, R.BREACHED], [R.BREACHED]),
        ([R.OPENED, R.ESCALATED], [R.OPENED, R.ESCALATED]),
        ([R.OPENED, R.UPDATED, R.RESOLVED], [R.OPENED, R.RESOLVED]),
        ([None, R.UPDATED, None], [R.UPDATED]),
    ],
)
def test_changes_of_one_commit_are_one_message_where_it_says_them_all(
    at_once: list[NotifyReason | None], heard: list[NotifyReason]
) -> None:
    problem = a_problem()
    told = {} if R.OPENED in at_once else {"fw-1": Told(frozenset({"itsm"}), NOW, 1)}
    out = router(("true", "itsm", "")).messages([change(problem, r) for r in at_once], told)
    assert [n.reason for n in out] == heard


def test_new_evidence_is_told_but_not_too_often() -> None:
    problem, desk = a_problem(), router(("true", "itsm", ""))
    told = {"fw-1": Told(frozenset({"itsm"}), NOW, 1)}
    assert desk.messages([change(problem, None, NOW + UPDATE_EVERY)], told) == [], "nothing new"
    problem.alerts.append(an_alert("node_load1"))
    assert desk.messages([change(problem, None, NOW + UPDATE_EVERY - 1)], told) == [], "too soon"
    out = desk.messages([change(problem, None, NOW + UPDATE_EVERY)], told)
    assert said(out) == [("itsm", R.UPDATED)]
    told |= after(told, out)
    assert (told["fw-1"].at, told["fw-1"].evidence) == (NOW + UPDATE_EVERY, 2)
    assert desk.messages([change(problem, None, NOW + 2 * UPDATE_EVERY)], told) == []


def test_problems_of_one_commit_do_not_mix() -> None:
    one, two = a_problem(), a_problem(key="fw-2", id=43)
    out = GRAVE.messages([change(one, R.OPENED), change(two, R.OPENED), change(one, R.ESCALATED)], {})
    assert [(n.problem.id, n.sink, n.reason) for n in out if n.sink == "itsm"] == [
        (42, "itsm", R.OPENED),
        (42, "itsm", R.ESCALATED),
        (43, "itsm", R.OPENED),
    ]


def body_of(problem: Problem, reason: NotifyReason = R.OPENED, **other: Any) -> dict[str, Any]:
    made = ticket.body(Notice(problem, "itsm", reason, "because", NOW), **other)
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    return made


def test_a_predicted_problem_says_what_is_wrong_and_when_users_will_notice() -> None:
    problem = a_problem(
        breach_earliest=NOW + 1200,
        breach_expected=NOW + 1500,
        breach_latest=NOW + 2400,
        breach_chance=0.724,
        breach_within=14400.0,
        assignee="mia",
    )
    made = body_of(problem, console="https://console.example")
    assert made["summary"] == (
        "Memory used is 93 %. Since 2025-12-31 23:58:00 UTC, for 2 min now.\n"
        "Users do not notice yet; the limit is expected to be crossed in 25 min "
        "(between 2026-01-01 00:20:00 UTC and 2026-01-01 00:40:00 UTC). It is 72 % likely within 4 h.\n"
        "\n"
        "Evidence:\n"
        "- node memory used (service web) is 93 %, expected 10 % to 30 %"
    )
    assert made["breach"] == {
        "earliest": "2026-01-01T00:20:00.000Z",
        "expected": "2026-01-01T00:25:00.000Z",
        "latest": "2026-01-01T00:40:00.000Z",
        "chance": 0.724,
        "within_seconds": 14400.0,
    }
    assert made["links"] == {"problem": "https://console.example/problems/42"}
    assert (made["key"], made["severity"], made["stage"], made["state"], made["assignee"]) == (
        "fw-1", "major", "predicted", "open", "mia",
    )  # fmt: skip
    assert made["labels"] == {"service": "web"}
    (evidence,) = made["evidence"]
    assert (evidence["metric"], evidence["observed"], evidence["bound"]) == (
        "node_memory_used_ratio",
        0.93,
        None,
    )


def test_an_active_problem_says_since_when_and_how_early_it_was_seen() -> None:
    made = body_of(a_problem(stage=Stage.ACTIVE, breached=NOW - 6), R.BREACHED)
    assert "Users notice since 2025-12-31 23:59:54 UTC, 54 s after this problem was opened." in str(
        made["summary"]
    )
    assert (made["lead_seconds"], made["breached"]) == (54.0, "2025-12-31T23:59:54.000Z")


def test_the_story_of_the_repair_is_told() -> None:
    def row(entity: str, to: str, text: str) -> dict[str, object]:
        return {
            "at": NOW, "actor": "forewarn", "entity": entity, "entity_id": "1", "from_state": "x",
            "to_state": to, "reason": text,
        }  # fmt: skip

    trail = [
        row("problem", "open", "memory used is 93 %"),
        row("delivery", "sent", "itsm took opened"),
        row("run", "failed", "nginx did not come back"),
    ]
    problem = a_problem(
        state=ProblemState.ESCALATED,
        escalation=EscalationReason.VERIFY_FAILED,
        reason="the repair did not verify: 3 of 3 checks failed",
    )
    made = body_of(problem, R.ESCALATED, timeline=trail)
    assert [(t["entity"], t["to"]) for t in made["timeline"]] == [("problem", "open"), ("run", "failed")]
    assert "- 2026-01-01 00:00:00 UTC failed: nginx did not come back" in str(made["summary"])
    assert "A person is needed: the repair did not verify: 3 of 3 checks failed." in str(made["summary"])
    assert made["escalation"] == "the repair did not verify"


def test_a_resolved_problem_says_how_long_it_lasted() -> None:
    problem = a_problem(state=ProblemState.RESOLVED, resolved=NOW, reason="its alert cleared")
    problem.alerts[0].state = AlertState.RESOLVED
    made = str(body_of(problem, R.RESOLVED)["summary"])
    assert "Resolved at 2026-01-01 00:00:00 UTC after 60 s: its alert cleared." in made
    assert "Users did not notice." in made
    assert made.endswith("expected 10 % to 30 % (cleared)")


def test_a_body_stays_small_and_leads_with_the_most_telling_evidence() -> None:
    problem = a_problem(title="x" * 100_000)
    problem.alerts = [an_alert(f"m{n}", peak=float(n)) for n in range(500)]
    problem.alerts.append(an_alert("over", peak=1e9, state=AlertState.RESOLVED))
    made = body_of(problem)
    assert len(json.dumps(made)) < 20_000
    assert made["evidence_total"] == 501
    assert [e["metric"] for e in made["evidence"]][:2] == ["m499", "m498"]
    assert "- and 496 more" in str(made["summary"])


def test_what_is_not_known_is_null_and_every_key_is_there() -> None:
    bare = Problem("fw-1", opened=NOW, id=1)
    assert not math.isfinite(bare.breached)
    documented = re.findall(r"^    ([a-z_]+(?:, [a-z_]+)*) ", ticket.__doc__ or "", re.MULTILINE)
    keys = {key for line in documented for key in line.split(", ")}
    assert set(body_of(bare)) == set(body_of(a_problem())) == keys
    assert body_of(bare)["breach"] is None
