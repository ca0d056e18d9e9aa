"""The running engine: builds the graph from the configuration, runs its tasks, swaps the graph on reload."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiops.config import Config
from aiops.config.complaint import Complaint, ConfigError
from aiops.config.playbooks import load_playbooks
from aiops.config.read import PACKAGED, check, read
from aiops.config.secret_files import ensure_secrets
from aiops.core.playbook import Playbook
from aiops.core.recent import Recent
from aiops.core.topology import Topology
from aiops.engine import checkpoint, warm
from aiops.engine.approval_links import ApprovalLinks
from aiops.engine.checkpoint import Checkpointer
from aiops.engine.clock import Clock, SystemClock
from aiops.engine.deliver import Relay
from aiops.engine.heirs import Heirs
from aiops.engine.housekeeping import Housekeeping
from aiops.engine.inbound import Inbound
from aiops.engine.leadership import Leadership
from aiops.engine.messages import Handling, Message, concerned
from aiops.engine.metrics import Metrics
from aiops.engine.pipeline import Pipeline
from aiops.engine.pull import Puller, late
from aiops.engine.receive import Receiving
from aiops.engine.reconcile import Reconciler
from aiops.engine.record import Recorder
from aiops.engine.restore import taken_up
from aiops.engine.run import RunWorker
from aiops.engine.seen import context_of
from aiops.engine.sources import close, close_all, connectors, open_sources, warn_of_fixed
from aiops.engine.spans import Spans
from aiops.engine.standby import stand_by
from aiops.engine.state import State
from aiops.engine.stopwatch import Stopwatch
from aiops.engine.tasks import Tasks
from aiops.engine.upkeep import upkeep
from aiops.model.series import SeriesIndex
from aiops.plugin import Connector, egress
from aiops.store.database import Database
from aiops.store.migrate import upgrade

log = logging.getLogger("aiops.engine")


class Engine:
    """One installation, or one of several on a store. `start`, then let it run, then `stop`, which drains.

    Where there may be others (`leadership` is set before `start`), only the one that leads has a pipeline
    that turns; all deliver, and carry runs out. Alone it leads from its start.
    """

    def __init__(self, config: Config, config_path: Path | None = None, clock: Clock | None = None) -> None:
        self.config = config
        self.config_path = config_path
        self.clock: Clock = clock or SystemClock()
        self.metrics = Metrics()
        self.spans = Spans(self.clock, self.metrics.told)
        self.db = Database(config.store)
        self.outbox_wake, self.runs_wake = asyncio.Event(), asyncio.Event()
        self.links = ApprovalLinks(lambda: self.config)
        self.receiving = Receiving(self)
        self.pullers: list[Puller] = []
        self._pulls: list[asyncio.Task[None]] = []
        self._tasks = Tasks()
        self.failed = self._tasks.failed
        self.leadership: Leadership | None = None
        self._leads = False
        self._changing = asyncio.Lock()

    @property
    def leads(self) -> bool:
        """Whether the pipeline turns here."""
        return self._leads

    @property
    def leader_url(self) -> str:
        """Where the engine is reached that leads, if it is another and known."""
        return "" if self._leads or self.leadership is None else self.leadership.leader_url

    @property
    def index(self) -> SeriesIndex:
        return self.pipeline.state.index

    @property
    def recent(self) -> Recent:
        return self.pipeline.state.recent

    def sources(self) -> Sequence[Any]:
        """Health of every source, in the order of the config."""
        return [puller.health for puller in self.pullers] + self.receiving.health()

    def ready(self) -> bool:
        """Whether every source has been asked once and the store takes writes."""
        asked = all(puller.started.is_set() for puller in self.pullers)
        return bool(self._tasks) and asked and not self.pipeline.store_error

    def ready_slots(self) -> NDArray[np.bool_]:
        return self.pipeline.state.detection.ready()

    def topology(self) -> Topology:
        return self.pipeline.state.problems.topology

    def team_of(self, slot: int) -> str:
        return self.pipeline.state.team_of(slot)

    async def tell(self, message: Message) -> None:
        """Hand something that was said or done about a problem to the pipeline."""
        if isinstance(message, Handling):
            for problem_id in concerned(message):
                await self.inbound.recall(problem_id)
        await self.pipeline.queue.put(message)

    async def hear(self, sink: str, headers: Mapping[str, str], body: bytes) -> int:
        """A webhook for a sink; how many changes were news. Raises LookupError or `PluginError`."""
        return await self.inbound.hear(sink, headers, body)

    async def check_text(self, text: str) -> Sequence[Complaint]:
        """What is wrong with `text` as this engine's configuration."""
        _, complaints = await asyncio.to_thread(check, text, str(self.config_path or "forewarn.yaml"))
        return complaints

    # -- life

    async def start(self) -> None:
        """Upgrade the schema, start what every engine does, and lead unless another does already."""
        egress.rule(self.config.egress)
        await asyncio.to_thread(self.spans.follow, self.config.telemetry.traces, self.db.name)
        await warm.compile_aside(self.config.detection.detectors)
        await asyncio.to_thread(upgrade, self.db)
        playbooks = await asyncio.to_thread(load_playbooks, self.config.playbooks)
        state = State(self.config, playbooks, SeriesIndex())
        leadership = self.leadership
        fence = leadership.fence if leadership else lambda _: None
        record = Recorder(self.db, self.config.web.address, fence)
        self.pipeline = Pipeline(state, record, self.clock, self.metrics, self._late, self._wake, self.spans)
        out = self.db, self.clock, self._sinks, self.outbox_wake
        self.relay = Relay(*out, observe=self.metrics.delivered, finish=self.links.finish, spans=self.spans)
        runs = self.playbooks, self._context_of, self.tell, self.runs_wake, self.config.remediation
        self.worker = RunWorker(self.db, self.clock, *runs, hears=lambda: self._leads, spans=self.spans)
        self._upkeep = upkeep(self)
        follow = self._upkeep.pop("follow")
        if leadership is None or await leadership.claim():
            await self._lead()
        else:
            log.info("another engine leads; this one stands by")
        self._tasks.begin(relay=self.relay.run(), runs=self.worker.run(), follow=follow)
        if leadership is not None:
            self._tasks.begin(leadership=self._follow_leadership(leadership))

    async def _lead(self) -> None:
        """Take up the learnt state and the open problems, and start what only one engine does."""
        folder, known = self.config.data / "checkpoints", self.pipeline.state.remediation.playbooks
        epoch, metrics, watch = self.leadership.epoch if self.leadership else 0, self.metrics, Stopwatch()
        state, facts = await taken_up(self.db, self.config, known, self.clock, self.leadership is None, epoch)
        self.pipeline.state, index = state, state.index
        turning = self.pipeline, self._connectors(), self.clock, metrics, epoch
        self.checkpointer = Checkpointer(folder, *turning)
        self.housekeeping = Housekeeping(self.db, self.pipeline, self.checkpointer, self.clock, metrics)
        open_sources(self.config, index, facts.get("connectors", {}))
        self.inbound = Inbound(self.db, self.clock, self._sinks, self.tell, self.pipeline.call)
        mended = metrics.tickets_wrong, metrics.tickets_healed
        self.reconciler = Reconciler(self.db, self.clock, self._sinks, self.inbound.take, *mended)
        self._tasks.begin(
            pipeline=self.pipeline.run(),
            ticks=self.pipeline.ticks(),
            inbound=self.inbound.run(),
            sweep=self.reconciler.run(),
            checkpoints=self.checkpointer.run(self.config.checkpoint_every),
            housekeeping=self.housekeeping.run(),
            **self._upkeep,
        )
        if self.leadership is not None:
            self.receiving.take_up(self.db, self.leadership, self.checkpointer, self._tasks)
        self._start_pulls()
        metrics.up_since.set(self.clock.now())
        self._leads = True
        log.info("took up what was left: %s", watch)

    async def _follow_leadership(self, leadership: Leadership) -> None:
        if not self._leads:
            await stand_by(leadership, self.config)
            async with self._changing:
                await self._lead()
        self._tasks.begin(heirs=Heirs(self.db, self.clock).run())
        await leadership.keep()

    async def stop(self) -> None:
        """Drain: no more pulls, what was pulled is acted on, runs finish their step, a last checkpoint."""
        tasks = self._tasks
        tasks.cancel("catching_up", "follow", "leadership")  # the latter would start pulls again
        await self._stop_pulls()
        self.worker.stop()
        self.relay.stop()
        await tasks.end("runs", "relay", within=20)
        tasks.cancel("checkpoints", "ticks", "housekeeping", "inbound", "sweep", *self._upkeep)
        if tasks.live("pipeline"):
            await self.receiving.drain(within=10)
            await self.checkpointer.write()
            await self.pipeline.queue.put(None)
            await tasks.end("pipeline", within=20)
        await tasks.close()
        for unused in self._upkeep.values():
            unused.close()
        if self.leadership is not None:
            await asyncio.to_thread(self.leadership.close)
        await close_all(self.config, self.pipeline.state.detection)
        await asyncio.to_thread(self.spans.close)
        self.db.close()

    async def reload(self) -> None:
        """Take up the file anew: all is validated and built first, then swapped. Raises `ConfigError`."""
        try:
            config = await asyncio.to_thread(read, self.config_path or PACKAGED, self.config.data)
            playbooks = await asyncio.to_thread(load_playbooks, config.playbooks)
        except ConfigError:
            self.metrics.reloads.labels("refused").inc()
            raise
        await asyncio.to_thread(ensure_secrets, config)
        await warm.compile_aside(config.detection.detectors)
        warn_of_fixed(self.config, config)
        async with self._changing:
            old = self.config
            if self._leads:
                await self._swap_live(config, playbooks)
            else:
                self._put_in(State(config, playbooks, SeriesIndex()))
            await close(old)
            if self._leads:
                self._start_pulls()
        await asyncio.to_thread(self.spans.follow, config.telemetry.traces, self.db.name)
        self.metrics.reloads.labels("taken").inc()
        log.info("configuration reloaded from %s", self.config_path)

    async def _swap_live(self, config: Config, playbooks: list[Playbook]) -> None:
        await self._stop_pulls()
        try:
            await self.pipeline.call(lambda state: self._swap(state, config, playbooks))
        except BaseException:
            self._start_pulls()  # the old graph goes on
            raise

    def _swap(self, old: State, config: Config, playbooks: list[Playbook]) -> None:
        arrays, facts = checkpoint.capture(old, self._connectors())
        state = State(config, playbooks, old.index)
        checkpoint.take_up(state, arrays, facts)
        open_sources(config, old.index, facts["connectors"])
        state.adopt(old)
        self._put_in(state)
        self.checkpointer.connectors = self._connectors()

    def _put_in(self, state: State) -> None:
        self.config = state.config
        egress.rule(state.config.egress)
        self.pipeline.state = state
        self.worker.settings = state.config.remediation

    def _connectors(self) -> list[Connector]:
        return connectors(self.config)

    def _start_pulls(self) -> None:
        self.pullers = [Puller(c, self.pipeline, self.clock, self.metrics) for c in self._connectors()]
        cursors = self.pipeline.state.cursors
        self._pulls = [
            self._tasks.guarded(p.health.name, p.run(cursors.get(p.health.name))) for p in self.pullers
        ]

    async def _stop_pulls(self) -> None:
        for task in self._pulls:
            task.cancel()
        await asyncio.gather(*self._pulls, return_exceptions=True)

    def _late(self, source: str) -> float:
        connector = next((c for c in self._connectors() if c.name == source), None)
        return late(connector, self.clock.now())

    def _sinks(self) -> dict[str, Any]:
        return {sink.name: sink for sink in self.config.sinks}

    def playbooks(self) -> dict[str, Playbook]:
        return {p.name: p for p in self.pipeline.state.remediation.playbooks}

    def log_lines(self, name: str) -> list[str]:
        return self.pipeline.state.logs.lines_of(name)

    def _wake(self) -> None:
        self.outbox_wake.set()
        self.runs_wake.set()

    async def _context_of(self, problem_id: int) -> tuple[dict[str, Any], bool]:
        return await context_of(self.db, self.pipeline if self._leads else None, problem_id)
