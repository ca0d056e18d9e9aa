"""Problems under repair, in people's hands, over a restart, and under anything that may come."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.core import handling
from aiops.core.problems import LONGEST_QUIET, ProblemChange
from aiops.model.lifecycle import AlertState, ProblemState, Stage, check
from aiops.model.problem import EscalationReason, NotifyReason
from aiops.model.signal import Alert, AlertKind, Severity
from tests.making import NOW, firing
from tests.making import ProblemStand as Stand

MAJOR = Severity.MAJOR


def said(changes: list[ProblemChange]) -> list[tuple[str, NotifyReason | None]]:
    return [(f"{c.current} => {c.to}", c.notify) for c in changes]


def web(metric: str, **fields: Any) -> Alert:
    return firing(metric, service="web", **fields)


@pytest.mark.parametrize("state", [ProblemState.OPEN, ProblemState.ESCALATED])
def test_a_playbook_may_begin_on_an_open_or_an_escalated_problem(state: ProblemState) -> None:
    stand = Stand()
    stand.step(web("load", severity=MAJOR))
    if state is ProblemState.ESCALATED:
        handling.escalate(stand.only, EscalationReason.BY_HAND, "", stand.now)
    (change,) = handling.remediating(stand.only, "playbook restart runs", stand.now)
    assert (change.current, change.to) == (state, ProblemState.REMEDIATING)


# -- repair


def repaired(reopen_within: str = "600s") -> tuple[Stand, Alert]:
    stand = Stand(reopen_within=reopen_within)
    alert = web("load", severity=MAJOR)
    stand.step(alert)
    handling.remediating(stand.only, "restarting", stand.now)
    change = handling.repaired(stand.only, "verified", stand.now)
    assert said(change) == [("remediating => resolved", NotifyReason.RESOLVED)]
    return stand, alert


def test_alerts_may_go_on_for_a_while_after_a_verified_repair() -> None:
    stand, alert = repaired()
    alert.updated = stand.now + 600
    assert stand.step(after=600) == []
    assert stand.clear(after=1) == []
    assert stand.only.state is ProblemState.RESOLVED


def test_an_alert_that_never_stopped_undoes_the_repair() -> None:
    stand, alert = repaired()
    alert.updated = stand.now + 601
    (change,) = stand.step(after=601)
    assert (change.to, change.notify) == (ProblemState.OPEN, NotifyReason.REOPENED)
    assert change.reason == "its alerts never stopped"


def test_a_repair_while_the_alerts_are_quiet_waits_for_its_verdict() -> None:
    stand = Stand()
    stand.step(web("load", severity=MAJOR))
    handling.remediating(stand.only, "restarting", stand.now)
    assert stand.clear(after=60) == []
    assert stand.only.state is ProblemState.REMEDIATING
    handling.escalate(stand.only, EscalationReason.STEP_FAILED, "exit code 1", stand.now)
    assert said(stand.step(after=2)) == [("escalated => resolved", NotifyReason.RESOLVED)]


# -- people


def test_people_take_resolve_escalate_and_comment() -> None:
    stand = Stand()
    stand.step(web("load", severity=MAJOR))
    one = stand.only
    (taken,) = handling.acknowledge(one, stand.now, "ann")
    assert (one.assignee, one.acknowledged, taken.actor, taken.notify) == (
        "ann",
        stand.now,
        "ann",
        NotifyReason.UPDATED,
    )
    assert said(handling.comment(one, "looking", stand.now, "ann")) == [
        ("open => open", NotifyReason.UPDATED)
    ]
    (asked,) = handling.escalate(one, EscalationReason.BY_HAND, "help", stand.now, "ann")
    assert asked.reason == "asked for by a person: help"
    (done,) = handling.resolve(one, "fixed", stand.now, "ann")
    assert (done.to, done.actor, one.reason) == (ProblemState.RESOLVED, "ann", "fixed")


def test_what_is_over_cannot_be_resolved_escalated_or_repaired_again() -> None:
    stand = Stand()
    stand.step(web("load", severity=MAJOR))
    one = stand.only
    handling.resolve(one, "fixed", stand.now, "ann")
    assert handling.resolve(one, "again", stand.now, "bob") == []
    assert handling.escalate(one, EscalationReason.TIMEOUT, "", stand.now) == []
    assert handling.repaired(one, "", stand.now) == []
    assert handling.remediating(one, "", stand.now) == []
    assert one.reason == "fixed"


# -- restart


def test_restored_problems_and_loose_alerts_go_on_where_they_were() -> None:
    before = Stand(open_at=2)
    alert, loose = web("load", severity=MAJOR), firing("a", service="db")
    before.step(alert, loose)
    after = Stand(open_at=2)
    loose.problem_key = ""
    after.problems.restore(before.problems.known, [loose], NOW + 60)
    after.live, after.now = [alert, loose], NOW + 60
    assert after.step() == []
    (opened,) = after.step(firing("b", service="db"))
    assert len(opened.problem.alerts) == 2


# -- anything at all

services = st.sampled_from(["web", "db"])
moves = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "fire",
                "grave",
                "sli",
                "clear",
                "silence",
                "loud",
                "run",
                "repaired",
                "failed",
                "resolve",
                "wait",
            ]
        ),
        services,
        st.integers(0, 3),
        st.floats(0, 700),
    ),
    max_size=40,
)


@settings(deadline=None)
@given(moves)
def test_whatever_comes_problems_keep_to_the_table_and_end(
    course: list[tuple[str, str, int, float]],
) -> None:
    stand = Stand(escalate_after=900, open_at=2)
    alerts: dict[tuple[str, int], Alert] = {}

    def follow(changes: list[ProblemChange]) -> None:
        for change in changes:
            if change.current not in (change.to, "new"):
                kind = Stage if change.to in list(Stage) else ProblemState
                check(kind(change.current), kind(change.to))

    for what, service, number, after in course:
        live = [a for a in alerts.values() if a.state is AlertState.FIRING]
        mine = alerts.get((service, number))
        if what in ("fire", "grave", "sli") and (mine is None or mine.state is AlertState.RESOLVED):
            kind = AlertKind.SLI if what == "sli" else AlertKind.ANOMALY
            new = firing(f"m{number}", service=service, kind=kind)
            new.severity = Severity.MINOR if what == "fire" else MAJOR
            new.fired = new.updated = stand.now
            alerts[service, number] = new
        elif what == "clear" and mine:
            mine.state = AlertState.RESOLVED
        elif what in ("silence", "loud") and mine:
            mine.silenced_by = "why" if what == "silence" else ""
        for problem in list(stand.problems.known):
            if what == "run":
                follow(handling.remediating(problem, "", stand.now))
            elif what == "repaired":
                follow(handling.repaired(problem, "", stand.now))
            elif what == "failed":
                follow(handling.escalate(problem, EscalationReason.STEP_FAILED, "", stand.now))
            elif what == "resolve":
                follow(handling.resolve(problem, "", stand.now, "ann"))
        for one in live:
            one.updated = stand.now + after
        stand.live = [a for a in alerts.values() if a.state is AlertState.FIRING]
        follow(stand.step(after=after))
        open_keys = [p.key for p in stand.problems.known]
        assert len(set(open_keys)) == len(open_keys)
        for problem in stand.problems.known:
            assert len({dict(a.labels)["service"] for a in problem.alerts}) == 1
            assert len({a.key for a in problem.alerts}) == len(problem.alerts)
            assert math.isfinite(problem.resolved) == (problem.state is ProblemState.RESOLVED)
            assert math.isfinite(problem.breached) == (problem.stage is Stage.ACTIVE)

    for problem in stand.problems.known:
        follow(handling.escalate(problem, EscalationReason.STEP_FAILED, "", stand.now))
    follow(stand.clear(*alerts.values(), after=1))
    follow(stand.step(after=LONGEST_QUIET))
    assert all(p.state is ProblemState.RESOLVED for p in stand.problems.known)
    stand.step(after=10_000)
    assert stand.problems.known == []
