"""The run worker: begins queued runs, lets approvals expire, and takes up what a crash left in the middle.

The store is the truth. Each look at it finds what is to be done, so a run that this process lost sight of (a
crash, a store that was away) is found again by the next look.

Several workers may share a store. Each holds a lease on the runs that it carries out, and takes over those
whose lease has run out; whoever was only slow is refused its next write, and is sure of its lease before it
acts.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, TypeAlias

from aiops.config import Remediation as Settings
from aiops.config.playbooks import PlaybookError, read_playbook
from aiops.config.remediation import frozen
from aiops.core.brakes import braked
from aiops.core.playbook import Playbook
from aiops.core.recheck import changed
from aiops.core.remediate import advance, detail_of, ending, escalation_of, history_seconds, refused_by, rest
from aiops.engine.clock import Clock
from aiops.engine.interpret import Drained, Interpreter, reason_of
from aiops.engine.lane import first_of
from aiops.engine.messages import Message, RunEnded, RunStarted
from aiops.engine.spans import Spans
from aiops.engine.step_spans import of_run
from aiops.engine.tenure import AWAY, LEASE, Holder, Tenure, first_line
from aiops.engine.trace import tracing
from aiops.engine.trust import distrusted
from aiops.model.lifecycle import LIVE_RUN, RunState
from aiops.model.problem import EscalationReason, Run
from aiops.plugin.params import format_duration
from aiops.store import holds, leases, runs
from aiops.store.database import Database

log = logging.getLogger("aiops.run")

Context: TypeAlias = dict[str, Any]

GRACE = 15.0
"""Seconds that steps under way get when the engine stops."""


def ended_message(run: Run) -> RunEnded:
    """What the pipeline is told about a run that has ended."""
    return RunEnded(run.problem_id, run.id, run.state, escalation_of(run), detail_of(run), run.dry_run)


class RunWorker:
    """Carries runs out. `settings` and what `playbooks` returns may change at any time, by a reload."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        playbooks: Callable[[], Mapping[str, Playbook]],
        context_of: Callable[[int], Awaitable[tuple[Context, bool]]],
        tell: Callable[[Message], Awaitable[None]],
        wake: asyncio.Event,
        settings: Settings,
        poll: float = 1.0,
        lease: float = LEASE,
        hears: Callable[[], bool] = lambda: True,
        spans: Spans | None = None,
    ) -> None:
        """`tell` is called only while `hears` says that somebody keeps the problems here."""
        self.settings = settings
        self.tenure = Tenure(db, clock, lease)
        self._db = db
        self._clock = clock
        self._playbooks = playbooks
        self._context_of = context_of
        self._tell = tell
        self._wake = wake
        self._poll = poll
        self._hears = hears
        self._spans = spans or Spans(clock)
        self._halt = asyncio.Event()
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._told: set[tuple[int, RunState]] = set()
        self._pinned: dict[str, Playbook] = {}

    def stop(self) -> None:
        """Ask `run` to end once the steps under way have ended."""
        self._halt.set()
        self._wake.set()

    async def run(self) -> None:
        """Until `stop`. Runs that have steps left are taken up by another worker, or by the next process."""
        beat = asyncio.create_task(self.tenure.keep(self._leave), name="run leases")
        try:
            while not self._halt.is_set():
                self._wake.clear()
                try:
                    await self._look()
                except AWAY as why:
                    log.error("the store cannot be asked for runs: %s", first_line(why))
                await self._sleep()
            if self._tasks:
                log.info("%d runs finish their step", len(self._tasks))
                await asyncio.wait(self._tasks.values(), timeout=GRACE)
        finally:
            left = [*self._tasks.values(), beat]
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
            await self.tenure.let_go()

    def _leave(self, run_id: int) -> None:
        if run_id in self._tasks:
            self._tasks[run_id].cancel()

    async def _look(self) -> None:
        # Before the store is read: a run that ends while it is read is not one that nobody carries out
        ours = set(self._tasks)
        found = await self._db.read(runs.waiting, self.settings.parallel, self._clock.now())
        free = await self._db.read(leases.free, self.tenure.owner) if found.begun else ()
        for run in found.begun:
            if run.id not in ours and run.id in free:
                self._spawn(run, self._go_on)
        for run in found.unapproved:
            await self._guarded(run, self._expire)
        for run in found.queued:
            if run.id not in self._tasks and len(self._tasks) < self.settings.parallel:
                self._spawn(run, self._begin)
        for state, run in await self._db.read(runs.untold) if self._hears() else ():
            if run.id not in self._tasks:  # it tells by itself
                await self._say(run, state)

    async def _begin(self, run: Run) -> None:
        """Everything that was so when the run was queued must still be so."""
        playbook = await self._pinned_playbook(run)
        context, firing = await self._context_of(run.problem_id)
        if playbook is None:
            reason = ending(EscalationReason.REFUSED_BY_GUARD, "its playbook's text can no longer be read")
            return await self._end(run, RunState.EXPIRED, reason)
        if playbook.guards.only_while_firing and not firing:
            return await self._end(run, RunState.EXPIRED, "the problem resolved before the run began")
        if not run.dry_run:
            now, brakes = self._clock.now(), self.settings.brakes
            history = await self._db.read(runs.recent, now - history_seconds([playbook], brakes))
            if rest(playbook, run, history, now) > 0:
                return
            if refused := await self._forbidden(run, playbook, context) or (
                braked(brakes, playbook, run, history, await self._openings(now), now)
                or refused_by(playbook, run, history, now)
            ):
                reason = ending(EscalationReason.REFUSED_BY_GUARD, refused)
                return await self._end(run, RunState.EXPIRED, reason)
        if self._halt.is_set():
            return
        await self._start(run, playbook)
        await self._carry_out(run, playbook, context)

    async def _start(self, run: Run, playbook: Playbook) -> None:
        """Make the transition, under a lease. Raises `RunChanged` when somebody else was first."""
        was, now = run.state, self._clock.now()
        said = advance(run, RunState.RUNNING, f"playbook {playbook.name} begins on {run.target}", now)
        await self.tenure.begin(run, was, now)
        log.info(said)

    async def _forbidden(self, run: Run, playbook: Playbook, context: Context) -> str:
        """What people have said (it is off, on hold, or frozen), or what came about since they approved."""
        if not self.settings.enabled:
            return "remediation was switched off"
        held = await self._held(playbook) or changed(run, playbook, context)
        held = held or frozen(self.settings.freezes, context.get("labels", {}), self._clock.now())
        given = (run, playbook, self._playbooks(), self.settings.earn, self._clock.now())
        return held or await distrusted(self._db, *given)

    async def _held(self, playbook: Playbook) -> str:
        found = await self._db.read(holds.over, playbook.name)
        return found.words if found else ""

    async def _openings(self, now: float) -> list[float]:
        return await self._db.read(holds.openings, now - self.settings.brakes.storm.within)

    async def _go_on(self, run: Run) -> None:
        """Take up what another worker left, or an earlier process. Raises `LeaseLost` when that one lives."""
        await self.tenure.take(run, self._clock.now())
        log.info("run %s is taken up where it was left: %s", run.id, run.state)
        playbook = await self._pinned_playbook(run)
        context, firing = await self._context_of(run.problem_id)
        if playbook is None:
            reason = ending(EscalationReason.INTERRUPTED, "its playbook's text can no longer be read")
            return await self._end(run, RunState.INTERRUPTED, reason)
        acted = any(step.phase == "step" for step in await self._db.read(runs.steps, run.id))
        if playbook.guards.only_while_firing and not (firing or acted):
            return await self._end(run, RunState.SUCCEEDED, "the problem resolved before anything was done")
        await self._carry_out(run, playbook, context)

    async def _carry_out(self, run: Run, playbook: Playbook, context: Context) -> None:
        with of_run(self._spans, run, context):
            await self._interpreted(run, playbook, context)

    async def _interpreted(self, run: Run, playbook: Playbook, context: Context) -> None:
        steps = await self._db.read(runs.steps, run.id)
        interpreter = Interpreter(
            run,
            playbook,
            context,
            steps,
            self._clock,
            Holder(self.tenure, run.id),
            self._halt,
            lambda: self._held(playbook),
            lambda: self.tenure.be_sure(run.id),
        )
        try:
            if run.dry_run:
                end = await interpreter.rehearse()
            else:
                await self._say(run, RunState.RUNNING)
                end = await interpreter.perform(lambda: self._move(run, RunState.VERIFYING, "all steps done"))
        except Drained:
            log.info("run %s is left %s: the engine stops", run.id, run.state)
            return
        await self._end(run, end.state, reason_of(end, playbook, context))

    async def _expire(self, run: Run) -> None:
        """A run whose time, or whose problem, is over while it waits for approval."""
        playbook = await self._pinned_playbook(run)
        _, firing = await self._context_of(run.problem_id)
        end = run.expires if run.expires == run.expires else run.queued + self.settings.approval_timeout
        if not firing and (playbook is None or playbook.guards.only_while_firing):
            await self._end(run, RunState.EXPIRED, "the problem resolved while the run waited for approval")
        elif self._clock.now() >= end:
            within = format_duration(round(end - run.queued, 3))
            reason = ending(EscalationReason.APPROVAL_EXPIRED, f"not enough did within {within}")
            await self._end(run, RunState.EXPIRED, reason)

    async def _pinned_playbook(self, run: Run) -> Playbook | None:
        """The playbook as it was when the run was queued, whatever the file says by now."""
        current = self._playbooks().get(run.playbook)
        if current and current.revision == run.revision:
            return current
        if run.revision not in self._pinned:
            text = await self._db.read(runs.revision_text, run.revision)
            try:
                self._pinned[run.revision] = read_playbook(text or "", f"revision {run.revision[:12]}")
            except PlaybookError as why:
                log.error("run %s: %s", run.id, why)
                return None
        return self._pinned[run.revision]

    async def _move(self, run: Run, to: RunState, reason: str) -> None:
        """Make and store a transition. Raises `RunChanged` when somebody else has changed the run."""
        was, now = run.state, self._clock.now()
        said = advance(run, to, reason, now)
        await self.tenure.within(run.id, runs.save, run, was, now)
        log.info(said)

    async def _end(self, run: Run, to: RunState, reason: str) -> None:
        await self._move(run, to, reason)
        await self._say(run, run.state)

    async def _say(self, run: Run, state: RunState) -> None:
        """Tell that `run` has come to be in `state`, once; where nobody listens, the store keeps the news."""
        if not self._hears() or (run.id, state) in self._told:
            return
        self._told.add((run.id, state))
        text = f"playbook {run.playbook} runs"
        started = state in LIVE_RUN
        await self._tell(RunStarted(run.problem_id, run.id, text) if started else ended_message(run))

    def _spawn(self, run: Run, work: Callable[[Run], Awaitable[None]]) -> None:
        async def inside() -> None:
            was = run.state
            try:
                with tracing(problem=run.problem_id, run=run.id):
                    await self._guarded(run, work)
            finally:
                del self._tasks[run.id]
                self.tenure.forget(run.id)
                if run.state is not was:  # one that has to rest is looked at with the next poll
                    self._wake.set()

        self._tasks[run.id] = asyncio.create_task(inside(), name=f"run {run.id}")

    async def _guarded(self, run: Run, work: Callable[[Run], Awaitable[None]]) -> None:
        """No fault of one run touches another; one of ours ends the run, in words, with a person asked."""
        try:
            await work(run)
        except runs.RunChanged as why:
            log.info("%s", why)
        except AWAY as why:
            log.error("run %s waits for the store: %s", run.id, first_line(why))
        except Exception as why:
            log.exception("run %s broke", run.id)
            if run.state in LIVE_RUN:
                text = ending(EscalationReason.INTERRUPTED, f"{type(why).__name__}: {why}")
                with suppress(runs.RunChanged):
                    await self._end(run, RunState.INTERRUPTED, text)

    async def _sleep(self) -> None:
        await first_of(self._clock.sleep(self._poll), self._wake.wait())
