"""The one path, and the one task that walks it.

pull/receive -> detect -> alert -> correlate -> problem
             -> { deliver ticket | remediate -> verify } -> resolve or escalate
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from aiops.engine import messages as say
from aiops.engine.answer import answer
from aiops.engine.clock import Clock
from aiops.engine.explain import explain, hear
from aiops.engine.gather import WAIT, Joining
from aiops.engine.items import SPOOL, Call, History, Item, Kept, Pulled, Sampled, Tick
from aiops.engine.metrics import Metrics
from aiops.engine.record import Recorder
from aiops.engine.remind import remind
from aiops.engine.spans import Spans, current
from aiops.engine.stages import alert, correlate, detect, detect_away, refresh, remediate
from aiops.engine.state import State
from aiops.engine.step_spans import Marks, tell
from aiops.engine.watch import look
from aiops.engine.watermark import acted_until
from aiops.engine.work import Work
from aiops.model.frame import Change, Frame, Lines
from aiops.model.lifecycle import AlertState, sentence
from aiops.plugin.connector import Batch, Reports

log = logging.getLogger("aiops.pipeline")

REFUSED = 10
"""Refusals after which a work is given up."""
SETTLED = 2.0
"""Seconds after which a pushed log line is no longer waited for."""

TICK = 5.0
"""Seconds between two looks at the watching itself."""

PATH = (answer, detect, hear, alert, correlate, explain, remediate, remind, refresh)


class Pipeline:
    """Takes one input at a time through `PATH`, and records what came of it before it takes the next."""

    def __init__(
        self,
        state: State,
        recorder: Recorder,
        clock: Clock,
        metrics: Metrics,
        late: Callable[[str], float],
        woken: Callable[[], None] = lambda: None,
        spans: Spans | None = None,
    ) -> None:
        self.state = state
        self.spans = spans or Spans(clock)
        self.queue: asyncio.Queue[Item] = asyncio.Queue(64)
        self._recorder = recorder
        self._clock = clock
        self._metrics = metrics
        self._late = late
        self._woken = woken
        self.store_error = ""

    async def run(self) -> None:
        """Until `None` comes through the queue."""
        joining, item = Joining(self.queue), await self.queue.get()
        while item is not None:
            self._metrics.queue.set(self.queue.qsize())
            item, after = await joining.joined(item, self.state)
            await self._one(item)
            item = after if after is not WAIT else await self.queue.get()

    async def ticks(self, every: float = TICK) -> None:
        """For ever; cancelled at the end. While the queue is full, time passes with what is in it."""
        while True:
            await self._clock.sleep(every)
            if not self.queue.full():
                await self.queue.put(Tick())

    async def put(self, item: Item) -> None:
        """Into the queue, as a part of the trace that is open here, if one is."""
        span = current()
        await self.queue.put(Sampled(item, span, self._clock.now()) if span else item)

    async def call(self, work: Callable[[State], object]) -> object:
        """`work(state)` in the pipeline's turn."""
        done: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        await self.queue.put(Call(work, done))
        return await done

    async def _one(self, item: Item) -> None:
        match item:
            case Kept(source, batch, place):
                await self._kept(source, batch, place)
            case (source, Frame() as frame):
                await self.take(source, frame)
            case (source, Lines() as lines):
                self._metrics.lines.labels(source).inc(len(lines.text))
                self.state.logs.take(source, lines)
                if source in self.state.pushed:
                    await self.read(source, self._clock.now() - SETTLED)
            case (source, Change() as change):
                now = self._clock.now()  # of a change that tells no time, or one to come
                at = min(change.time, now) if np.isfinite(change.time) else now
                await self._walk(Work(now, source, changes=[replace(change, time=at)]))
            case (source, Reports(reports)):
                await self._walk(Work(self._clock.now(), source, reports=reports))
            case Pulled(source, until, position):
                self.state.telemetry.hear(source, self._clock.now())
                self.state.cursors[source], self.state.positions[source] = until, position
                await self.read(source, until)
                await self._walk(Work(self._clock.now(), source))
            case History(source, frame):
                self.state.telemetry.hear(source, self._clock.now())
                self.state.learn(frame)
                self._metrics.samples.labels(source).inc(frame.samples)
            case Tick():
                for work in look(self.state, self._clock.now()):
                    await self._walk(work)
                await self._walk(Work(self._clock.now()))
            case Call(work, done):
                # Whoever asked may have been cancelled meanwhile, at a stop
                if done.done():
                    return
                try:
                    done.set_result(work(self.state))
                except Exception as why:
                    done.set_exception(why)
            case Sampled(inner, span, put):
                self.spans.tell(self.spans.begin("wait", span, put))
                with self.spans.part_of(span):
                    await self._one(inner)
            case None:
                pass
            case _:
                await self._walk(Work(self._clock.now(), message=item))

    async def _kept(self, source: str, batch: Batch, place: float) -> None:
        """What comes of it is committed with its place: after a crash it is learnt from, no more."""
        if place > self.state.acted_before:
            self.state.acted_until[SPOOL] = place
            await self._one((source, batch))
        elif isinstance(batch, Frame):
            self._metrics.samples.labels(source).inc(batch.samples)
            self.state.learn(batch)
        elif isinstance(batch, Lines):
            await self._one((source, batch))  # its rows of rates have a watermark of their own
        if place == int(place):
            self.state.spooled = int(place)

    async def take(self, source: str, frame: Frame) -> None:
        """Act on what is new and timely; only learn from what is late or was acted on before a crash."""
        self._metrics.samples.labels(source).inc(frame.samples)
        # senders interleave: a receiver keeps each series in order, and gives nothing twice
        seen = 0.0 if source in self.state.pushed else acted_until(self.state, source, self._clock.now())
        act_after = max(seen, self._late(source))
        before = frame.between(-np.inf, act_after)
        if len(before.times):
            self.state.learn(before)
        for row in frame.between(act_after, np.inf).rows():
            await self._walk(Work(self._clock.now(), source, row))
            self.state.acted_until[source] = float(row.times[0])

    async def read(self, source: str, until: float) -> None:
        """Judge the log lines of `source` up to `until`, as rows of rates and what else they say."""
        self.state.logs.commit(source, until)
        stream = f"{source} logs"
        for row in self.state.logs.close(source, until):
            time = float(row.frame.times[0])
            if time <= max(acted_until(self.state, stream, self._clock.now()), self._late(source)):
                self.state.learn(row.frame)
                continue
            await self._walk(Work(self._clock.now(), source, row.frame, stream, signals=row.signals))
            self.state.acted_until[stream] = time

    async def _walk(self, work: Work) -> None:
        marks = Marks(self._clock) if self.spans.on else None
        with self._metrics.step_seconds.time():
            for stage in PATH:
                if stage is detect and work.row is not None:
                    with self._metrics.score_seconds.time():
                        if self.state.detection.away:
                            await detect_away(self.state, work)
                        else:
                            stage(self.state, work)
                else:
                    stage(self.state, work)
                if marks:
                    marks.passed(stage.__name__)
            if work.matters:
                await self._record(work)
        if marks:
            marks.passed("store")
            tell(self.spans, work, marks)
        if work.row is not None:
            age = max(0.0, self._clock.now() - float(work.row.times[-1]))
            self._metrics.sample_age.labels(work.stream or work.source).observe(age)

    async def _record(self, work: Work) -> None:
        """Nothing is lost to a store that is away: the same work is tried until it is written.

        What a store that is there refuses for its content would be refused for ever, and is given up.
        """
        wait, refused = 0.1, 0
        while True:
            try:
                await self._recorder.save(self.state, work)
                break
            except (SQLAlchemyError, OSError) as why:
                self.store_error = (str(why.__cause__ or why) or type(why).__name__).splitlines()[0]
                self._metrics.commit_failures.inc()
                if isinstance(why, DataError | IntegrityError) and (refused := refused + 1) >= REFUSED:
                    log.exception("the store refuses what a step brought about; going on without: %s", work)
                    self.store_error = ""
                    return
                log.error("cannot write to the store, trying again in %.1f s: %s", wait, self.store_error)
                await self._clock.sleep(wait)
                wait = min(10.0, wait * 2)
        self.store_error = ""
        self._tell(work)
        self._woken()

    def _tell(self, work: Work) -> None:
        """Every transition in the one grammar, and in the metrics."""
        for change in work.alert_changes:
            ident = change.alert.id
            log.info(sentence("alert", ident, change.current, change.to, change.reason))
            self._metrics.alerts.labels(change.alert.kind.value, change.to.value).inc()
        for anew in work.relearnt:
            self._metrics.relearnt.labels(anew.kind.value).inc()
        for moved in work.problem_changes:
            with self.spans.naming(moved.problem.key):
                log.info(sentence("problem", moved.problem.id, moved.current, moved.to, moved.reason))
            if moved.current != moved.to:
                self._metrics.problems.labels(str(moved.to)).inc()
            if moved.to == "active":
                self._metrics.lead.observe(moved.problem.lead_seconds)
        if isinstance(work.message, say.RunEnded):
            run = self.state.remediation.run(work.message.run_id)
            name = run.playbook if run else "unknown"
            self._metrics.runs.labels(name, work.message.state.value).inc()
        firing = [a for a in self.state.alerting.live.values() if a.state is AlertState.FIRING]
        self._metrics.alerts_firing.set(len(firing))
