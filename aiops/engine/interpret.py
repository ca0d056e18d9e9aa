"""One run of a playbook, from its precheck to its end. What it may do again after a crash is decided here."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from sqlalchemy.engine import Connection

from aiops.core.acts import Act, BadArguments
from aiops.core.endings import ending
from aiops.core.playbook import Playbook
from aiops.core.registers import registered
from aiops.core.resume import Resume, on_resume
from aiops.core.templates import BadTemplate, render
from aiops.engine.attempt import BACKSTOP, attempts, judged, once, probe_until
from aiops.engine.clock import Clock
from aiops.engine.spans import CLIENT, within
from aiops.model.lifecycle import RunState
from aiops.model.problem import EscalationReason, Run, Step
from aiops.plugin import Action, Outcome, PluginError
from aiops.plugin.params import format_duration
from aiops.store import runs

log = logging.getLogger("aiops.run")

P = ParamSpec("P")
T = TypeVar("T")


class Drained(Exception):
    """The engine stops: the run is left between two steps, to be taken up at the next start."""


class CutOff(Exception):
    """A step was under way when the engine stopped, and may neither be repeated nor be asked after."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ends. ``reason`` is set when a person is to be asked."""

    state: RunState
    reason: EscalationReason | None
    text: str


class Write(Protocol):
    """Runs a function of the store in a write transaction, again and again while the store is away."""

    async def __call__(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T: ...


class Interpreter:
    """Interprets `playbook` for one run. `steps` are what an earlier process left; `halt` asks for a stop.

    `held` says before every step why a person does not want it done, or nothing; `sure` raises, right before
    something is done, when another engine has taken the run over.
    """

    def __init__(
        self,
        run: Run,
        playbook: Playbook,
        context: Mapping[str, Any],
        steps: list[Step],
        clock: Clock,
        write: Write,
        halt: asyncio.Event,
        held: Callable[[], Awaitable[str]],
        sure: Callable[[], Awaitable[None]],
    ) -> None:
        self.run = run
        self.playbook = playbook
        self.steps = {(step.phase, step.name): step for step in steps}
        self.context: dict[str, Any] = {"problem": context}
        for act in playbook.all_acts():
            row = self.steps.get((act.phase, act.name))
            if act.register and row and row.data is not None:
                self.context[act.register] = row.data
        self._clock = clock
        self._write = write
        self._halt = halt
        self._held = held
        self._sure = sure

    @property
    def has_acted(self) -> bool:
        return any(phase in ("step", "rollback") for phase, _ in self.steps)

    async def rehearse(self) -> Ending:
        """The dry run: every plan is written down, nothing is done."""
        plans = []
        for act in self.playbook.all_acts():
            try:
                plan = act.plan(self.context)
            except BadArguments as why:
                return Ending(RunState.FAILED, None, f"dry run: {why}")
            if act.phase == "step" and plan != act.left_out:
                plans.append(plan)
            if (act.phase, act.name) not in self.steps:
                await self._conclude(await self._intend(act, plan), None, "dry run")
        return Ending(RunState.SUCCEEDED, None, f"dry run: would {'; then '.join(plans) or 'do nothing'}")

    async def perform(self, verifying: Callable[[], Awaitable[None]]) -> Ending:
        """Do it, prove it, or undo it. `verifying` stores that the run goes over to its proof.

        Raises `Drained` when it is to be taken up later.
        """
        try:
            failure = await self._precheck() or await self._step("step")
            if failure is None:
                if self.playbook.verify and self.run.state is RunState.RUNNING:
                    await verifying()
                failure = await self._verify()
            if failure is None:
                proof = "verified" if self.playbook.verify else "not verified: the playbook has no verify"
                return Ending(RunState.SUCCEEDED, None, f"{self.playbook.name} repaired it; {proof}")
            return await self._undo(failure)
        except CutOff as why:
            return Ending(RunState.INTERRUPTED, EscalationReason.INTERRUPTED, str(why))

    async def _precheck(self) -> Ending | None:
        if self.has_acted:
            return None
        for act in self.playbook.acts("precheck"):
            ok, said = await self._check(act, act.name)
            if not ok:
                return Ending(RunState.FAILED, EscalationReason.PRECHECK_FAILED, said)
        return None

    async def _step(self, phase: str) -> Ending | None:
        for act in self.playbook.acts(phase):
            if self._halt.is_set():
                raise Drained
            if phase == "step" and (said := await self._held()):
                text = f"before {act.name}: {said}"
                return Ending(RunState.FAILED, EscalationReason.REFUSED_BY_GUARD, text)
            ok, said = await self._act(act)
            if not ok:
                return Ending(RunState.FAILED, EscalationReason.STEP_FAILED, f"{act.name}: {said}")
        return None

    async def _verify(self) -> Ending | None:
        spec = self.playbook.verify
        if spec is None:
            return None
        (act,) = self.playbook.acts("verify")
        row = self.steps.get(("verify", act.name))
        if row and row.ok is not None:
            failed = Ending(RunState.FAILED, EscalationReason.VERIFY_FAILED, row.output)
            return None if row.ok else failed
        begun, in_a_row, looks = self._clock.now(), 0, 0
        plan = f"{spec.times} times in a row within {format_duration(spec.within)}"
        row = row or await self._intend(act, f"{self._plan(act)}, {plan}")
        while True:
            ok, said = await self._look(act)
            looks, in_a_row = looks + 1, in_a_row + 1 if ok else 0
            if in_a_row >= spec.times:
                await self._conclude(row, True, f"passed {in_a_row} times in a row, of {looks}: {said}")
                return None
            if self._clock.now() + spec.every - begun > spec.within:
                text = f"not {plan}; the last of {looks} looks: {said}"
                await self._conclude(row, False, text)
                return Ending(RunState.FAILED, EscalationReason.VERIFY_FAILED, text)
            await self._pause(spec.every)

    async def _undo(self, failure: Ending) -> Ending:
        """Roll back what was done, if anything was; the ending stays that of the failure."""
        if not self.playbook.rollback or not self.has_acted:
            return failure
        broken = await self._step("rollback")
        if broken:
            return replace(failure, text=f"{failure.text}; the rollback failed too: {broken.text}")
        return replace(failure, state=RunState.ROLLED_BACK, text=f"{failure.text}; rolled back")

    async def _act(self, act: Act) -> tuple[bool, str]:
        """Do one step, unless that was done; its intent is stored before."""
        row = self.steps.get((act.phase, act.name))
        if row and row.ended == row.ended:
            return row.ok is not False, row.output
        action: Action | None = None
        try:
            if (row is None or row.plan == act.left_out) and not act.wanted(self.context):
                await self._keep(act, row or await self._intend(act, act.left_out), None)
                return True, act.left_out
            action = act.build(self.context)
        except BadArguments as why:
            if row is None:
                await self._conclude(await self._intend(act, f"{act.kind}: cannot be made"), False, str(why))
                return False, str(why)
        key = f"{self.run.id}:{act.name}"
        if row is not None and await self._was_done(row, act, action, key):
            said = "it had been done when the engine stopped"
            await self._keep(act, row, Outcome(True, said))
            return True, said
        assert action is not None
        row = row or await self._intend(act, action.plan())
        with within(f"{act.phase} {act.name}", {"action": act.kind}, CLIENT) as span:
            came = await attempts(action, act.retry, key, self.context, self._clock, self._sure)
            if span is not None and not came.ok:
                span.error = came.output
        await self._keep(act, row, came)
        return came.ok, came.output

    async def _keep(self, act: Act, row: Step, came: Outcome | None) -> None:
        """Store what came of a step, None when it was left out, and under its name what it found."""
        if act.register:
            row.data = self.context[act.register] = registered(came)
        await self._conclude(row, came.ok if came else None, came.output if came else "")

    async def _was_done(self, row: Step, act: Act, action: Action | None, key: str) -> bool:
        """Whether a step that a crash cut off need not be done any more. Raises `CutOff`.

        Whoever began it may be gone, and what it began still under way: until the step's timeout is over, a
        probe that says no is asked again.
        """
        decision = on_resume(row, action)
        happened: bool | None = False
        if decision is Resume.PROBE and action is not None:
            longest = action.timeout + BACKSTOP
            past = 0.0 if act.retry.times else max(0.0, self._clock.now() - row.started)
            happened = await probe_until(action, key, self._clock, longest - past)
        if decision is Resume.INTERRUPT or happened is None:
            text = (
                f"{row.name}: the engine stopped while it was under way, and nothing says whether it was done"
            )
            await self._conclude(row, None, text)
            raise CutOff(text)
        log.info(
            "run %s: %s was under way when the engine stopped: %s", self.run.id, row.name, decision.value
        )
        return happened

    async def _check(self, act: Act, name: str) -> tuple[bool, str]:
        """One look, in a row of its own."""
        row = self.steps.get((act.phase, name)) or await self._intend(act, self._plan(act))
        ok, said = await self._look(act)
        await self._conclude(row, ok, said)
        return ok, said

    async def _look(self, act: Act) -> tuple[bool, str]:
        """Whether a check holds now; one that cannot be made or done does not."""
        try:
            action = act.build(self.context)
            with within(f"{act.phase} {act.name}", {"action": act.kind}, CLIENT) as span:
                seen = judged(action, await once(action, f"{self.run.id}:{act.phase}"), self.context)
                if span is not None:
                    span.about["holds"] = seen.ok
            return seen.ok, seen.output
        except (BadArguments, PluginError) as why:
            return False, str(why)

    def _plan(self, act: Act) -> str:
        try:
            return act.build(self.context).plan()
        except BadArguments as why:
            return f"{act.kind}: {why}"

    async def _intend(self, act: Act, plan: str) -> Step:
        now = self._clock.now()
        row = Step(self.run.id, len(self.steps), act.name, act.phase, plan, now, team=self.run.team)
        await self._write(runs.intend, row)
        self.steps[act.phase, act.name] = row
        return row

    async def _conclude(self, row: Step, ok: bool | None, output: str) -> None:
        row.ended, row.ok, row.output = self._clock.now(), ok, output
        await self._write(runs.conclude, row)

    async def _pause(self, seconds: float) -> None:
        """Sleep; raises `Drained` as soon as the engine stops."""
        nap = asyncio.ensure_future(self._clock.sleep(seconds))
        halt = asyncio.ensure_future(self._halt.wait())
        try:
            await asyncio.wait({nap, halt}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            nap.cancel()
            halt.cancel()
        if self._halt.is_set():
            raise Drained


def reason_of(end: Ending, playbook: Playbook, context: Mapping[str, Any]) -> str:
    """The run's last reason: what happened, and what the playbook's author wants a person to know."""
    if end.reason is None:
        return end.text
    try:
        note = render(playbook.escalate.note, {"problem": context})
    except BadTemplate as why:
        note = str(why)
    return ending(end.reason, end.text + (f". {note}" if note else ""))
