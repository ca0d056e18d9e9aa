"""The same pipeline over the past: what would have been found, when, and how early."""

import tempfile
import time
from collections.abc import AsyncIterable, Callable, Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from aiops.config import Config
from aiops.core.playbook import Playbook
from aiops.engine.metrics import Metrics
from aiops.engine.pipeline import Pipeline
from aiops.engine.record import Recorder
from aiops.engine.state import State
from aiops.model.frame import Frame
from aiops.model.problem import Problem
from aiops.model.series import SeriesIndex
from aiops.store import problems as problem_rows
from aiops.store.database import Database
from aiops.store.migrate import upgrade
from aiops.store.tables import problem as problem_table


class ReplayClock:
    """Stands at the row that is being replayed."""

    def __init__(self) -> None:
        self.at = 0.0

    def now(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += seconds


@dataclass(slots=True)
class ReplayReport:
    """What a replay found. ``seconds`` of data, ``cpu_seconds`` that it took."""

    rows: int = 0
    samples: int = 0
    series: int = 0
    start: float = inf
    end: float = -inf
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    problems: list[Problem] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return max(0.0, self.end - self.start)

    @property
    def times_real(self) -> float:
        """How many times faster than life."""
        return self.seconds / self.wall_seconds if self.wall_seconds else 0.0


async def replay(
    config: Config,
    playbooks: Sequence[Playbook],
    index: SeriesIndex,
    frames: AsyncIterable[tuple[str, Frame]],
    on_progress: Callable[[ReplayReport], None] = lambda report: None,
) -> ReplayReport:
    """Walk (source name, frame) pairs, in order of time, through `PATH` into a store of its own.

    Playbooks are matched and planned, never run; nothing is delivered. ``on_progress``: once a frame.
    """
    dry = config.model_copy(update={"remediation": config.remediation.model_copy(update={"enabled": False})})
    clock, report = ReplayClock(), ReplayReport()
    with tempfile.TemporaryDirectory(prefix="forewarn-replay-") as folder:
        db = Database(f"sqlite:///{Path(folder) / 'replay.db'}")
        upgrade(db)
        state = State(dry, list(playbooks), index)
        pipeline = Pipeline(state, Recorder(db), clock, Metrics(), lambda source: -inf)
        wall, cpu = time.monotonic(), time.process_time()
        try:
            async for source, frame in frames:
                await _one(pipeline, clock, report, source, frame)
                report.wall_seconds, report.cpu_seconds = time.monotonic() - wall, time.process_time() - cpu
                on_progress(report)
            report.problems = await db.read(_all)
        finally:
            db.close()
    report.series = len(index)
    return report


async def _one(
    pipeline: Pipeline, clock: ReplayClock, report: ReplayReport, source: str, frame: Frame
) -> None:
    for row in frame.rows():
        clock.at = float(row.times[0])
        await pipeline.take(source, row)
    if len(frame.times):
        report.start = min(report.start, float(frame.times[0]))
        report.end = max(report.end, float(frame.times[-1]))
    report.rows += len(frame.times)
    report.samples += frame.samples
    report.series = len(pipeline.state.index)


def _all(conn: Connection) -> list[Problem]:
    ids = conn.execute(sa.select(problem_table.c.id).order_by(problem_table.c.opened)).scalars().all()
    found = (problem_rows.load(conn, ident) for ident in ids)
    return [one for one in found if one is not None]
