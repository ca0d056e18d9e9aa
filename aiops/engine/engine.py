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
from aiops.core.context import problem_context
from aiops.core.correlate import still_firing
from aiops.core.playbook import Playbook
from aiops.core.recent import Recent
from aiops.core.topology import Topology
from aiops.engine import checkpoint, warm
from aiops.engine.checkpoint import Checkpointer
from aiops.engine.clock import Clock, SystemClock
from aiops.engine.deliver import Relay
from aiops.engine.housekeeping import Housekeeping
from aiops.engine.inbound import Inbound
from aiops.engine.messages import Handling, Message, concerned
from aiops.engine.metrics import Metrics
from aiops.engine.pipeline import Pipeline
from aiops.engine.pull import Puller, late
from aiops.engine.receive import Receiving
from aiops.engine.reconcile import Reconciler
from aiops.engine.record import Recorder
from aiops.engine.restore import restore
from aiops.engine.run import RunWorker
from aiops.engine.state import State, sli_labels
from aiops.engine.upkeep import upkeep
from aiops.model.series import SeriesIndex
from aiops.plugin import Connector, egress
from aiops.store import problems as problem_rows
from aiops.store.database import Database
from aiops.store.migrate import upgrade

log = logging.getLogger("aiops.engine")


class Engine:
    """One installation. `start`, then let it run, then `stop`, which drains."""

    def __init__(self, config: Config, config_path: Path | None = None, clock: Clock | None = None) -> None:
        self.config = config
        self.config_path = config_path
        self.clock: Clock = clock or SystemClock()
        self.metrics = Metrics()
        self.db = Database(config.store)
        self.outbox_wake, self.runs_wake = asyncio.Event(), asyncio.Event()
        self.pullers: list[Puller] = []
        self.receiving: Receiving | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._pulls: list[asyncio.Task[None]] = []
        self.failed = asyncio.Event()
        """Set when a task died of a fault: the process is better restarted than half alive."""

    # -- what the web room reads

    @property
    def index(self) -> SeriesIndex:
        return self.pipeline.state.index

    @property
    def recent(self) -> Recent:
        return self.pipeline.state.recent

    def sources(self) -> Sequence[Any]:
        """Health of every source, in the order of the config."""
        pushed = self.receiving.health() if self.receiving else []
        return [puller.health for puller in self.pullers] + pushed

    def ready(self) -> bool:
        """Whether every source has been asked once and the store takes writes."""
        return (
            bool(self._tasks)
            and all(p.started.is_set() for p in self.pullers)
            and not self.pipeline.store_error
        )

    def ready_slots(self) -> NDArray[np.bool_]:
        return self.pipeline.state.detection.ready()

    def topology(self) -> Topology:
        return self.pipeline.state.problems.topology

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
        name = str(self.config_path or "forewarn.yaml")
        _, complaints = await asyncio.to_thread(check, text, name)
        return complaints

    # -- life

    async def start(self) -> None:
        """Upgrade the schema, take up the learnt state and the open problems, start every task."""
        egress.rule(self.config.egress)
        await warm.compile_aside()
        await asyncio.to_thread(upgrade, self.db)
        playbooks = await asyncio.to_thread(load_playbooks, self.config.playbooks)
        folder = self.config.data / "checkpoints"
        index, arrays, facts = await asyncio.to_thread(checkpoint.load_index, folder)
        state = State(self.config, playbooks, index)
        restored = checkpoint.take_up(state, arrays, facts)
        if restored:
            log.info("took up what was learnt about %d series", len(index))
        recorder = Recorder(self.db, f"http://{self.config.web.listen}")
        self.pipeline = Pipeline(state, recorder, self.clock, self.metrics, self._late, self._wake)
        await restore(self.db, state, self.clock.now())
        self.checkpointer = Checkpointer(folder, self.pipeline, self._connectors(), self.clock, self.metrics)
        self.housekeeping = Housekeeping(self.db, self.pipeline, self.checkpointer, self.clock, self.metrics)
        _open_sources(self.config, index, facts.get("connectors", {}))
        self.inbound = Inbound(self.db, self.clock, self._sinks, self.tell, self.pipeline.call)
        metrics = self.metrics
        self.reconciler = Reconciler(
            self.db, self.clock, self._sinks, self.inbound.take, metrics.tickets_wrong, metrics.tickets_healed
        )
        self.relay = Relay(self.db, self.clock, self._sinks, self.outbox_wake, observe=self._delivered)
        settings = self.config.remediation
        self.worker = RunWorker(
            self.db, self.clock, self.playbooks, self._context_of, self.tell, self.runs_wake, settings
        )
        self._start_tasks()

    def _start_tasks(self) -> None:
        work = {
            "pipeline": self.pipeline.run(),
            "ticks": self.pipeline.ticks(),
            "relay": self.relay.run(),
            "inbound": self.inbound.run(),
            "sweep": self.reconciler.run(),
            "runs": self.worker.run(),
            "checkpoints": self.checkpointer.run(self.config.checkpoint_every),
            "housekeeping": self.housekeeping.run(),
            **upkeep(self),
        }
        self._tasks = [asyncio.create_task(self._guarded(name, w), name=name) for name, w in work.items()]
        self._start_pulls()
        self.metrics.up_since.set(self.clock.now())

    async def stop(self) -> None:
        """Drain: no more pulls, what was pulled is acted on, runs finish their step, a last checkpoint."""
        by_name = {task.get_name(): task for task in self._tasks}
        by_name["follow"].cancel()  # a reload would start pulls again
        await self._stop_pulls()
        self.worker.stop()
        self.relay.stop()
        await asyncio.wait([by_name["runs"], by_name["relay"]], timeout=20)
        for name in ("checkpoints", "ticks", "housekeeping", "inbound", "sweep", "watchdogs"):
            by_name[name].cancel()
        await self.checkpointer.write()
        await self.pipeline.queue.put(None)
        await asyncio.wait([by_name["pipeline"]], timeout=20)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await _close(self.config)
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
        _warn_of_fixed(self.config, config)
        await self._stop_pulls()
        old = self.config
        try:
            await self.pipeline.call(lambda state: self._swap(state, config, playbooks))
        except BaseException:
            self._start_pulls()  # the old graph goes on
            raise
        await _close(old)
        self._start_pulls()
        self.metrics.reloads.labels("taken").inc()
        log.info("configuration reloaded from %s", self.config_path)

    def _swap(self, old: State, config: Config, playbooks: list[Playbook]) -> None:
        arrays, facts = checkpoint.capture(old, self._connectors())
        state = State(config, playbooks, old.index)
        checkpoint.take_up(state, arrays, facts)
        _open_sources(config, old.index, facts["connectors"])
        state.adopt(old)
        self.config = config
        egress.rule(config.egress)
        self.pipeline.state = state
        self.worker.settings = config.remediation
        self.checkpointer.connectors = self._connectors()

    # -- the parts' view of each other

    def _connectors(self) -> list[Connector]:
        return _connectors(self.config)

    def _start_pulls(self) -> None:
        self.pullers = [Puller(c, self.pipeline, self.clock, self.metrics) for c in self._connectors()]
        cursors = self.pipeline.state.cursors
        self._pulls = [
            asyncio.create_task(self._guarded(p.health.name, p.run(cursors.get(p.health.name))))
            for p in self.pullers
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

    def _wake(self) -> None:
        self.outbox_wake.set()
        self.runs_wake.set()

    def _delivered(self, sink: str, outcome: str, seconds: float) -> None:
        self.metrics.deliveries.labels(sink, outcome).inc()

    async def _context_of(self, problem_id: int) -> tuple[dict[str, Any], bool]:
        """What a run sees of its problem, and whether it still fires."""

        def look(state: State) -> tuple[dict[str, Any], bool] | None:
            problem = state.problems.find(problem_id)
            return (problem_context(problem), still_firing(problem)) if problem else None

        found: Any = await self.pipeline.call(look)
        if found is None:
            stored = await self.db.read(problem_rows.load, problem_id)
            found = (problem_context(stored), False) if stored else ({}, False)
        context, firing = found
        return context, firing

    async def _guarded(self, name: str, work: Any) -> None:
        """A task that dies unexpectedly must not die silently."""
        try:
            await work
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("task %s stopped by a fault; the engine goes down to be restarted", name)
            self.failed.set()
            raise


def _connectors(config: Config) -> list[Connector]:
    return [source for source in config.sources if isinstance(source, Connector)]


def _open_sources(config: Config, index: SeriesIndex, positions: dict[str, Any]) -> None:
    by_name = {connector.name: connector for connector in _connectors(config)}
    for name, connector in by_name.items():
        connector.open(index)
        if name in positions:
            connector.restore(positions[name])
    for sli in config.slis:
        if sli.of.query:
            by_name[sli.of.source].watch(sli_labels(sli.name, sli.labels), sli.of.query)


async def _close(config: Config) -> None:
    for source in config.sources:
        await source.close()
    for sink in config.sinks:
        await sink.close()


def _warn_of_fixed(old: Config, new: Config) -> None:
    for key in ("store", "data", "web"):
        if getattr(old, key) != getattr(new, key):
            log.warning("%s: a change takes effect only after a restart", key)
