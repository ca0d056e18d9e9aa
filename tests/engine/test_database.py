"""The store's own promises, on both databases: whole transactions, readers beside a writer, any text."""

import asyncio
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError, OperationalError

from aiops.model.series import Labels, labels_of
from aiops.store import alerts, problems, rows
from aiops.store.database import Database, StoreError
from aiops.store.tables import alert as alert_table
from aiops.store.tables import evidence, problem, token, watermark
from aiops.testing import eventually
from tests.making import firing, labels
from tests.walk import DOWN, Walk, all_of, config_of, soon


def mark(conn: Connection, source: str, until: float) -> None:
    problems.save_watermark(conn, source, until)


def broken(conn: Connection) -> None:
    mark(conn, "a", 1.0)
    raise RuntimeError("half-way")


async def test_a_transaction_that_fails_leaves_nothing(db: Database) -> None:
    with pytest.raises(RuntimeError, match="half-way"):
        await db.run(broken)
    assert await db.read(problems.watermarks) == {}
    await db.run(mark, "a", 2.0)
    assert await db.read(problems.watermarks) == {"a": 2.0}


async def test_writes_happen_in_the_order_of_their_calls(db: Database) -> None:
    await asyncio.gather(*[db.run(mark, "a", float(n)) for n in range(50)])
    assert await db.read(problems.watermarks) == {"a": 49.0}


async def test_a_reader_sees_what_was_committed_while_a_write_goes_on(db: Database) -> None:
    await db.run(mark, "a", 1.0)
    written, go_on = threading.Event(), threading.Event()

    def slow(conn: Connection) -> None:
        mark(conn, "a", 2.0)
        written.set()
        assert go_on.wait(10)

    writing = asyncio.create_task(db.run(slow))
    await eventually(written.is_set)
    assert await soon(db.read(problems.watermarks), 5) == {"a": 1.0}
    go_on.set()
    await writing
    assert await db.read(problems.watermarks) == {"a": 2.0}


async def test_a_second_process_waits_for_the_writer_instead_of_failing(db: Database, db_url: str) -> None:
    other = Database(db_url)
    held = threading.Event()

    def hold(conn: Connection) -> None:
        mark(conn, "a", 1.0)
        held.set()
        threading.Event().wait(0.3)

    first = asyncio.create_task(db.run(hold))
    await eventually(held.is_set)
    await soon(other.run(mark, "b", 2.0))
    await first
    assert await db.read(problems.watermarks) == {"a": 1.0, "b": 2.0}
    other.close()


async def test_constraints_are_enforced(db: Database) -> None:
    one = token.insert().values(name="n", digest="d", created=1.0)
    with db.begin() as conn:
        conn.execute(one)
    with pytest.raises(IntegrityError), db.begin() as conn:
        conn.execute(one)
    with pytest.raises(IntegrityError), db.begin() as conn:
        alerts.save_alerts(conn, [(firing(), 4711)])


async def test_one_live_alert_a_fingerprint(db: Database) -> None:
    with db.begin() as conn:
        alerts.save_alerts(conn, [(firing("load"), None)])
    with pytest.raises(IntegrityError), db.begin() as conn:
        alerts.save_alerts(conn, [(firing("load"), None)])


async def test_numbers_of_deleted_rows_are_not_given_again(db: Database) -> None:
    def make(conn: Connection, key: str) -> int:
        values = {"key": key, "title": "", "state": "open", "stage": "predicted", "severity": "minor"}
        made = conn.execute(problem.insert().values(labels={}, opened=1.0, updated=1.0, **values))
        assert made.inserted_primary_key is not None
        return int(made.inserted_primary_key[0])

    first = await db.run(make, "fw-1")
    await db.run(lambda conn: conn.execute(problem.delete()))
    assert await db.run(make, "fw-2") > first


ODD: dict[str, Labels] = {
    "a long team": labels("up", service="web", team="t" * 300),
    "a long value": labels("up", service="w" * 5000),
    "NUL": (("__name__", "up"), ("service", "a\x00b")),
    "half a character": labels("up", service="a\udc80b"),
    "quotes and fire": labels("up", service="🔥'\";--\\"),
    "a long name": labels("up" + "x" * 3000, service="s"),
}


@pytest.mark.parametrize("what", ODD)
async def test_whatever_a_source_names_its_series_can_be_written(db: Database, what: str) -> None:
    """What cannot be written would be tried for ever, and hold up everything behind it."""
    made = Walk(db, config_of(limits=[DOWN | {"match": '{__name__=~"up.*"}'}]))
    await soon(made.row({ODD[what]: 0.0}))
    assert len(await made.stored(problem)) == 1


async def test_a_limit_of_many_words_can_be_written(db: Database) -> None:
    match = 'up{service!~"' + "|".join(f"service-{n}" for n in range(100)) + '"}'
    made = Walk(db, config_of(limits=[DOWN | {"match": match, "name": ""}]))
    await soon(made.row({labels("up", service="web"): 0.0}))
    assert len(await made.stored(problem)) == 1


async def test_a_problem_and_its_alerts_are_read_as_they_were_written(db: Database) -> None:
    made = Walk(db, config_of(limits=[DOWN]))
    await made.row({labels("up", service="web"): 0.0, labels("up", service="web", instance="2"): 0.0})
    loaded = await db.read(problems.load, made.problem.id)
    assert loaded is not None
    # NaN is not equal to itself; the likely causes are read by a store of their own
    assert repr(loaded) == repr(replace(made.problem, causes=None))


async def test_a_former_firing_of_an_alert_gives_way_to_the_later_one(db: Database) -> None:
    made = Walk(db, config_of(limits=[DOWN]))
    up = labels("up", service="web")
    await made.row({up: 0.0})
    for _ in range(15):
        await made.row({up: 1.0})
    await made.row({up: 0.0})
    loaded = await db.read(problems.load, made.problem.id)
    assert loaded is not None
    (alert,) = loaded.alerts
    assert alert.state == "firing"
    assert len(await made.stored(alert_table)) == 2


async def test_what_is_long_over_is_purged_with_all_that_belongs_to_it(db: Database) -> None:
    made = Walk(db, config_of(limits=[DOWN]))
    up = labels("up", service="web")
    await made.row({up: 0.0})
    assert await db.run(problems.purge, made.clock.now() + 1.0) == 0
    for _ in range(15):
        await made.row({up: 1.0})
    assert await db.run(problems.purge, made.clock.now() + 1.0) == 1
    with db.read_only() as conn:
        left = {name: len(all_of(conn, table)) for name, table in problem.metadata.tables.items()}
    assert {name for name, count in left.items() if count} == {"watermark"}


def test_nan_is_null_and_comes_back_as_nan() -> None:
    assert rows.null(float("inf")) is None
    assert rows.null(rows.nan(None)) is None
    assert rows.null(0.5) == 0.5
    assert rows.labels_out(rows.labels_in(labels("up", a="b"))) == labels_of({"__name__": "up", "a": "b"})


def test_another_kind_of_database_is_refused() -> None:
    with pytest.raises(StoreError, match="use sqlite or postgresql"):
        Database("mysql://u:secret@h/n")


def test_the_folder_of_a_sqlite_file_is_made(tmp_path: Path) -> None:
    db = Database(f"sqlite:///{tmp_path / 'new' / 'folder' / 'f.db'}")
    with db.begin() as conn:
        assert conn.execute(sa.text("PRAGMA journal_mode")).scalar() == "wal"
        assert conn.execute(sa.text("PRAGMA foreign_keys")).scalar() == 1
    db.close()


def test_a_read_writes_nothing(db: Database) -> None:
    with db.read_only() as conn:
        conn.execute(watermark.insert().values(source="a", acted_until=1.0))
    with db.read_only() as conn:
        assert all_of(conn, watermark) == []


def test_an_unreachable_server_is_an_error_of_the_store() -> None:
    db = Database("postgresql+psycopg://nobody@127.0.0.1:1/none?connect_timeout=1")
    with pytest.raises(OperationalError), db.begin():
        pass
    db.close()


@pytest.mark.parametrize(
    "value",
    [{"a": [1.5, None, "ü"]}, {"n": 2**70}, [float("nan")], {"0": np.float64(0.5)}, []],
    ids=["plain", "long", "nan", "numpy", "empty"],
)
async def test_json_is_kept_whatever_is_in_it(db: Database, value: Any) -> None:
    row = {"alert_id": 1, "points": value}
    with db.begin() as conn:
        alerts.save_alerts(conn, [(firing("load"), None)])
        conn.execute(evidence.insert().values(row))
    with db.read_only() as conn:
        found = conn.execute(sa.select(evidence.c.points)).scalar_one()
    assert found == ([None] if isinstance(value, list) and value else value)
