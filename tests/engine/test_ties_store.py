"""Merges, splits, marks and likeness in the store, on both databases."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from aiops.core import handling, problem_ties
from aiops.core.problem_change import ProblemChange
from aiops.engine import effects
from aiops.model.lifecycle import AlertState, RunState
from aiops.model.problem import Problem, Run, Verdict
from aiops.model.signal import Alert, Severity
from aiops.store import likeness, problems, runs, tables, ties
from aiops.store.alerts import save_alerts
from aiops.store.database import Database
from tests.making import NOW, firing

BY = ["service", "host"]


def a_problem(conn: Connection, key: str, *alerts: Alert, at: float = NOW) -> Problem:
    made = Problem(key, opened=at, title=f"{key} is wrong", severity=Severity.MAJOR, alerts=list(alerts))
    made.updated = at
    problems.save_problems(conn, [made])
    for alert in alerts:
        alert.problem_key = key
    save_alerts(conn, [(alert, made.id) for alert in alerts])
    effects.record(conn, [ProblemChange(made, "new", "open", "opened", at)], BY)
    return made


def store(conn: Connection, changes: Sequence[ProblemChange]) -> None:
    """What the recorder does with changes."""
    for problem in {change.problem.key: change.problem for change in changes}.values():
        problems.save_problems(conn, [problem])
    effects.record(conn, changes, BY)


def alerts_of(conn: Connection, problem_id: int) -> set[int]:
    query = sa.select(tables.alert.c.id).where(tables.alert.c.problem_id == problem_id)
    return set(conn.scalars(query))


def test_a_merge_takes_all_firings_along_and_links_both_ways(db: Database) -> None:
    with db.begin() as conn:
        former = firing("load", service="web", state=AlertState.RESOLVED)
        web = a_problem(conn, "fw-web", former, firing("errors", service="web"))
        web.alerts.remove(former)  # a later firing has taken its place in memory
        again = firing("load", service="web")
        save_alerts(conn, [(again, web.id)])
        web.alerts.append(again)
        db_ = a_problem(conn, "fw-db", firing("locks", service="db"))
        every = alerts_of(conn, web.id) | alerts_of(conn, db_.id)
        store(conn, problem_ties.merge(db_, web, "the same fault", NOW + 60, "ann"))
        assert (alerts_of(conn, web.id), alerts_of(conn, db_.id)) == (set(), every)
        (near,), (far,) = ties.of_problem(conn, web.id), ties.of_problem(conn, db_.id)
        assert (near["how"], near["id"], near["note"]) == ("merged into", db_.id, "the same fault")
        assert (far["how"], far["id"], far["made_by"]) == ("took in", web.id, "ann")
        loaded = problems.load(conn, web.id)
        assert loaded
        assert (loaded.merged_into, loaded.alerts) == ("fw-db", [])


def test_a_split_takes_only_the_alerts_that_are_named(db: Database) -> None:
    with db.begin() as conn:
        going, staying = firing("disk", service="web"), firing("errors", service="web")
        old = a_problem(conn, "fw-1", going, staying)
        changes = problem_ties.split(old, [going], "fw-2", "two faults", NOW + 60)
        store(conn, changes)
        new = changes[0].problem
        assert (alerts_of(conn, old.id), alerts_of(conn, new.id)) == ({staying.id}, {going.id})
        assert [row["how"] for row in ties.of_problem(conn, old.id)] == ["gave"]
        assert [row["how"] for row in ties.of_problem(conn, new.id)] == ["split from"]


def test_linking_twice_leaves_one_link_with_the_latest_note(db: Database) -> None:
    with db.begin() as conn:
        one, other = a_problem(conn, "fw-1"), a_problem(conn, "fw-2")
        for note in ("same rack", "same switch"):
            store(conn, handling.link(one, other, note, NOW, "ann"))
        assert [row["note"] for row in ties.of_problem(conn, other.id)] == ["same switch"]


def test_a_mark_outlives_its_problem_with_what_it_was_spoken_on(db: Database) -> None:
    with db.begin() as conn:
        one = a_problem(conn, "fw-1", firing("load", service="web", peak=7.5, observed=9.0))
        store(conn, handling.mark(one, Verdict.FALSE, "a test rig", NOW + 60, "ann"))
        assert [row["verdict"] for row in ties.marks_of(conn, one.id)] == ["false"]
        assert problems.purge(conn, NOW + 61) == 1
        (kept,) = ties.marks(conn, None, 10, "false")
        assert (kept["problem_id"], kept["problem_key"], kept["note"]) == (None, "fw-1", "a test rig")
        (alert,) = kept["evidence"]["alerts"]
        assert (alert["labels"]["__name__"], alert["peak"], alert["observed"]) == ("load", 7.5, 9.0)
        assert ties.marks(conn, None, 10, "true") == []


def test_the_like_of_a_problem_is_found_with_what_fixed_it(db: Database) -> None:
    def pool(**more: Any) -> list[Alert]:
        return [firing("db_pool", service="shop", **more), firing("errors", service="shop", **more)]

    with db.begin() as conn:
        for n in range(6):
            a_problem(conn, f"fw-other-{n}", firing(f"m{n}", service=f"s{n}"))
        over = {"state": AlertState.RESOLVED}  # of an alert only one may fire
        repaired = a_problem(conn, "fw-1", *pool(**over))
        run = Run(repaired.id, "restart-shop", "r1", "shop", RunState.SUCCEEDED, dry_run=False, queued=NOW)
        runs.insert(conn, run, "playbook: restart-shop")
        store(conn, handling.resolve(repaired, "restarted", NOW + 60, "ann"))
        by_hand = a_problem(conn, "fw-2", *pool(**over), at=NOW + 100)
        store(conn, handling.resolve(by_hand, "pool enlarged", NOW + 160, "bob"))
        false = a_problem(conn, "fw-3", *pool(**over), at=NOW + 200)
        store(conn, handling.mark(false, Verdict.FALSE, "", NOW + 260, "bob"))
        new = a_problem(conn, "fw-4", *pool(), at=NOW + 300)
        found = likeness.of_problem(conn, new.id)
        assert [(row["key"], row["score"], row["fix"]) for row in found] == [
            ("fw-2", 1.0, "pool enlarged"),
            ("fw-1", 1.0, "playbook restart-shop"),
        ]
        assert found[1]["playbook"] == "restart-shop"
        assert "same metric db_pool, errors" in found[0]["because"]
        assert likeness.of_problem(conn, repaired.id) == [], "only what was before"


def test_a_signature_that_grows_is_compared_anew(db: Database) -> None:
    with db.begin() as conn:
        a_problem(conn, "fw-1", firing("db_pool", service="shop"), firing("errors", service="shop"))
        new = a_problem(conn, "fw-2", firing("noise", host="x"))
        assert likeness.of_problem(conn, new.id) == []
        new.alerts.append(firing("db_pool", service="shop"))
        store(conn, handling.comment(new, "joined", NOW + 10, "ann"))
        assert [row["key"] for row in likeness.of_problem(conn, new.id)] == ["fw-1"]
        assert not likeness.save_traits(
            conn, new.id, ["metric:noise", "entity:x", "metric:db_pool", "entity:shop"], ""
        )
