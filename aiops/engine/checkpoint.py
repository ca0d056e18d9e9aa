"""When and what is checkpointed, and how it is taken up again."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiops.engine.clock import Clock
from aiops.engine.metrics import Metrics
from aiops.engine.pipeline import Pipeline
from aiops.engine.state import State
from aiops.model.series import SeriesIndex
from aiops.plugin import Columns, Connector
from aiops.store import checkpoints

log = logging.getLogger("aiops.checkpoint")


def parts(state: State) -> dict[str, Columns]:
    """Every columnar state by a name that changes when its meaning does: another setting starts afresh."""
    found = {"anomalies": state.anomalies.columns}
    for place, detector in enumerate(state.detection.detectors):
        found[f"detector-{place}-{detector.kind}"] = detector.columns
    for place, watch in enumerate(state.rules):
        found[f"rule-{place}"] = watch.columns
        if watch.experts:
            found[f"ramps-{place}"] = watch.experts.ramps.columns
            found[f"experts-{place}"] = watch.experts.columns
            found[f"experts-rows-{place}"] = watch.experts.rows
    return found


def identities(state: State) -> dict[str, str]:
    """What each part was made from; a part whose identity has changed is not restored."""
    made = {"anomalies": "1"}
    for place, detector in enumerate(state.detection.detectors):
        made[f"detector-{place}-{detector.kind}"] = detector.model_dump_json()
    for place, watch in enumerate(state.rules):
        for part in ("rule", "ramps", "experts", "experts-rows"):
            made[f"{part}-{place}"] = repr(watch.rule)
    return made


def capture(
    state: State, connectors: list[Connector]
) -> tuple[dict[str, dict[str, NDArray[Any]]], dict[str, Any]]:
    """Copies of all learnt state, and the facts that go with them."""
    state.welcome()  # slots given since the last row would not be announced again after a restart
    arrays = {name: columns.snapshot() for name, columns in parts(state).items()}
    arrays["index"] = state.index.arrays()
    facts = {
        "cursors": dict(state.cursors),
        "identities": identities(state),
        "connectors": {c.name: state.positions[c.name] for c in connectors if state.positions.get(c.name)},
        "logs": state.logs.snapshot(),
    }
    return arrays, facts


def load_index(folder: Path) -> tuple[SeriesIndex, dict[str, dict[str, NDArray[Any]]], dict[str, Any]]:
    """(index, arrays, facts) of the newest usable checkpoint; all empty when there is none."""
    found = checkpoints.newest(folder)
    if found is None:
        return SeriesIndex(), {}, {}
    arrays, facts = found
    try:
        return SeriesIndex.restore(arrays["index"]), arrays, facts
    except (ValueError, LookupError, TypeError) as why:
        log.warning("what was learnt is not taken up, its series are written in another way: %r", why)
        return SeriesIndex(), {}, {}


def take_up(state: State, arrays: dict[str, dict[str, NDArray[Any]]], facts: dict[str, Any]) -> int:
    """Restore every part that is still what it was; returns how many were."""
    if not facts:
        return 0
    state.cursors = {str(k): float(v) for k, v in facts["cursors"].items()}
    state.positions = dict(facts["connectors"])
    if "logs" in facts:
        try:
            state.logs.restore(facts["logs"])
        except (ValueError, KeyError) as why:
            log.warning("learnt log patterns are not taken up: %s", why)
    restored, now = 0, identities(state)
    for name, columns in parts(state).items():
        if name not in arrays or facts["identities"].get(name) != now.get(name):
            continue
        try:
            columns.restore(arrays[name])
        except ValueError as why:
            log.warning("learnt state of %s is not taken up: %s", name, why)
            columns.ensure(state.index.capacity)
            columns.reset(np.arange(state.index.capacity, dtype=np.int32))
            continue
        columns.ensure(state.index.capacity)
        restored += 1
    for watch in state.rules:
        watch.welcome(np.zeros(0, np.int32))
    return restored


class Checkpointer:
    """Writes a checkpoint every so often, and once more at the end."""

    def __init__(
        self, folder: Path, pipeline: Pipeline, connectors: list[Connector], clock: Clock, metrics: Metrics
    ) -> None:
        self.folder = folder
        self._pipeline = pipeline
        self.connectors = connectors
        self._clock = clock
        self._metrics = metrics
        self._number = max(checkpoints.numbers(folder), default=0)
        self.written = 0.0
        self.error = ""

    async def run(self, every: float) -> None:
        """For ever; cancelled at the end."""
        while True:
            await self._clock.sleep(every)
            await self.write()

    async def write(self) -> None:
        """One checkpoint. A full or read-only disk is reported, and the engine goes on with the old one."""
        started = self._clock.now()
        captured: Any = await self._pipeline.call(lambda state: capture(state, self.connectors))
        arrays, facts = captured
        self._number += 1
        try:
            await asyncio.to_thread(checkpoints.write, self.folder, self._number, arrays, facts)
        except OSError as why:
            self.error = str(why)
            log.error("checkpoint not written, the former one stays: %s", why)
            return
        self.error, self.written = "", self._clock.now()
        self._metrics.checkpoint_seconds.set(self.written - started)
