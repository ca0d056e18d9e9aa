"""The engine scores in shards when it is told to: same checkpoints, reloads and restarts."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiops.engine import checkpoint
from aiops.engine.checkpoint import Checkpointer
from aiops.engine.scale.build import scaled
from aiops.engine.scale.detection import ShardedDetection
from aiops.engine.state import State
from aiops.model.frame import Frame
from aiops.model.series import SeriesIndex
from aiops.store.database import Database
from aiops.testing import FakeClock
from tests.making import NOW, labels
from tests.walk import Walk, config_of

SERIES = [labels("load", host=f"h{n}") for n in range(1100)]
DETECTORS = {"detectors": [{"kind": "peers", "match": "load"}, {"kind": "adaptive"}]}


def made(db: Database, folder: Path, shards: int, index: SeriesIndex | None = None, at: float = NOW) -> Walk:
    config = config_of(detection=DETECTORS, scale={"shards": shards}, data=folder)
    return Walk(db, config, index=index, clock=FakeClock(at))


def scale_out(walk: Walk, arrays: Any = None) -> None:
    walk.state.detection = scaled(
        walk.state.detection, arrays or {}, walk.config.data / "shards", walk.config.scale
    )


async def rows(walk: Walk, count: int, start: int = 0) -> str:
    """The same rows in every run; what was expected of some series in the last ones."""
    slots = walk.state.index.slots(SERIES)
    for step in range(start, start + count):
        values = np.random.default_rng(step).normal(50, 3, (1, len(slots)))
        await walk.clock.advance(2.0)
        await walk.pipeline.take("prod", Frame(np.array([NOW + 2.0 * step]), slots, values))
    points = [walk.state.recent.points(slot)["expected"][-5:] for slot in range(0, len(SERIES), 31)]
    return repr(points)


async def written(walk: Walk, folder: Path) -> None:
    checkpointer = Checkpointer(folder, walk.pipeline, [], walk.clock, walk.metrics)
    running = asyncio.create_task(walk.pipeline.run())
    await checkpointer.write()
    await walk.pipeline.queue.put(None)
    await running
    assert checkpointer.error == ""


@pytest.mark.parametrize(("first", "then"), [(3, 5), (0, 2), (2, 0)])
async def test_a_restart_goes_on_whatever_the_number_of_shards_was(
    db: Database, tmp_path: Path, first: int, then: int
) -> None:
    plain, before = made(db, tmp_path / "plain", 0), made(db, tmp_path / "data", first)
    scale_out(before)
    assert await rows(plain, 40) == await rows(before, 40)
    await written(before, tmp_path / "checkpoints")
    before.state.detection.close()
    index, arrays, facts = checkpoint.load_index(tmp_path / "checkpoints")
    again = made(db, tmp_path / "data", then, index, NOW + 80.0)
    assert checkpoint.take_up(again.state, arrays, facts) > 0
    scale_out(again, arrays)
    assert isinstance(again.state.detection, ShardedDetection) == (then > 0)
    assert again.state.detection.ready()[: len(SERIES)].all()
    assert await rows(plain, 10, 40) == await rows(again, 10, 40)


async def test_a_reload_keeps_what_is_learnt_in_shards_and_takes_up_other_detectors(
    db: Database, tmp_path: Path
) -> None:
    plain, parts = made(db, tmp_path / "plain", 0), made(db, tmp_path / "data", 3)
    scale_out(parts)
    assert await rows(plain, 40) == await rows(parts, 40)
    for walk in (plain, parts):
        arrays, facts = checkpoint.capture(walk.state, [])
        state = State(config_of(detection=DETECTORS, data=walk.config.data), [], walk.state.index)
        checkpoint.take_up(state, arrays, facts)
        state.adopt(walk.state)
        walk.pipeline.state = walk.state = state
    assert isinstance(parts.state.detection, ShardedDetection)
    assert await rows(plain, 5, 40) == await rows(parts, 5, 40)
    other = {"detectors": [{"kind": "adaptive", "warmup_samples": 15, "match": 'load{host=~"h1.*"}'}]}
    new = State(config_of(detection=other, data=parts.config.data), [], parts.state.index)
    new.adopt(parts.state)
    parts.pipeline.state = parts.state = new
    assert not new.detection.ready().any()
    await rows(parts, 16, 45)
    ready = new.detection.ready()[: len(SERIES)]
    assert ready.tolist() == [dict(one)["host"].startswith("h1") for one in SERIES]


async def test_an_anomaly_in_shards_fires_and_says_why(db: Database, tmp_path: Path) -> None:
    walk = made(db, tmp_path, 2)
    scale_out(walk)
    slots = walk.state.index.slots(SERIES[:30])
    times = NOW - 2.0 * np.arange(4000.0, 0.0, -1.0)
    walk.state.learn(Frame(times, slots, np.random.default_rng(0).normal(50.0, 1.0, (len(times), 30))))
    usual = dict.fromkeys(SERIES[:30], 50.0)
    for _ in range(5):
        await walk.row(usual | {SERIES[3]: 500.0})
    (alert,) = [one for one in walk.state.alerting.live.values() if one.labels == SERIES[3]]
    assert "its 8 siblings are at 50" in alert.reason  # words of `peers`, which learnt in a shard
    assert "it would have kept quiet" in alert.reason
