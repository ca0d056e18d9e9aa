"""Log lines through a whole engine: the catalogue in the store, reload, restart, and pushed lines."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiops.config import Config
from aiops.engine.engine import Engine
from aiops.model.frame import Lines
from aiops.model.series import labels_of
from aiops.store import log_templates
from aiops.store.database import Database
from aiops.testing import FakeClock, ScriptedConnector, eventually

START = 1.0e9
LOGS = {"every": "10s", "warm_up_lines": 50, "warm_up_time": "60s"}


def engine_in(folder: Path, source: ScriptedConnector, clock: FakeClock) -> Engine:
    config = Config.model_validate(
        {"store": f"sqlite:///{folder}/a.db", "data": folder, "sources": [source], "logs": LOGS}
    )
    return Engine(config, clock=clock)


def source_with(lines: list[tuple[float, str]]) -> ScriptedConnector:
    source = ScriptedConnector(name="app", every=5.0)
    for at, text in lines:
        source.say({"service": "shop"}, at, text)
    return source


USUAL = [(START + 2 * n, f"order {n} taken in {n % 7} ms") for n in range(400)]
NEW = (START + 500.0, "ERROR payment service refused: password=hunter2")


async def run_until(engine: Engine, clock: FakeClock, at: float) -> None:
    await engine.start()
    try:
        while clock.now() < at:
            await clock.advance(5.0)
            await eventually(lambda: engine.pipeline.state.cursors.get("app", 0.0) >= clock.now() - 5.0)
    finally:
        await engine.stop()


async def problems(engine_folder: Path) -> list[dict[str, Any]]:
    import sqlalchemy as sa

    from aiops.store.tables import alert, problem

    db = Database(f"sqlite:///{engine_folder}/a.db")
    try:
        with db.engine.connect() as conn:
            joined = sa.select(problem.c.id, alert.c.rule, alert.c.examples, alert.c.kind).join(
                alert, alert.c.problem_id == problem.c.id
            )
            return [dict(row) for row in conn.execute(joined).mappings()]
    finally:
        db.close()


async def test_a_new_error_opens_a_problem_that_a_restart_does_not_open_again(tmp_path: Path) -> None:
    clock = FakeClock(START)
    await run_until(engine_in(tmp_path, source_with([*USUAL, NEW]), clock), clock, START + 540)
    (row,) = await problems(tmp_path)
    assert (row["kind"], row["rule"]) == ("log", "new log pattern")
    assert row["examples"] == [
        "ERROR payment service refused: password=***",
        "ERROR payment service refused: password=***",
    ]
    await run_until(engine_in(tmp_path, source_with([*USUAL, NEW]), clock), clock, START + 620)
    assert len(await problems(tmp_path)) == 1


async def test_templates_are_kept_by_name_and_merges_leave_an_alias(tmp_path: Path) -> None:
    clock = FakeClock(START)
    animals = ["ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen"]
    said = [(START + 10.0 * n, f"worker {name} took the lease") for n, name in enumerate(animals)]
    engine = engine_in(tmp_path, source_with(said[:2]), clock)
    await engine.start()
    try:
        source = engine.config.sources[0]
        assert isinstance(source, ScriptedConnector)
        for at, text in said[2:]:
            source.say({"service": "shop"}, at, text)
        await clock.advance(15.0)
        await eventually(lambda: engine.pipeline.state.cursors.get("app", 0.0) >= clock.now())
        await engine.housekeeping.rarely(clock.now())
        while clock.now() < START + 100:
            await clock.advance(5.0)
            await eventually(lambda: engine.pipeline.state.cursors.get("app", 0.0) >= clock.now())
        await engine.housekeeping.rarely(clock.now())
        miner = engine.pipeline.state.logs.miner
        whole = miner.find(0)
        assert whole
        found = await engine.db.read(log_templates.find, whole.name)
        assert found
        assert (found["text"], found["lines"], found["merged_into"]) == ("worker <*> took the lease", 8, None)
        assert found["first_seen"] < found["last_seen"]
    finally:
        await engine.stop()


def test_the_store_keeps_first_seen_and_follows_chains_of_merges(db: Database) -> None:
    row = {"name": "t1", "text": "a", "level": "", "lines": 1, "first_seen": 10.0, "last_seen": 10.0}
    with db.begin() as conn:
        log_templates.save(conn, [row, row | {"name": "t2"}, row | {"name": "t3"}])
        log_templates.save(conn, [row | {"text": "b", "lines": 5, "first_seen": 20.0, "last_seen": 20.0}])
        log_templates.merge(conn, [("t2", "t1"), ("t1", "t3")])
        found = {name: log_templates.find(conn, name) for name in ("t1", "t2", "t3", "t4")}
        assert found["t1"]
        assert (found["t1"]["text"], found["t1"]["lines"], found["t1"]["first_seen"]) == ("b", 5, 10.0)
        assert [one and one["merged_into"] for one in found.values()] == ["t3", "t3", None, None]
        assert log_templates.purge(conn, 15.0) == 2


@pytest.mark.parametrize("late", [0.0, 100.0])
async def test_lines_of_a_removed_template_or_of_another_time_do_no_harm(tmp_path: Path, late: float) -> None:
    clock = FakeClock(START)
    engine = engine_in(tmp_path, source_with(USUAL[:50]), clock)
    await engine.start()
    try:
        odd = Lines(labels_of({"service": "shop"}), np.array([START - late, START + 1e6]), ["past", "future"])
        await engine.pipeline.queue.put(("app", odd))
        await clock.advance(20.0)
        await eventually(lambda: engine.pipeline.state.cursors.get("app", 0.0) >= START + 20.0)
        saved = engine.pipeline.state.logs.snapshot()["sources"]["app"]
        assert all(step <= (START + 20) // 10 for step, *_ in saved["open"])
    finally:
        await engine.stop()
