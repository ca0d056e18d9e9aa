"""Two problems that are one, and one that is two; and what people do to a problem besides."""

import math
from typing import Any

import pytest

from aiops.core import handling
from aiops.core.notify import Router, Told
from aiops.core.problem_change import ProblemChange
from aiops.core.problem_ties import NoSense
from aiops.core.problems import AFTER_RETURN
from aiops.core.routing import Routes
from aiops.model.lifecycle import ACTS, Act, IllegalTransition, ProblemState, Stage, check_act
from aiops.model.problem import EscalationReason, NotifyReason, Problem, TieKind, Verdict
from aiops.model.signal import Alert, AlertKind, Severity
from tests.making import NOW, firing
from tests.making import ProblemStand as Stand

MAJOR = Severity.MAJOR


def said(changes: list[ProblemChange]) -> list[tuple[str, str, NotifyReason | None]]:
    return [(c.problem.key, f"{c.current} => {c.to}", c.notify) for c in changes]


def of(service: str, metric: str = "load", **fields: Any) -> Alert:
    return firing(metric, service=service, **{"severity": MAJOR} | fields)


def two() -> tuple[Stand, Problem, Problem]:
    """fw-1 of service web, and fw-2 of service db, opened a minute later."""
    stand = Stand()
    stand.step(of("web"))
    stand.step(of("db"), after=60)
    first, second = stand.problems.known
    return stand, first, second


def test_a_merge_keeps_one_with_all_alerts_and_resolves_the_other() -> None:
    stand, web, db = two()
    changes = stand.problems.merge(db, web, "the same fault", stand.now, "ann")
    assert said(changes) == [
        ("fw-2", "open => open", NotifyReason.UPDATED),
        ("fw-1", "open => resolved", NotifyReason.RESOLVED),
    ]
    assert changes[1].tie is not None
    assert (changes[1].tie.other, changes[1].tie.kind, len(changes[1].tie.alerts)) == (db, TieKind.MERGED, 1)
    assert {dict(a.labels)["service"] for a in db.alerts} == {"web", "db"}
    assert {a.problem_key for a in db.alerts} == {"fw-2"}
    assert (web.alerts, web.merged_into, web.state) == ([], "fw-2", ProblemState.RESOLVED)
    assert db.opened == NOW, "the fault was told when the first of the two was"
    assert stand.problems.heir(web) is db
    assert stand.step(after=3000) == [], "what went is not opened again"


def test_the_kept_one_is_as_grave_and_as_far_as_either() -> None:
    stand, web, db = two()
    stand.step(of("web", "errors", kind=AlertKind.SLI, severity=Severity.CRITICAL), after=60)
    handling.acknowledge(web, stand.now, "ann")
    handling.escalate(web, EscalationReason.STEP_FAILED, "exit code 1", stand.now)
    changes = stand.problems.merge(db, web, "the same fault", stand.now)
    assert (db.stage, db.breached, db.severity) == (Stage.ACTIVE, NOW + 120, Severity.CRITICAL)
    assert (db.state, db.escalation) == (ProblemState.ESCALATED, EscalationReason.STEP_FAILED)
    assert (db.assignee, db.acknowledged) == ("ann", NOW + 120)
    assert NotifyReason.BREACHED in {c.notify for c in changes}


def test_an_open_problem_brings_back_the_resolved_one_that_it_goes_into() -> None:
    stand, web, db = two()
    handling.resolve(web, "fixed", stand.now, "ann")
    stand.problems.merge(web, db, "not fixed at all", stand.now)
    assert (web.state, db.state) == (ProblemState.OPEN, ProblemState.RESOLVED)


def test_a_repair_under_way_goes_on_in_the_kept_one() -> None:
    stand, web, db = two()
    handling.remediating(web, "restarting", stand.now)
    stand.problems.merge(db, web, "the same", stand.now)
    assert db.state is ProblemState.REMEDIATING


def test_merging_makes_no_sense_with_itself_across_teams_or_twice() -> None:
    stand, web, db = two()
    with pytest.raises(NoSense, match="itself"):
        stand.problems.merge(web, web, "", stand.now)
    stand.problems.merge(db, web, "", stand.now)
    with pytest.raises(NoSense, match="merged already"):
        stand.problems.merge(db, web, "", stand.now)
    db.team = "core"
    with pytest.raises(NoSense, match="team"):
        stand.problems.merge(Problem("fw-9", NOW), db, "", stand.now)


def test_a_split_opens_another_and_both_go_on_by_themselves() -> None:
    stand = Stand()
    disk, errors = of("web", "disk"), of("web", "errors", kind=AlertKind.SLI, severity=Severity.CRITICAL)
    stand.step(disk, errors)
    old = stand.only
    assert old.severity is Severity.CRITICAL
    changes = stand.problems.split(old, [errors], "two faults", stand.now + 5, "ann")
    new = changes[0].problem
    assert said(changes)[0] == ("fw-2", "new => open", NotifyReason.OPENED)
    assert said(changes)[1] == ("fw-2", "predicted => active", NotifyReason.BREACHED)
    assert said(changes)[2] == ("fw-1", "open => open", NotifyReason.UPDATED)
    assert (old.alerts, new.alerts) == ([disk], [errors])
    assert (disk.problem_key, errors.problem_key) == ("fw-1", "fw-2")
    assert (old.severity, new.severity) == (MAJOR, Severity.CRITICAL)
    assert (new.opened, new.title) == (NOW, new.title)
    assert new.title.startswith("users notice")
    assert changes[0].tie is not None
    assert changes[0].tie.kind is TieKind.SPLIT
    assert said(stand.clear(disk, after=30)) == [("fw-1", "open => resolved", NotifyReason.RESOLVED)]
    assert new.state is ProblemState.OPEN


def test_a_split_leaves_something_on_both_sides() -> None:
    stand = Stand()
    stand.step(of("web", "disk"), of("web", "errors"))
    for going in ([], list(stand.only.alerts), [of("db")]):
        with pytest.raises(NoSense, match="some must stay"):
            stand.problems.split(stand.only, going, "", stand.now)


# -- snooze


def test_a_snoozed_problem_is_quiet_until_its_time() -> None:
    stand = Stand(escalate_after=900)
    stand.step(of("web"))
    (change,) = handling.snooze(stand.only, stand.now + 3600, "the import runs", stand.now, "ann")
    assert (change.notify, change.reason) == (NotifyReason.UPDATED, "snoozed for 1 h: the import runs")
    assert stand.step(after=1800) == [], "nobody is asked"
    joined = stand.step(of("web", "other"), after=10)
    told = {stand.only.key: Told(frozenset({"itsm"}), NOW, 1)}
    assert Router(Routes((), ["itsm"])).messages(joined, told) == [], "new evidence is no news now"
    (woken,) = stand.step(after=1790)
    assert (woken.reason, woken.notify) == ("its snooze is over", NotifyReason.UPDATED)
    assert stand.step(after=899) == []
    (asked,) = stand.step(after=1)
    assert asked.to is ProblemState.ESCALATED


@pytest.mark.parametrize(
    ("alert", "why"),
    [
        (of("web", "errors", severity=Severity.CRITICAL), "woken: it grew worse"),
        (of("web", "errors", kind=AlertKind.SLI), "woken: users notice"),
    ],
)
def test_what_grows_worse_or_is_noticed_ends_the_snooze(alert: Alert, why: str) -> None:
    stand = Stand()
    stand.step(of("web"))
    handling.snooze(stand.only, stand.now + 3600, "", stand.now, "ann")
    assert why in [c.reason for c in stand.step(alert, after=60)]
    assert math.isnan(stand.only.snoozed_until)


def test_a_snooze_needs_a_time_ahead_and_ends_with_its_problem() -> None:
    stand = Stand()
    stand.step(of("web"))
    assert handling.snooze(stand.only, stand.now, "", stand.now, "ann") == []
    assert handling.wake(stand.only, "", stand.now) == []
    handling.snooze(stand.only, stand.now + 60, "", stand.now, "ann")
    stand.clear()
    assert math.isnan(stand.only.snoozed_until)


# -- marks, links, returns


def test_a_false_alarm_is_over_and_stays_over_while_its_alerts_go_on() -> None:
    stand = Stand(reopen_within="600s")
    alert = of("web")
    stand.step(alert)
    marked, resolved = handling.mark(stand.only, Verdict.FALSE, "a test rig", stand.now, "ann")
    assert marked.mark is not None
    assert (marked.mark.verdict, marked.mark.note) == (Verdict.FALSE, "a test rig")
    assert (resolved.to, resolved.reason) == (ProblemState.RESOLVED, "marked as a false alarm: a test rig")
    alert.updated = stand.now + 700
    assert stand.step(after=700) == []


def test_a_true_problem_goes_on() -> None:
    stand = Stand()
    stand.step(of("web"))
    (marked,) = handling.mark(stand.only, Verdict.TRUE, "", stand.now, "ann")
    assert (marked.to, stand.only.verdict) == (ProblemState.OPEN, Verdict.TRUE)


def test_a_link_is_told_on_both_sides_and_changes_nothing_else() -> None:
    stand, web, db = two()
    changes = handling.link(web, db, "same rack", stand.now, "ann")
    assert [(c.problem.key, c.notify) for c in changes] == [
        ("fw-1", NotifyReason.UPDATED),
        ("fw-2", NotifyReason.UPDATED),
    ]
    assert changes[0].reason.endswith(": same rack")
    assert (web.state, db.state) == (ProblemState.OPEN, ProblemState.OPEN)
    assert handling.link(web, web, "", stand.now, "ann") == []


def test_each_return_doubles_the_quiet_that_the_end_needs() -> None:
    stand = Stand(resolve_after="0s", reopen_within="2h")
    alert = of("web")
    stand.step(alert)
    stand.clear()
    for flaps in (1, 2, 3):
        stand.step(again := of("web"), after=10)
        assert (stand.only.state, stand.only.flaps) == (ProblemState.OPEN, flaps)
        assert stand.clear(again) == []
        needed = AFTER_RETURN * 2 ** (flaps - 1)
        assert stand.step(after=needed - 1) == []
        assert len(stand.step(after=1)) == 1


def test_a_quiet_that_is_broken_starts_anew() -> None:
    stand = Stand(resolve_after="60s")
    alert = of("web")
    stand.step(alert)
    assert stand.clear() == []
    stand.step(of("web"), after=50)
    assert stand.clear(after=50) == []
    assert stand.step(after=59) == []
    assert len(stand.step(after=1)) == 1


def test_every_act_is_possible_somewhere_and_none_but_reopening_undoes_an_end() -> None:
    assert set().union(*ACTS.values()) == set(Act)
    assert Act.REOPEN in ACTS[ProblemState.RESOLVED]
    with pytest.raises(IllegalTransition, match="cannot snooze a problem that is resolved"):
        check_act(ProblemState.RESOLVED, Act.SNOOZE)
