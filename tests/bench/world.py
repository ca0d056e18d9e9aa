"""An installation of many series, without the time that it takes to receive them: for benches."""

import gc
import resource
import time
from collections.abc import Iterator
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
    begin = time.time() - 3600.0 * ticks
    for tick in range(ticks):
        for row in rows_of(slots, begin + 3600.0 * tick):
            state.learn(row)
    return state


def rows_of(slots: NDArray[np.int32], at: float) -> Iterator[Frame]:
    """One sample of each, as a receiver hands them over."""
    chance = np.random.default_rng(int(at))
    for start in range(0, len(slots), BATCH):
        part = slots[start : start + BATCH]
        yield Frame(np.array([at]), part, chance.normal(50.0, 2.0, (1, len(part))))


def resident() -> int:
    """Bytes of this process that are in memory."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
