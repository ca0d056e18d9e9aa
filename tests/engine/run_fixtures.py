"""What the tests of the run worker share: a problem in a real store, playbooks of real commands, a worker."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiops.config import Remediation as Settings
from aiops.config.playbooks import read_playbook
from aiops.core.playbook import Playbook
from aiops.core.remediate import Remediation
from aiops.engine.clock import SystemClock
from aiops.engine.messages import Message, RunEnded, RunStarted
from aiops.engine.run import RunWorker
from aiops.model.lifecycle import RunState
from aiops.model.problem import Problem, Run, Step
from aiops.store import notices, runs
from aiops.store.database import Database
from aiops.store.tables import problem

CLOCK = SystemClock()
POLL = 0.05
"""Seconds between two looks at the store of a worker that nobody wakes."""


def shell(script: str, **more: Any) -> str:
    """A `command` step in YAML's flow style; ``$FOREWARN_KEY`` is the idempotency key."""
    extra = "".join(f", {key}: {value}" for key, value in more.items())
    return f"{{action: command, argv: [/bin/sh, -c, '{script}']{extra}}}"


def check(script: str) -> str:
    return f"{{command: {{argv: [/bin/sh, -c, '{script}']}}}}"


def playbook(
    *steps: str,
    precheck: str = "",
    verify: str = "",
    rollback: str = "",
    autonomy: str = "auto",
    cooldown: str = "0s",
    target: str = "svc/web",
    name: str = "fix",
) -> Playbook:
    """A playbook of the steps ``one``, ``two``, ...; without `verify` it proves itself by ``true``."""
    names = ("one", "two", "three")
    listed = "\n".join(f"  - {n}: {step}" for n, step in zip(names, steps, strict=False))
    proof = verify or check("true")
    text = f"""\
playbook: {name}
match: 'true'
target: {target}
autonomy: {autonomy}
guards: {{cooldown: {cooldown}}}
{f"precheck: {check(precheck)}" if precheck else ""}
steps:
{listed}
verify: {proof[:-1]}, times: 2, every: 50ms, within: 1s}}
{f"rollback: [{{back: {rollback}}}]" if rollback else ""}
escalate: {{note: "look at the {{{{ problem.labels.service }}}} journal"}}
"""
    return read_playbook(text, "test.yaml")


@dataclass
class Bench:
    """A store, the problems' state as the pipeline would tell it, and what the worker says."""

    db: Database
    folder: Path
    books: dict[str, Playbook] = field(default_factory=dict)
    settings: Settings = field(default_factory=lambda: Settings(enabled=True))
    firing: bool = True
    heard: list[Message] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    """Problems whose context a worker wanted to know."""
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    def add_problem(self, number: int = 1, state: str = "open") -> int:
        with self.db.begin() as conn:
            made = conn.execute(
                problem.insert().values(
                    key=f"key-{number}",
                    title="web is slow",
                    state=state,
                    stage="predicted",
                    severity="major",
                    labels={},
                    opened=CLOCK.now(),
                    updated=CLOCK.now(),
                )
            )
            assert made.inserted_primary_key is not None
            return int(made.inserted_primary_key[0])

    def queue(self, book: Playbook, number: int = 1) -> int:
        """Queue a run as the pipeline does: decided by the core, stored with its playbook's text."""
        self.books[book.name] = book
        key = self.add_problem(number)
        chooser = Remediation([book], self.settings.enabled, policy=self.settings.policy)
        made = chooser.consider(Problem(f"key-{number}", 1.0, id=key), self.context(), CLOCK.now())
        assert isinstance(made, Run), made
        with self.db.begin() as conn:
            return runs.insert(conn, made, book.text).id

    def context(self) -> dict[str, Any]:
        return {"title": "web is slow", "level": 2, "labels": {"service": "web"}}

    async def context_of(self, problem_id: int) -> tuple[dict[str, Any], bool]:
        self.asked.append(problem_id)
        return self.context(), self.firing

    async def tell(self, message: Message) -> None:
        """Take it in as the pipeline does: the news is heard, and gone from the store."""
        self.heard.append(message)
        if isinstance(message, RunStarted | RunEnded):
            state = message.state if isinstance(message, RunEnded) else RunState.RUNNING
            await self.db.run(notices.heard, message.run_id, state)

    def worker(self, lease: float = 1.0, hears: Callable[[], bool] = lambda: True) -> RunWorker:
        books, wake, settings = (lambda: self.books), self.wake, self.settings
        return RunWorker(
            self.db, CLOCK, books, self.context_of, self.tell, wake, settings, POLL, lease, hears
        )

    @asynccontextmanager
    async def working(self) -> AsyncIterator[RunWorker]:
        """A worker while the block lasts; drained at its end."""
        worker = self.worker()
        task = asyncio.create_task(worker.run())
        try:
            yield worker
        finally:
            worker.stop()
            await task

    def run(self, run_id: int) -> Run:
        with self.db.read_only() as conn:
            found = runs.get(conn, run_id)
        assert found is not None
        return found

    def steps(self, run_id: int) -> list[Step]:
        with self.db.read_only() as conn:
            return runs.steps(conn, run_id)

    async def until(self, run_id: int, *states: RunState, within: float = 10.0) -> Run:
        """Wait until the run is in one of `states`; without any, until it has ended and that was told."""
        async with asyncio.timeout(within):
            while True:
                told = bool(self.ends(run_id))
                found = await self.db.read(runs.get, run_id)
                assert found is not None
                if found.state in states or (told and not states):
                    return found
                await asyncio.sleep(0.01)

    def ends(self, run_id: int) -> list[RunEnded]:
        return [m for m in self.heard if isinstance(m, RunEnded) and m.run_id == run_id]

    def starts(self, run_id: int) -> list[RunStarted]:
        return [m for m in self.heard if isinstance(m, RunStarted) and m.run_id == run_id]

    def text(self, name: str) -> str:
        """What the steps wrote into a file of the test's folder."""
        path = self.folder / name
        return path.read_text() if path.exists() else ""
