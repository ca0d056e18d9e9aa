"""A running engine takes up a changed file whole, or not at all."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aiops.config.complaint import ConfigError
from aiops.config.read import read
from aiops.engine.engine import Engine
from aiops.engine.lock import EngineLock
from aiops.plugin import Fatal
from aiops.store.database import Database, StoreError
from aiops.testing import eventually

SMALL = """
store: sqlite:///{folder}/forewarn.db
data: {folder}
sources: [{{kind: host, every: 200ms}}]
limits: [{{name: load, match: host_load1, breach: {{above: {bound}}}}}]
"""


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    """A real engine that watches this host, without its web."""
    file = tmp_path / "forewarn.yaml"
    await asyncio.to_thread(file.write_text, SMALL.format(folder=tmp_path, bound=1e9))
    made = Engine(read(file), file)
    await made.start()
    yield made
    await made.stop()


async def test_a_changed_file_is_taken_up_and_what_was_learnt_stays(engine: Engine, tmp_path: Path) -> None:
    await eventually(lambda: len(engine.index) > 20)
    known, index = len(engine.index), engine.index
    assert engine.config_path
    text = SMALL.format(folder=tmp_path, bound=-1)
    await asyncio.to_thread(engine.config_path.write_text, text)
    await engine.reload()
    assert engine.index is index
    assert len(engine.index) >= known
    # the new limit, which any load exceeds, is in force, and the source is still pulled
    await eventually(lambda: any(a.rule == "load" for a in engine.pipeline.state.alerting.live.values()))
    assert all(not health.error for health in engine.sources())


async def test_a_bad_file_changes_nothing_and_is_named(engine: Engine) -> None:
    state = engine.pipeline.state
    assert engine.config_path
    await asyncio.to_thread(engine.config_path.write_text, "sources: [{kind: hots}]\n")
    with pytest.raises(ConfigError, match=r"did you mean `host`"):
        await engine.reload()
    assert engine.pipeline.state is state
    await eventually(lambda: all(h.samples > 0 for h in engine.sources()))


async def test_a_source_that_will_not_open_leaves_the_old_ones_pulled(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, (source,) = engine.pipeline.state, engine.config.sources

    def refuse(*_: object) -> None:
        raise Fatal("no")

    monkeypatch.setattr(type(source), "open", refuse)
    with pytest.raises(Fatal):
        await engine.reload()
    assert engine.pipeline.state is state
    assert engine.config.sources == [source]
    await eventually(lambda: all(h.samples > 0 for h in engine.sources()))


async def test_open_problems_and_their_alerts_go_on_over_a_reload(engine: Engine, tmp_path: Path) -> None:
    assert engine.config_path
    text = SMALL.format(folder=tmp_path, bound=-1)
    await asyncio.to_thread(engine.config_path.write_text, text)
    await engine.reload()
    await eventually(lambda: len(engine.pipeline.state.problems.known) == 1)
    (before,) = engine.pipeline.state.problems.known
    await engine.reload()
    await asyncio.sleep(1)
    assert engine.pipeline.state.problems.known == [before]


def test_a_second_engine_on_the_same_file_is_refused_by_name(db: Database) -> None:
    if not db.is_sqlite:
        pytest.skip("on PostgreSQL it stands by")
    other = Database(db.url.render_as_string(hide_password=False))
    try:
        with EngineLock(db), pytest.raises(StoreError, match="another Forewarn"), EngineLock(other):
            pytest.fail("two engines hold one store")
        with EngineLock(other):
            pass
    finally:
        other.close()
