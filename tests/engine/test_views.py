"""Read queries on SQLite and PostgreSQL: filters, ranking, and what stands beside each problem."""

import math

import pytest

from aiops.model.lifecycle import AlertState, ProblemState, RunState, Stage
from aiops.model.problem import NotifyReason, Problem, Run, Step
from aiops.model.series import labels_of
from aiops.model.signal import Alert, AlertKind, Severity
from aiops.store import alerts, likeness, outbox, problems, runs, silences, views
from aiops.store.database import Database

NOW = 1_767_974_400.0


def problem(key: str, **more: object) -> Problem:
    made = Problem(key=key, opened=NOW - 600, title=f"about {key}", updated=NOW)
    for name, value in more.items():
        setattr(made, name, value)
    return made


def alert(service: str, peak: float, state: AlertState = AlertState.FIRING) -> Alert:
    made = Alert(AlertKind.ANOMALY, labels_of({"__name__": f"m{peak:g}", "service": service}), NOW - 300)
    made.state, made.peak, made.score, made.updated, made.reason = state, peak, peak, NOW, f"peak {peak:g}"
    return made


@pytest.fixture
def filled(db: Database) -> Database:
    """Three problems: web (two alerts, two runs), db-100% (resolved), api (active)."""
    over = {"state": ProblemState.RESOLVED, "resolved": NOW - 60}
    web = problem("web", labels=labels_of({"service": "web", "zone": "a"}), severity=Severity.MAJOR)
    full = problem("db-100%", labels=labels_of({"service": "db"}), **over)
    api = problem("api", labels=labels_of({"service": "web"}), stage=Stage.ACTIVE, breached=NOW - 60)
    with db.begin() as conn:
        problems.save_problems(conn, [web, full, api])
        of_web = (alert("web", 9, AlertState.RESOLVED), alert("web", 4), alert("web", 5))
        alerts.save_alerts(conn, [(one, web.id) for one in of_web])
        alerts.save_alerts(conn, [(alert("db", 7, AlertState.RESOLVED), full.id)])
        alerts.save_evidence(conn, {3: {"times": [1.0, 2.0], "observed": [1.5, None]}})
        for number in (1, 2):
            run = runs.insert(conn, Run(web.id, f"p{number}", "rev", "t", queued=NOW + number), "playbook: p")
            runs.intend(conn, Step(run.id, 0, "a", "precheck", f"look {number}", NOW))
            runs.intend(conn, Step(run.id, 1, "b", "step", f"act {number}", NOW))
        outbox.enqueue(conn, web.id, "itsm", NotifyReason.OPENED, {"a": 1}, at=NOW)
    return db


def keys(db: Database, **narrow: object) -> list[str]:
    with db.read_only() as conn:
        rows = views.problems(conn, views.ProblemFilter(**narrow), None, 10)  # type: ignore[arg-type]
    return [row["key"] for row in rows]


def test_problems_are_narrowed_by_state_stage_severity_label_and_text(filled: Database) -> None:
    assert keys(filled) == ["api", "db-100%", "web"]
    assert keys(filled, states=("resolved",)) == ["db-100%"]
    assert keys(filled, states=("resolved", "open"), stage="predicted") == ["db-100%", "web"]
    assert keys(filled, severity="major") == ["web"]
    assert keys(filled, labels=(("service", "web"),)) == ["api", "web"]
    assert keys(filled, labels=(("service", "web"), ("zone", "a"))) == ["web"]
    assert keys(filled, labels=(("no such", "web"),)) == []
    assert keys(filled, labels=(("a\"b'c", "x"),)) == []
    assert keys(filled, text="ABOUT DB") == ["db-100%"]
    assert keys(filled, text="0%") == ["db-100%"]
    assert keys(filled, text="_") == []


def test_a_page_goes_on_where_the_last_ended(filled: Database) -> None:
    with filled.read_only() as conn:
        first = views.problems(conn, views.ProblemFilter(), None, 2)
        rest = views.problems(conn, views.ProblemFilter(), first[-1]["id"], 2)
    assert [row["key"] for row in (*first, *rest)] == ["api", "db-100%", "web"]


def test_open_problems_come_most_urgent_first(filled: Database) -> None:
    with filled.read_only() as conn:
        assert [row["key"] for row in views.open_problems(conn, NOW)] == ["api", "web"]
        assert [row["key"] for row in views.resolved_problems(conn, NOW - 3600, 5)] == ["db-100%"]
        assert views.resolved_problems(conn, NOW, 5) == []


def test_urgency_weighs_impact_and_chance_against_the_time_left(db: Database) -> None:
    def one(
        severity: str,
        stage: str = "predicted",
        left: float = math.nan,
        chance: float = math.nan,
        nap: float = 0,
    ) -> dict[str, object]:
        told = {"severity": Severity(severity), "stage": Stage(stage), "breach_chance": chance}
        return told | {"breach_expected": NOW + left * 60, "snoozed_until": NOW + nap * 60}

    ranked = [
        one("critical", "active"),
        one("critical", left=5),
        one("minor", "active", nap=-1),
        one("major", left=30),
        one("major", left=60),
        one("critical"),
        one("critical", left=60, chance=0.2),
        one("major", left=60, chance=0.7),
        one("minor"),
        one("critical", "active", nap=5),
        one("major", "active", nap=5),
    ]
    made = [problem(f"p{place:02d}", **values) for place, values in enumerate(ranked)]
    with db.begin() as conn:
        for late in made[::-1]:
            problems.save_problems(conn, [late])
        assert [row["key"] for row in views.open_problems(conn, NOW)] == [one.key for one in made]
        assert [row["key"] for row in views.open_problems(conn, NOW, 4, 2)] == ["p04", "p05"]


def test_what_unresolved_problems_are_on_is_known_by_kind(filled: Database) -> None:
    with filled.begin() as conn:
        for ident, texts in ((1, ["entity:web", "metric:m1"]), (2, ["entity:db"]), (3, ["entity:a:b"])):
            likeness.save_traits(conn, ident, texts, "default")
        assert views.open_traits(conn, "entity") == [("a:b", "minor", 3), ("web", "major", 1)]
        assert views.open_traits(conn, "entit_") == []
        assert (views.alert_count(conn, 1), views.alert_count(conn, 3)) == (3, 0)
        assert views.counts(conn) == views.Counts(problems=2, active=1, approvals=0, dead=0)


def test_what_stands_beside_a_problem(filled: Database) -> None:
    with filled.read_only() as conn:
        worst = views.worst_alerts(conn, [1, 2, 3])
        assert {ident: row["peak"] for ident, row in worst.items()} == {1: 5, 2: 7}
        latest = views.latest_runs(conn, [1, 2, 3])
        assert {i: (row["playbook"], row["doing"]) for i, row in latest.items()} == {1: ("p2", "act 2")}
        assert [row["peak"] for row in views.alerts_of(conn, 1)] == [5, 4, 9]
        assert views.evidence_of(conn, [1, 3]) == {3: {"times": [1.0, 2.0], "observed": [1.5, None]}}
        assert [s["plan"] for s in views.steps_of(conn, [2])[2]] == ["look 2", "act 2"]
        assert views.texts_of(conn, ["rev", "none"]) == {"rev": "playbook: p"}
        assert views.worst_alerts(conn, []) == views.latest_runs(conn, []) == {}


def test_alerts_runs_and_deliveries_are_narrowed(filled: Database) -> None:
    with filled.read_only() as conn:
        firing = views.alerts(conn, views.AlertFilter(states=("firing",)), None, 10)
        assert [row["peak"] for row in firing] == [5, 4]
        assert len(views.alerts(conn, views.AlertFilter(text="PEAK 9"), None, 10)) == 1
        assert len(views.alerts(conn, views.AlertFilter(text="db"), None, 10)) == 1
        assert len(views.alerts(conn, views.AlertFilter(problem_id=1, kind="anomaly"), None, 10)) == 3
        queued = views.runs(conn, views.RunFilter((RunState.QUEUED,), 1, "p1"), None, 10)
        assert [(row["playbook"], row["title"]) for row in queued] == [("p1", "about web")]
        due = views.deliveries(conn, views.DeliveryFilter("due", "itsm", 1), None, 10)
        assert [(row["reason"], row["body"]) for row in due] == [("opened", {"a": 1})]
        assert views.attempts_of(conn, due[0]["id"]) == []


def test_a_silence_holds_from_its_start_to_its_end(db: Database) -> None:
    made = {"match": '{a="b"}', "reason": "why", "by": "ana", "at": NOW}
    with db.begin() as conn:
        for_good = silences.create(conn, starts=NOW, ends=None, **made)  # type: ignore[arg-type]
        later = silences.create(conn, starts=NOW + 60, ends=NOW + 120, **made)  # type: ignore[arg-type]
    with db.read_only() as conn:
        assert [s.id for s in silences.active(conn, NOW)] == [for_good.id]
        assert [s.id for s in silences.active(conn, NOW + 60)] == [later.id, for_good.id]
        assert [s.id for s in silences.active(conn, NOW + 120)] == [for_good.id]
        assert [s.state(NOW) for s in silences.listed(conn, NOW)] == ["pending", "active"]
    with db.begin() as conn:
        ended = silences.expire(conn, for_good.id, by="ben", at=NOW + 5)
        taken_back = silences.expire(conn, later.id, by="ben", at=NOW + 5)
        assert silences.expire(conn, 99, by="ben", at=NOW) is None
    assert ended
    assert ended.ends == NOW + 5
    assert taken_back
    assert taken_back.ends == taken_back.starts
    with db.read_only() as conn:
        assert silences.active(conn, NOW + 70) == []
