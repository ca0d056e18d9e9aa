"""An installation of many series, without the time that it takes to receive them: for benches."""

import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiops.config import Config
from aiops.engine.state import State
from aiops.model.frame import Frame
from aiops.model.series import SeriesIndex
from tests.bench.gen import kubelet

BATCH = 12_800


def config_in(folder: Path, **more: Any) -> Config:
    """One receiver, the default detector."""
    return Config.model_validate(
        {
            "store": f"sqlite:///{folder}/forewarn.db",
            "data": str(folder),
            "sources": [{"kind": "remote_write", "name": "push"}],
            **more,
        }
    )


def populate(index: SeriesIndex, series: int) -> NDArray[np.int32]:
    """The slots of `series` label sets as a fleet of Kubernetes nodes has them."""
    slots = []
    for start in range(0, series, BATCH):
        count = min(BATCH, series - start)
        rows = [index.pairs.take(pairs) for pairs in kubelet(count, seed=start)]
        begins = np.cumsum([0, *map(len, rows)])
        slots.append(index.slots_of(np.array([i for row in rows for i in row], np.int32), begins))
    return np.concatenate(slots)


def learnt(config: Config, series: int, ticks: int = 4) -> State:
    """A state that has learnt `ticks` samples of each series, an hour apart: all tables are in use."""
    state = State(config, [], SeriesIndex())
    slots = populate(state.index, series)
    chance = np.random.default_rng(0)
    begin = time.time() - 3600.0 * ticks
    for tick in range(ticks):
        values = chance.normal(50.0, 2.0, (1, series))
        for start in range(0, series, BATCH):
            part = slots[start : start + BATCH]
            state.learn(Frame(np.array([begin + 3600.0 * tick]), part, values[:, start : start + BATCH]))
            state.index.touch(part, begin + 3600.0 * tick)
    return state
