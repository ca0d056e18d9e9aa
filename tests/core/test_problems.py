"""Problems: opened, joined, breached, escalated, resolved, reopened."""

import math
from typing import Any

from aiops.core import handling
from aiops.core.problems import ProblemChange
from aiops.model.lifecycle import AlertState, ProblemState, Stage
from aiops.model.problem import EscalationReason, NotifyReason
from aiops.model.signal import Alert, AlertKind, Severity
from tests.making import NOW, firing
from tests.making import ProblemStand as Stand

MAJOR = Severity.MAJOR


def said(changes: list[ProblemChange]) -> list[tuple[str, NotifyReason | None]]:
    return [(f"{c.current} => {c.to}", c.notify) for c in changes]


OPENED = ("new => open", NotifyReason.OPENED)
RESOLVED = ("open => resolved", NotifyReason.RESOLVED)


def web(metric: str, **fields: Any) -> Alert:
    return firing(metric, service="web", **fields)


# -- opening


def test_one_major_alert_opens_a_problem() -> None:
    stand = Stand()
    assert said(stand.step(web("load", severity=MAJOR))) == [OPENED]
    assert (stand.only.severity, stand.only.stage) == (MAJOR, Stage.PREDICTED)
    assert stand.only.title == "load (service web) is 1, expected about no value"
    assert stand.only.labels == stand.only.alerts[0].labels


def test_minor_alerts_open_a_problem_only_together() -> None:
    stand = Stand(open_at=3)
    assert stand.step(web("a")) == []
    assert stand.step(web("b"), after=10) == []
    assert said(stand.step(web("c"), after=10)) == [OPENED]
    assert len(stand.only.alerts) == 3
    assert dict(stand.only.labels) == {"service": "web"}
    assert stand.only.opened == NOW + 20


def test_minor_alerts_that_clear_or_share_nothing_open_nothing() -> None:
    stand = Stand(open_at=2)
    assert stand.step(firing("a", service="x"), firing("b", service="y"), firing("c")) == []
    assert stand.clear() == []
    assert stand.step(firing("d", service="x")) == []
    assert stand.problems.known == []


def test_a_minor_alert_that_grows_major_opens_its_problem() -> None:
    stand = Stand()
    alert = web("load")
    assert stand.step(alert) == []
    alert.severity = MAJOR
    assert said(stand.step(after=2)) == [OPENED]


def test_many_alerts_of_one_service_are_one_problem_and_two_services_are_two() -> None:
    stand = Stand()
    one = [web(f"m{i}", severity=MAJOR) for i in range(20)]
    other = [firing(f"m{i}", service="db", severity=MAJOR) for i in range(20)]
    stand.step(*[alert for pair in zip(one, other, strict=True) for alert in pair])
    assert sorted(len(p.alerts) for p in stand.problems.known) == [20, 20]


# -- silences


def test_a_silenced_alert_opens_nothing_until_the_silence_is_over() -> None:
    stand = Stand()
    alert = web("load", severity=MAJOR, silenced_by="release")
    assert stand.step(alert) == []
    assert stand.step(after=600) == []
    alert.silenced_by = ""
    assert said(stand.step(after=2)) == [OPENED]


def test_a_silenced_alert_that_ends_within_its_silence_opens_nothing_at_all() -> None:
    stand = Stand()
    alert = web("load", severity=MAJOR, silenced_by="release")
    stand.step(alert)
    assert stand.clear() == []
    assert stand.problems.known == []


def test_gathering_alerts_that_are_silenced_meanwhile_wait_until_it_is_over() -> None:
    stand = Stand(open_at=2)
    first, second = web("a"), web("b")
    stand.step(first)
    first.silenced_by = second.silenced_by = "release"
    assert stand.step(second, after=5) == []
    first.silenced_by = second.silenced_by = ""
    assert said(stand.step(after=600)) == [OPENED]
    assert len(stand.only.alerts) == 2


# -- what follows from the alerts


def test_a_joining_alert_raises_the_severity_and_takes_the_title() -> None:
    stand = Stand()
    stand.step(web("load", severity=MAJOR))
    changes = stand.step(web("errors", severity=Severity.CRITICAL, peak=9.0), after=60)
    assert [c.notify for c in changes] == [None, NotifyReason.UPDATED]
    assert "severity raised from major to critical" in changes[1].reason
    assert "joined: same service web, 60 s later" in changes[0].reason
    assert stand.only.title.startswith("errors")


def test_an_alert_that_grows_worse_raises_its_problem() -> None:
    stand = Stand()
    alert = web("load", severity=MAJOR)
    stand.step(alert)
    alert.severity = Severity.CRITICAL
    assert said(stand.step(after=2)) == [("open => open", NotifyReason.UPDATED)]
    assert stand.only.severity is Severity.CRITICAL


def test_time_to_breach_follows_the_forecast() -> None:
    stand = Stand()
    alert = web("memory", kind=AlertKind.FORECAST, severity=MAJOR, breach_expected=NOW + 600.0)
    stand.step(alert)
    assert stand.only.breach_expected == NOW + 600
    alert.breach_earliest, alert.breach_expected, alert.breach_latest = NOW + 400, NOW + 500, NOW + 550
    stand.step(after=60)
    found = (stand.only.breach_earliest, stand.only.breach_expected, stand.only.breach_latest)
    assert found == (NOW + 400, NOW + 500, NOW + 550)


def test_the_likelier_breach_is_told_before_the_nearer_one() -> None:
    stand = Stand()
    soon = web("disk", kind=AlertKind.FORECAST, severity=MAJOR, breach_expected=NOW + 3600.0)
    likely = web("memory", kind=AlertKind.FORECAST, severity=MAJOR, breach_expected=NOW + 5400.0)
    for alert, chance in ((soon, 0.3), (likely, 0.9)):
        alert.updated, alert.breach_chance, alert.breach_within = NOW, chance, 14400.0
    stand.step(soon, likely)
    assert (stand.only.breach_expected, stand.only.breach_chance) == (NOW + 5400, 0.9)
    likely.state = AlertState.RESOLVED
    stand.step(after=2)
    assert (stand.only.breach_expected, stand.only.breach_chance) == (NOW + 3600, 0.3)
    soon.state = AlertState.RESOLVED
    stand.step(web("load", severity=MAJOR), after=2)
    assert stand.only.breach_expected == NOW + 3600, "that it was foretold is remembered"


def test_the_breach_of_its_sli_makes_a_problem_active_and_records_the_lead() -> None:
    stand = Stand()
    stand.step(web("memory", severity=MAJOR))
    sli = web("errors", kind=AlertKind.SLI, rule="checkout", severity=Severity.CRITICAL)
    changes = stand.step(sli, after=1200)
    assert ("predicted => active", NotifyReason.BREACHED) in said(changes)
    assert (stand.only.stage, stand.only.lead_seconds) == (Stage.ACTIVE, 1200.0)
    assert any("lead time 20 min" in c.reason for c in changes)
    assert stand.step(after=10) == []


def test_a_silent_breach_opens_an_active_problem_without_lead() -> None:
    stand = Stand()
    sli = web("errors", kind=AlertKind.SLI, rule="checkout", severity=Severity.CRITICAL)
    sli.fired = NOW - 3
    found = stand.problems.correlate([sli], NOW)
    assert said(found) == [OPENED, ("predicted => active", NotifyReason.BREACHED)]
    assert stand.only.lead_seconds == 0.0
    assert "nothing announced it" in found[1].reason


def test_users_of_another_team_do_not_make_a_problem_active() -> None:
    stand = Stand()
    stand.step(web("memory", severity=MAJOR))
    stand.step(web("errors", kind=AlertKind.SLI, severity=Severity.CRITICAL, team="core"))
    assert sorted((p.team, p.stage) for p in stand.problems.known) == [
        ("core", Stage.ACTIVE),
        ("default", Stage.PREDICTED),
    ]


# -- ends


def test_a_problem_resolves_when_all_its_alerts_cleared() -> None:
    stand = Stand()
    first, second = web("a", severity=MAJOR), web("b")
    stand.step(first, second)
    assert stand.clear(first) == []
    changes = stand.clear(second, after=30)
    assert said(changes) == [RESOLVED]
    assert (changes[0].reason, stand.only.resolved) == ("all 2 alerts cleared", NOW + 30)


def test_the_same_alert_soon_after_reopens_and_later_opens_another() -> None:
    stand = Stand(reopen_within="600s")
    stand.step(web("load", severity=MAJOR))
    stand.clear()
    changes = stand.step(web("load", severity=MAJOR), after=599)
    assert said(changes) == [("resolved => open", NotifyReason.REOPENED)]
    assert math.isnan(stand.only.resolved)
    assert stand.clear() == [], "what came back needs a longer quiet"
    assert said(stand.step(after=60)) == [RESOLVED]
    assert said(stand.step(web("load", severity=MAJOR), after=601)) == [OPENED]


def test_a_problem_long_over_is_forgotten() -> None:
    stand = Stand(reopen_within="600s")
    stand.step(web("load", severity=MAJOR))
    stand.clear()
    stand.step(after=1201)
    assert stand.problems.known == []


# -- escalation


def test_a_person_is_asked_after_the_routes_time_and_once() -> None:
    stand = Stand(escalate_after=900)
    stand.step(web("load", severity=MAJOR))
    assert stand.step(after=899) == []
    (change,) = stand.step(after=1)
    assert (change.to, change.notify) == (ProblemState.ESCALATED, NotifyReason.ESCALATED)
    assert change.reason == "not resolved in time: still open after 15 min"
    assert stand.only.escalation is EscalationReason.TIMEOUT
    assert stand.step(after=900) == []
    assert said(stand.clear()) == [("escalated => resolved", NotifyReason.RESOLVED)]


def test_a_problem_that_came_back_is_waited_for_anew() -> None:
    stand = Stand(escalate_after=900, reopen_within="600s")
    stand.step(web("load", severity=MAJOR))
    stand.clear(after=800)
    stand.step(web("load", severity=MAJOR), after=500)
    assert stand.only.state is ProblemState.OPEN
    assert stand.step(after=899) == []
    (change,) = stand.step(after=1)
    assert change.reason.endswith("still open after 15 min")


def test_what_is_being_repaired_is_not_escalated_by_time() -> None:
    stand = Stand(escalate_after=900)
    stand.step(web("load", severity=MAJOR))
    handling.remediating(stand.only, "restarting", stand.now)
    assert stand.step(after=10_000) == []
    assert stand.only.state is ProblemState.REMEDIATING
