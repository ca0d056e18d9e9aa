"""Alerts by the thousand: one statement for many, and the same rows as one at a time, on both databases."""

import math

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from aiops.model.lifecycle import AlertState
from aiops.store import audit, problems, rows, tables
from aiops.store.alerts import save_alerts, save_evidence
from aiops.store.database import Database
from tests.making import NOW, firing

MANY = rows.BATCH + 7


def statements(conn: Connection) -> list[str]:
    """Filled with the beginning of each statement that is executed from now on."""
    said: list[str] = []
    sa.event.listen(
        conn, "before_cursor_execute", lambda _c, _k, text, *_rest: said.append(" ".join(text.split()[:3]))
    )
    return said


def test_a_storm_is_a_few_statements_and_each_alert_has_its_own_row(db: Database) -> None:
    storm = [firing("load", pod=f"p{n}") for n in range(MANY)]
    with db.begin() as conn:
        said = statements(conn)
        save_alerts(conn, [(one, None) for one in storm])
        save_evidence(conn, {one.id: {"times": [float(one.id)], "observed": [None]} for one in storm})
        audit.note_all(conn, [audit.row(NOW, "alert", one.id, "pending", "firing", "high") for one in storm])
    # SQLite does not promise in which order it returns ids: a new alert is a statement there
    asked = [one for one in said if not (db.is_sqlite and one == "INSERT INTO alert")]
    assert len(asked) < MANY / 100
    ids = [one.id for one in storm]
    assert ids == sorted(set(ids))
    with db.read_only() as conn:
        stored = {row.id: row for row in conn.execute(sa.select(tables.alert))}
        assert [stored[one.id].labels["pod"] for one in storm] == [f"p{n}" for n in range(MANY)]
        points = {row.alert_id: row.points for row in conn.execute(sa.select(tables.evidence))}
        assert points == {one: {"times": [float(one)], "observed": [None]} for one in ids}
        noted = sa.select(tables.audit.c.entity_id).order_by(tables.audit.c.id)
        assert list(conn.scalars(noted)) == [str(one) for one in ids]


def test_updates_and_inserts_of_one_batch_each_reach_their_row(db: Database) -> None:
    old = [firing("load", pod=f"p{n}") for n in range(3)]
    with db.begin() as conn:
        save_alerts(conn, [(one, None) for one in old])
        save_evidence(conn, {one.id: {"times": [1.0]} for one in old})
    for n, one in enumerate(old):
        one.peak, one.observed, one.reason = float(n), math.nan, f"reason {n}"
    new = firing("load", pod="p9")
    with db.begin() as conn:
        save_alerts(conn, [(old[0], None), (new, None), (old[1], None), (old[2], None)])
        save_evidence(conn, {old[1].id: {"times": [2.0]}, new.id: {"times": [3.0]}})
    with db.read_only() as conn:
        stored = {row.id: row for row in conn.execute(sa.select(tables.alert))}
        points = {row.alert_id: row.points for row in conn.execute(sa.select(tables.evidence))}
    assert new.id == 4
    assert [(stored[one.id].peak, stored[one.id].reason) for one in old] == [
        (float(n), f"reason {n}") for n in range(3)
    ]
    assert {row.observed for row in stored.values() if row.id != new.id} == {None}
    assert [stored[one.id].labels["pod"] for one in (*old, new)] == ["p0", "p1", "p2", "p9"]
    assert [points[n]["times"] for n in (1, 2, 3, 4)] == [[1.0], [2.0], [1.0], [3.0]]


def test_what_is_over_makes_room_for_the_next_firing_of_its_series(db: Database) -> None:
    """A new firing stands before the one that ends in what is to be written."""
    was, begins = firing("load"), firing("load", state=AlertState.PENDING)
    with db.begin() as conn:
        save_alerts(conn, [(was, None), (begins, None)])
    was.state, begins.state = AlertState.RESOLVED, AlertState.FIRING
    with db.begin() as conn:
        save_alerts(conn, [(begins, None), (was, None), (firing("load", state=AlertState.RESOLVED), None)])
    with pytest.raises(IntegrityError), db.begin() as conn:
        save_alerts(conn, [(firing("disk"), None), (firing("load"), None)])
    with db.read_only() as conn:
        states = list(conn.scalars(sa.select(tables.alert.c.state).order_by(tables.alert.c.id)))
    assert states == ["resolved", "firing", "resolved"]


def test_nothing_to_write_is_no_statement(db: Database) -> None:
    with db.begin() as conn:
        said = statements(conn)
        save_alerts(conn, [])
        save_evidence(conn, {})
        problems.save_problems(conn, [])
        audit.note_all(conn, [])
        assert said == []
