"""From a change to the outbox in one transaction, and what is remembered of it after a restart."""

import pytest
from sqlalchemy.engine import Connection

from aiops.config import Config
from aiops.core.problems import ProblemChange
from aiops.engine.tell import recall, router_of, tell
from aiops.model.lifecycle import AlertState, ProblemState
from aiops.model.problem import NotifyReason, Problem
from aiops.model.series import labels_of
from aiops.model.signal import Alert, AlertKind, Severity
from aiops.store import audit
from aiops.store import problems as problem_rows
from aiops.store.database import Database
from tests.outboxes import delivery, rows

NOW = 1_767_225_600.0


def a_config(routes: list[dict[str, object]]) -> Config:
    names = ("itsm", "chat", "oncall")
    sinks = [
        {"kind": "webhook", "name": n, "url": f"https://{n}.example/", "secret": {"env": "S"}} for n in names
    ]
    return Config.model_validate({"sources": [{"kind": "host"}], "sinks": sinks, "routes": routes})


ROUTES: list[dict[str, object]] = [
    {"match": "problem.level >= level.major", "to": "itsm", "escalate": {"to": "oncall"}},
    {"match": 'problem.labels.service == "web"', "to": "chat"},
]


def a_problem() -> Problem:
    labels = labels_of({"__name__": "node_load1", "service": "web"})
    alert = Alert(AlertKind.ANOMALY, labels, started=NOW - 60, state=AlertState.FIRING, observed=9.0)
    made = Problem("fw-1", opened=NOW, title="load is high", severity=Severity.MAJOR, alerts=[alert])
    made.labels, made.updated = labels, NOW
    return made


def record(conn: Connection, change: ProblemChange) -> None:
    """What the recorder writes before it tells."""
    problem_rows.save_problems(conn, [change.problem])
    audit.note(
        conn,
        at=change.at,
        entity="problem",
        entity_id=change.problem.id,
        current=change.current,
        to=change.to,
        reason=change.reason,
        problem_id=change.problem.id,
    )


def test_the_story_of_a_problem_reaches_each_sink_and_survives_a_restart(db: Database) -> None:
    router, problem = router_of(a_config(ROUTES)), a_problem()
    opened = ProblemChange(problem, "new", "open", "load is high", NOW, NotifyReason.OPENED)
    with db.begin() as conn:
        record(conn, opened)
        told = tell(conn, router, [opened], {}, "https://fw.example")
        assert told == recall(conn, [problem])
    why = "no playbook fits"
    asked = ProblemChange(problem, "open", "escalated", why, NOW + 5, NotifyReason.ESCALATED)
    problem.state = ProblemState.ESCALATED
    with db.begin() as conn:
        record(conn, asked)
        told |= tell(conn, router, [asked], recall(conn, [problem]), "https://fw.example")
    assert told["fw-1"].sinks == {"itsm", "chat", "oncall"}
    sent = [(d["sink"], d["seq"], d["reason"], d["due"]) for d in rows(db, delivery)]
    assert sent == [
        ("itsm", 1, "opened", NOW),
        ("chat", 1, "opened", NOW),
        ("itsm", 2, "escalated", NOW + 5),
        ("chat", 2, "escalated", NOW + 5),
        ("oncall", 1, "escalated", NOW + 5),
    ]
    body = rows(db, delivery)[-1]["body"]
    assert [(t["from"], t["to"], t["text"]) for t in body["timeline"]] == [
        ("new", "open", "load is high"),
        ("open", "escalated", "no playbook fits"),
    ]
    assert body["links"] == {"problem": f"https://fw.example/problems/{problem.id}"}
    assert (body["problem"], body["state"]) == (problem.id, "escalated")


def test_a_transaction_that_fails_says_nothing_and_can_be_tried_again(db: Database) -> None:
    router, problem = router_of(a_config(ROUTES)), a_problem()
    opened = ProblemChange(problem, "new", "open", "load is high", NOW, NotifyReason.OPENED)

    def commit(broken: bool) -> None:
        with db.begin() as conn:
            record(conn, opened)
            tell(conn, router, [opened], {})
            if broken:
                raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        commit(broken=True)
    assert rows(db, delivery) == []
    problem.id = 0
    commit(broken=False)
    assert [d["sink"] for d in rows(db, delivery)] == ["itsm", "chat"]


def test_without_routes_every_sink_is_told(db: Database) -> None:
    router, problem = router_of(a_config([])), a_problem()
    opened = ProblemChange(problem, "new", "open", "load is high", NOW, NotifyReason.OPENED)
    with db.begin() as conn:
        record(conn, opened)
        tell(conn, router, [opened], {})
        assert recall(conn, []) == {}
    assert [d["sink"] for d in rows(db, delivery)] == ["itsm", "chat", "oncall"]
