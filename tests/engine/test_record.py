"""One transaction for all that a step brings about: nothing lost, nothing doubled."""

import asyncio
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from aiops.config.playbooks import read_playbook
from aiops.core.playbook import Playbook
from aiops.engine import messages as say
from aiops.model.lifecycle import ProblemState
from aiops.store import tables
from aiops.store.database import Database
from aiops.store.migrate import upgrade
from aiops.testing import eventually
from tests.breaking import refusing
from tests.making import labels
from tests.walk import DOWN, Walk, config_of, counts, soon

UP = labels("up", service="web")
WRITTEN = (tables.problem, tables.alert, tables.evidence, tables.delivery, tables.run, tables.audit)


def restart() -> Playbook:
    text = """
playbook: restart
match: 'true'
target: service/web
autonomy: auto
steps: [{restart: {action: command, argv: [/bin/true]}}]
verify: {command: {argv: [/bin/true]}, times: 1, every: 1s, within: 10s}
"""
    return read_playbook(text, "restart.yaml")


def walk(db: Database) -> Walk:
    return Walk(db, config_of(limits=[DOWN], remediation={"enabled": True}), [restart()])


async def stuck(made: Walk) -> "asyncio.Task[None]":
    """The faulty row's task, which tries again and again."""
    await made.clock.advance(2.0)
    task = asyncio.create_task(made.take({UP: 0.0}, made.clock.now()))
    await eventually(lambda: made.clock.sleepers == 1 and made.pipeline.store_error)
    return task


async def healed(made: Walk, task: "asyncio.Task[None]") -> None:
    while not task.done():
        await made.clock.advance(10.0)
        await asyncio.sleep(0.01)
    await task


@pytest.mark.parametrize("table", [*WRITTEN, tables.watermark], ids=lambda table: table.name)
async def test_a_write_refused_midway_leaves_nothing_and_is_made_up_once_it_can_be(
    db: Database, table: sa.Table
) -> None:
    made = walk(db)
    with refusing(db, table):
        task = await stuck(made)
        assert sum((await counts(db)).values()) == 0
        (problem,) = made.state.problems.known
        (alert,) = made.state.alerting.live.values()
        assert (problem.id, alert.id, made.state.told, made.woken) == (0, 0, {}, 0)
        assert "refused" in made.pipeline.store_error
    await soon(healed(made, task))
    assert {name: n for name, n in (await counts(db)).items() if name != "audit"} == {
        "problem": 1, "alert": 1, "evidence": 1, "delivery": 1, "run": 1,
    }  # fmt: skip
    (stored,) = await made.stored(tables.problem)
    (run,) = await made.stored(tables.run)
    assert (stored["id"], stored["key"]) == (problem.id, problem.key)
    assert run["problem_id"] == problem.id
    assert (made.pipeline.store_error, made.woken) == ("", 1)
    assert len(await made.stored(tables.audit, tables.audit.c.entity == "problem")) == 1


async def test_what_happens_during_an_outage_is_told_in_its_order_afterwards(db: Database) -> None:
    made = walk(db)
    await made.row({UP: 0.0})
    with refusing(db, tables.audit):
        await made.clock.advance(2.0)
        task = asyncio.create_task(made.tell(say.Comment(made.problem.id, "ann", "looking")))
        await eventually(lambda: made.pipeline.store_error)
    await soon(healed(made, task))
    await made.tell(say.Resolve(made.problem.id, "ann", "fixed"))
    deliveries = await made.stored(tables.delivery)
    assert [(row["seq"], row["reason"]) for row in deliveries] == [
        (1, "opened"),
        (2, "updated"),
        (3, "resolved"),
    ]


async def test_retries_are_counted_and_slow_down(db: Database) -> None:
    made = walk(db)
    with refusing(db, tables.problem):
        task = await stuck(made)
        waits = []
        for _ in range(9):
            at = made.clock.now()
            failures = _failures(made)
            while _failures(made) == failures:
                await made.clock.advance(0.1)
                await asyncio.sleep(0.005)
            waits.append(made.clock.now() - at)
    assert waits[0] < 1.0
    assert 9.0 < waits[-1] < 11.0
    await soon(healed(made, task))


def _failures(made: Walk) -> float:
    return made.metrics.registry.get_sample_value("forewarn_commit_failures_total") or 0.0


async def test_rows_acted_on_before_a_crash_are_only_learnt_from_afterwards(db: Database) -> None:
    made = walk(db)
    await made.row({UP: 1.0})
    old = made.clock.now()
    await made.row({UP: 0.0})
    acted = made.clock.now()
    before = await counts(db)
    # the checkpoint is lost: the source gives both rows again
    again = await made.reopened(learnt=False)
    assert again.state.acted_until == {"prod": acted}
    again.state.alerting.live.clear()
    await again.take({UP: 0.0}, old, acted)
    assert await counts(db) == before
    slot = again.state.index.find(UP)
    assert slot is not None
    assert again.state.anomalies.columns["seen"][slot] == 2


async def test_the_watermark_is_written_with_the_effects_and_never_before_them(db: Database) -> None:
    made = walk(db)
    with refusing(db, tables.delivery):
        task = await stuck(made)
        assert await made.stored(tables.watermark) == []
    await soon(healed(made, task))
    (mark,) = await made.stored(tables.watermark, tables.watermark.c.source == "prod")
    assert mark["acted_until"] == made.state.acted_until["prod"]


def fill(disk: Path) -> Path:
    """A file that takes every free block."""
    ballast = disk / "ballast"
    out = os.open(ballast, os.O_WRONLY | os.O_CREAT)
    with contextlib.suppress(OSError):
        while True:
            os.write(out, b"x" * 4096)
    os.close(out)
    return ballast


async def test_a_full_disk_stops_nothing_and_loses_nothing(tiny_disk: Path) -> None:
    db = Database(f"sqlite:///{tiny_disk / 'forewarn.db'}")
    upgrade(db)
    made = walk(db)
    ballast = fill(tiny_disk)
    task = await stuck(made)
    assert "full" in made.pipeline.store_error
    assert made.problem.state is ProblemState.OPEN
    ballast.unlink()
    await soon(healed(made, task))
    assert (await counts(db))["problem"] == 1
    db.close()


async def test_a_read_only_store_is_reported_and_made_up_later(db: Database) -> None:
    """On PostgreSQL as a standby is, on SQLite as PRAGMA query_only makes it."""
    made = walk(db)
    switch = "PRAGMA query_only = {}" if db.is_sqlite else "SET default_transaction_read_only = {}"

    def flip(value: str) -> None:
        made.db.engine.dispose()
        sa.event.listen(made.db.engine, "connect", lambda raw, _record: _execute(raw, switch.format(value)))

    flip("on")
    task = await stuck(made)
    assert "read" in made.pipeline.store_error.lower()
    flip("off")
    await soon(healed(made, task))
    assert (await counts(db))["problem"] == 1


def _execute(raw: object, statement: str) -> None:
    cursor = raw.cursor()  # type: ignore[attr-defined]
    cursor.execute(statement)
    cursor.close()
    if hasattr(raw, "commit") and "SET" in statement:
        raw.commit()


async def test_a_commit_whose_answer_is_lost_is_neither_repeated_nor_tried_for_ever(db: Database) -> None:
    made = walk(db)
    lost = iter([True])

    def lose(_conn: object) -> None:
        if next(lost, False):
            raise sa.exc.OperationalError("COMMIT", {}, OSError("server closed the connection unexpectedly"))

    await made.row({UP: 1.0})
    real = db.begin

    @contextlib.contextmanager
    def begin() -> Iterator[sa.Connection]:
        with real() as conn:
            yield conn
        lose(conn)

    db.begin = begin  # type: ignore[method-assign]
    task = await stuck(made)
    await healed(made, task)
    assert next(lost, None) is None, "the answer was lost"
    (problem,) = await made.stored(tables.problem)
    assert made.problem.id == problem["id"]
    assert len(await made.stored(tables.delivery)) == 1
    assert [alert.id for alert in made.problem.alerts] == [a["id"] for a in await made.stored(tables.alert)]
    await made.row({UP: 1.0})
    assert made.pipeline.store_error == ""


async def test_what_the_store_refuses_for_its_content_is_given_up_and_what_follows_is_written(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    made = walk(db)
    await made.row({UP: 1.0})

    def refuse(_conn: object, _cursor: object, statement: str, *_rest: object) -> None:
        if statement.startswith("INSERT INTO problem "):
            raise sa.exc.DataError(statement, {}, ValueError("value too long for type character varying(64)"))

    sa.event.listen(db.engine, "before_cursor_execute", refuse)
    task = await stuck(made)
    await healed(made, task)
    sa.event.remove(db.engine, "before_cursor_execute", refuse)
    assert "going on without" in caplog.text
    assert made.pipeline.store_error == ""
    await made.row({UP: 0.0})
    await made.row({UP: 1.0})
    assert [row["key"] for row in await made.stored(tables.problem)] == [made.problem.key]
