"""Problems that are merged and split of our own accord: when, how often, and what people arranged."""

import math
from itertools import pairwise
from typing import Any

from aiops.core import handling
from aiops.core.problem_change import ACTOR, ProblemChange
from aiops.core.problem_parts import Part, Split
from aiops.core.problem_regroup import MERGES, SPLITS
from aiops.core.rootcause_apart import Fault
from aiops.core.rootcause_own import Symptom
from aiops.model.cause import Cause, Causes
from aiops.model.lifecycle import AlertState, ProblemState
from aiops.model.problem import NotifyReason, Problem, TieKind, Verdict
from aiops.model.signal import Alert, Severity
from tests.making import ProblemStand as Stand
from tests.making import firing


def of(service: str, metric: str = "load", **fields: Any) -> Alert:
    return firing(metric, service=service, **{"severity": Severity.MAJOR} | fields)


def caused_by(*names: str) -> Causes:
    return Causes(tuple(Cause(name, 1.0, 0.5) for name in names), True, f"{names[0]} stands out", 1.0)


def away(service: str, *alerts: Alert) -> Split:
    fault = Fault(service, frozenset({Symptom.SLOW}), f"{service} is slow by itself")
    return Split(Part(fault, alerts), caused_by(service))


def chain(*services: str) -> tuple[Stand, Problem, list[Alert]]:
    """One problem with an alert of each, the first of which is the cause."""
    stand = Stand(calls={one: [other] for one, other in pairwise(services)})
    alerts = [of(service) for service in services]
    stand.step(*alerts)
    stand.only.causes = caused_by(services[0])
    return stand, stand.only, alerts


def ties(changes: list[ProblemChange]) -> list[tuple[str, str, str]]:
    return [(c.problem.key, c.tie.kind.value, c.tie.other.key) for c in changes if c.tie]


def test_what_was_told_apart_becomes_a_problem_of_its_own_with_its_cause() -> None:
    stand, old, (_, app, _) = chain("proxy", "app", "db")
    changes = stand.problems.regroup(old, [away("app", app)], None, stand.now + 20)
    new = changes[0].problem
    assert ties(changes) == [("fw-2", "split", "fw-1")]
    assert [(c.notify, c.actor) for c in changes] == [
        (NotifyReason.OPENED, ACTOR),
        (NotifyReason.UPDATED, ACTOR),
    ]
    assert (new.alerts, app.problem_key) == ([app], "fw-2")
    assert new.causes is not None
    assert new.causes.lead is not None
    assert (new.causes.lead.component, new.causes.at) == ("app", stand.now + 20)
    assert changes[1].reason == (f"1 alert went to a problem of their own, {new.name}: app is slow by itself")
    assert stand.problems.arranged.siblings(old) == {"fw-2"}


def test_one_problem_is_split_so_often_and_no_oftener() -> None:
    names = [f"s{i}" for i in range(SPLITS + 3)]
    stand, old, alerts = chain(*names)
    splits = [away(name, alert) for name, alert in zip(names[1:-1], alerts[1:-1], strict=True)]
    stand.problems.regroup(old, splits, None, stand.now)
    assert len(stand.problems.known) == 1 + SPLITS


def test_too_little_for_a_problem_of_its_own_stays() -> None:
    stand, old, alerts = chain("proxy", "app")
    alerts[1].severity = Severity.MINOR
    assert stand.problems.regroup(old, [away("app", alerts[1])], None, stand.now) == []
    alerts[1].severity = Severity.MAJOR
    alerts[1].silenced_by = "release"
    assert stand.problems.regroup(old, [away("app", alerts[1])], None, stand.now) == []


def test_a_problem_that_is_left_with_nothing_that_fires_is_over() -> None:
    stand, old, (proxy, app) = chain("proxy", "app")
    proxy.state = AlertState.RESOLVED
    old.breach_earliest = old.breach_expected = old.breach_latest = stand.now + 3600
    changes = stand.problems.regroup(old, [away("app", app)], None, stand.now)
    assert (old.state, old.alerts) == (ProblemState.RESOLVED, [proxy])
    assert changes[-1].reason.endswith("nothing is left that fires")
    assert changes[-1].notify is NotifyReason.RESOLVED
    assert math.isnan(old.breach_expected)
    assert "proxy" in old.title, "its title no longer speaks of what went"


def test_a_repair_under_way_is_heard_to_its_end_whatever_is_left() -> None:
    stand, old, (proxy, app) = chain("proxy", "app")
    handling.remediating(old, "restarting", stand.now)
    proxy.state = AlertState.RESOLVED
    stand.problems.regroup(old, [away("app", app)], None, stand.now)
    assert old.state is ProblemState.REMEDIATING


def two() -> tuple[Stand, Problem, Problem]:
    """fw-1 of service web, and fw-2 of service db, opened a minute later; strangers to each other."""
    stand = Stand()
    stand.step(of("web"))
    stand.step(of("db"), after=60)
    first, second = stand.problems.known
    return stand, first, second


def test_two_of_one_cause_become_the_older_one() -> None:
    stand, web, db = two()
    web.causes = db.causes = caused_by("db")
    changes = stand.problems.regroup(web, [], db, stand.now)
    assert ties(changes) == [("fw-2", "merged", "fw-1")]
    assert changes[0].reason.startswith("took in ")
    assert changes[0].reason.endswith(": both are caused by db")
    assert (db.state, db.merged_into, len(web.alerts)) == (ProblemState.RESOLVED, "fw-1", 2)


def test_what_was_split_is_never_merged_again() -> None:
    stand, old, (_, app) = chain("proxy", "app")
    new = stand.problems.regroup(old, [away("app", app)], None, stand.now)[0].problem
    new.causes = old.causes
    assert stand.problems.regroup(new, [], old, stand.now) == []


def test_what_people_arranged_or_judged_stays() -> None:
    stand, web, db = two()
    web.causes = db.causes = caused_by("db")
    new = stand.problems.split(_with(stand, db), [db.alerts[0]], "two", stand.now, "ann")[0].problem
    assert stand.problems.regroup(db, [away("db", db.alerts[0])], web, stand.now) == []
    assert stand.problems.regroup(new, [], web, stand.now) == []
    stand, web, db = two()
    web.causes = db.causes = caused_by("db")
    handling.mark(db, Verdict.TRUE, "", stand.now, "ann")
    assert stand.problems.regroup(web, [], db, stand.now) == []


def _with(stand: Stand, problem: Problem) -> Problem:
    """`problem` with one more alert."""
    stand.step(of(dict(problem.alerts[0].labels)["service"], "errors"))
    return problem


def test_one_problem_takes_in_so_many_and_other_teams_none() -> None:
    stand, web, db = two()
    for number in range(MERGES):
        stand.problems.arranged.note(f"gone-{number}", web.key, TieKind.MERGED, ACTOR)
    assert stand.problems.regroup(web, [], db, stand.now) == []
    stand, web, db = two()
    db.team = "core"
    assert stand.problems.regroup(web, [], db, stand.now) == []


def meeting(severity: Severity = Severity.MAJOR) -> Stand:
    """Two neighbours of `front` that begin half a minute apart, each of which keeps failing with it."""
    stand = Stand(calls={"front": ["web", "db"]})
    for other in ("web", "db") * 3:
        stand.problems.correlator.affinity.kin.learn(["front", other])
    stand.step(of("web"))
    stand.step(of("db", "errors", severity=severity), after=30)
    stand.step(of("web", "memory"), after=1)
    return stand


def test_an_alert_that_is_near_to_two_problems_shows_them_to_be_one() -> None:
    stand = meeting()
    web, db = stand.problems.known
    changes = stand.step(of("front"), after=1)
    assert ties(changes) == [("fw-2", "merged", "fw-1")]
    (said,) = [c.reason for c in changes if c.tie]
    assert said.endswith("belongs to both (co-occurred with web 3 of 3 times, 1 s later)")
    assert {dict(a.labels)["service"] for a in web.alerts} == {"web", "db", "front"}
    assert db.merged_into == web.key


def test_two_problems_whose_causes_are_two_are_not_united_by_an_alert() -> None:
    stand = meeting()
    for problem, lead in zip(stand.problems.known, ("web", "db"), strict=True):
        problem.causes = caused_by(lead)
    assert ties(stand.step(of("front"), after=1)) == []
    assert len([p for p in stand.problems.known if p.state is ProblemState.OPEN]) == 2


def test_what_only_gathers_joins_the_problem_that_it_turns_out_to_be() -> None:
    stand = meeting(Severity.MINOR)
    assert len(stand.problems.known) == 1, "one minor alert is no problem yet"
    stand.step(of("front", severity=Severity.MINOR), after=1)
    assert {dict(a.labels)["service"] for a in stand.only.alerts} == {"web", "db", "front"}
    assert {a.problem_key for a in stand.live} == {stand.only.key}
    stand.clear(after=1)
    stand.step(after=1000)
    assert stand.only.state is ProblemState.RESOLVED


def test_what_is_long_over_is_forgotten() -> None:
    stand, old, (_, app) = chain("proxy", "app")
    stand.problems.regroup(old, [away("app", app)], None, stand.now)
    assert stand.problems.arranged.siblings(old)
    stand.clear(after=1000)
    stand.step(after=100_000)
    assert stand.problems.known == []
    assert stand.problems.arranged.siblings(old) == set()
