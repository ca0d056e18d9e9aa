"""When and what is checkpointed, and how it is taken up again."""

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiops.engine.capture import Capture, Piece, identities, parts
from aiops.engine.clock import Clock
from aiops.engine.lane import first_of
from aiops.engine.metrics import Metrics
from aiops.engine.pipeline import Pipeline
from aiops.engine.state import State
from aiops.model.series import SeriesIndex
from aiops.plugin import Connector
from aiops.store import checkpoints

log = logging.getLogger("aiops.checkpoint")

ATTEMPTS = 3
"""The last of which takes all at once."""
AHEAD = 3
"""Copied pieces that wait to be written, at most: 4 MB each."""


def capture(
    state: State, connectors: list[Connector]
) -> tuple[dict[str, dict[str, NDArray[Any]]], dict[str, Any]]:
    """Copies of all learnt state at once but for what is in shards, and the facts that go with them."""
    taken = Capture(state, connectors)
    arrays = {name: columns.snapshot() for name, columns in parts(state).items()}
    arrays["index"] = state.index.arrays()
    return arrays, taken.facts


def load_index(folder: Path) -> tuple[SeriesIndex, dict[str, dict[str, NDArray[Any]]], dict[str, Any]]:
    """(index, arrays, facts) of the newest usable checkpoint; all empty when there is none."""
    made: list[SeriesIndex | Exception] = []

    def begin(columns: dict[str, NDArray[Any]]) -> None:
        try:
            made[:] = [SeriesIndex.restore(columns)]
        except (ValueError, LookupError, TypeError) as why:
            made[:] = [why]

    found = checkpoints.newest(folder, "index", begin)
    if found is None:
        return SeriesIndex(), {}, {}
    index = made[0] if "index" in found[0] else KeyError("index")
    if isinstance(index, SeriesIndex):
        return index, *found
    log.warning("what was learnt is not taken up, its series are written in another way: %r", index)
    return SeriesIndex(), {}, {}


def take_up(state: State, arrays: dict[str, dict[str, NDArray[Any]]], facts: dict[str, Any]) -> int:
    """Restore every part that is still what it was; returns how many were."""
    if not facts:
        return 0
    state.cursors = {str(k): float(v) for k, v in facts["cursors"].items()}
    state.positions = dict(facts["connectors"])
    state.spooled = int(facts.get("spooled", 0))
    if "logs" in facts:
        try:
            state.logs.restore(facts["logs"])
        except (ValueError, KeyError) as why:
            log.warning("learnt log patterns are not taken up: %s", why)
    if "grouping" in facts:
        try:
            state.problems.correlator.restore(facts["grouping"], max(state.cursors.values(), default=-inf))
        except (ValueError, KeyError) as why:
            log.warning("learnt links and co-occurrence are not taken up: %s", why)
    if "telemetry" in facts:
        try:
            state.telemetry.restore(facts["telemetry"])
        except ValueError as why:
            log.warning("what reports is met anew: %s", why)
    for team in state.pages.keys() & facts.get("pages", {}).keys():
        try:
            state.pages[team].restore(facts["pages"][team])
        except ValueError as why:
            log.warning("learnt bar of team %s is not taken up: %s", team, why)
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


EPOCH = 1_000_000
"""Numbers of checkpoints that an epoch has: a later leader's are the higher ones."""


class Checkpointer:
    """Writes a checkpoint every so often, and once more at the end. `epoch`: of the leader that we are."""

    def __init__(
        self,
        folder: Path,
        pipeline: Pipeline,
        connectors: list[Connector],
        clock: Clock,
        metrics: Metrics,
        epoch: int = 0,
    ) -> None:
        self.folder = folder
        self._pipeline = pipeline
        self.connectors = connectors
        self._clock = clock
        self._metrics = metrics
        self._number = max(checkpoints.numbers(folder), default=0)
        self._number = max(self._number, epoch * EPOCH)
        self.written = 0.0
        self.error = ""
        self.facts: dict[str, Any] = {}
        """Of the last checkpoint that was written."""
        self.soon = asyncio.Event()
        """Set by whoever cannot wait for the next one."""

    async def run(self, every: float) -> None:
        """For ever; cancelled at the end."""
        while True:
            await first_of(self._clock.sleep(every), self.soon.wait())
            self.soon.clear()
            await self.write()

    async def write(self) -> None:
        """One checkpoint. A full or read-only disk is reported, and the engine goes on with the old one."""
        started = self._clock.now()
        self._number += 1
        try:
            for attempt in range(1, ATTEMPTS + 1):
                if await self._write(at_once=attempt == ATTEMPTS):
                    break
        except OSError as why:
            self.error = str(why)
            log.error("checkpoint not written, the former one stays: %s", why)
            return
        self.error, self.written = "", self._clock.now()
        self._metrics.checkpoint_seconds.set(self.written - started)

    async def _write(self, at_once: bool) -> bool:
        """Whether all pieces fitted together; `at_once` they do, and samples wait for all of them."""
        with checkpoints.writing(self.folder, self._number) as writer:
            taken, pieces = await self._begin(at_once)
            loop, waiting = asyncio.get_running_loop(), deque[asyncio.Future[None]]()
            with ThreadPoolExecutor(checkpoints.THREADS) as pool:
                try:
                    for some in pieces:
                        waiting.append(loop.run_in_executor(pool, _put, writer, some))
                        await (waiting.popleft() if len(waiting) > AHEAD else asyncio.sleep(0))
                    held = taken.holds(self._pipeline.state)
                    await asyncio.gather(*waiting)
                finally:  # a full disk refuses the other parts too, which is no further news
                    await asyncio.gather(*waiting, return_exceptions=True)
            if held or at_once:
                await asyncio.to_thread(writer.finish, taken.facts)
                self.facts = taken.facts
            else:
                log.info("what series share has changed while they were copied: once more")
                writer.drop()
        return held or at_once

    async def _begin(self, at_once: bool) -> tuple[Capture, Iterable[list[Piece]]]:
        def begin(state: State) -> tuple[Capture, Iterable[list[Piece]]]:
            taken = Capture(state, self.connectors)
            return taken, list(taken.pieces()) if at_once else taken.pieces()

        found: Any = await self._pipeline.call(begin)
        return found[0], found[1]


def _put(writer: checkpoints.Writer, pieces: list[Piece]) -> None:
    for piece in pieces:
        writer.put(piece.name, piece.array, piece.axis, piece.at, piece.of)
