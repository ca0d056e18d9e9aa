"""What people do to tickets comes back: by webhook, and by asking now and then, for webhooks get lost.

A change is told to the pipeline first and noted as heard afterwards, so a crash in between hears it twice
rather than never: closing, opening and assigning twice do nothing; only a comment would stand there twice.

No loop can form: a sink leaves out what we did ourselves, a state that is reached already changes nothing,
and comments from outside are not told back.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from sqlalchemy.engine import Connection

from aiops.core.notify import Told
from aiops.engine import messages as say
from aiops.engine import tell
from aiops.engine.clock import Clock
from aiops.engine.state import State
from aiops.model.problem import Problem
from aiops.plugin import PluginError, Retryable, Sink, SinkChange, Unproven
from aiops.store import inbox
from aiops.store import problems as problem_rows
from aiops.store.database import Database

log = logging.getLogger("aiops.inbound")

OVERLAP = 120.0
"""Seconds that are asked for again: the other side's clock may be slow."""
AFTER_START = 86400.0
"""Seconds before the start from which changes are taken up."""
LOOK = 1.0
LONGEST_WAIT = 900.0
"""Seconds between two looks at a sink that fails; they double until then."""
SAY_AGAIN = 60.0
"""Seconds between two lines of the log about refused webhooks: anybody can send some."""
HOT = 4.0
"""Seconds after a webhook in which its sink is asked at every look."""

Call = Callable[[Callable[[State], object]], Awaitable[object]]


class Inbound:
    """`take` what was heard; `run` asks every sink that can be asked, for ever."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        sinks: Callable[[], Mapping[str, Sink]],
        tell: Callable[[say.Message], Awaitable[None]],
        call: Call,
    ) -> None:
        self._db, self._clock, self._sinks = db, clock, sinks
        self._say, self._call = tell, call
        self._one_at_a_time = asyncio.Lock()
        self._started = clock.now()
        self._since: dict[str, float] = {}
        """Per sink: everything until then has been heard."""
        self._next: dict[str, float] = {}
        """Per sink: when it is asked again."""
        self._hot_until: dict[str, float] = {}
        self._refused: dict[str, float] = {}
        """Per sink: when it was last said that a webhook was refused."""
        self._failed: dict[str, int] = {}
        """Per sink: how often in a row it could not be asked."""

    async def run(self) -> None:
        """Until cancelled. Each sink is asked by itself, so that a slow one makes no other wait."""
        asking: dict[str, asyncio.Task[None]] = {}
        try:
            while True:
                now = self._clock.now()
                asking = {name: task for name, task in asking.items() if not task.done()}
                for name, sink in self._sinks().items():
                    if sink.poll_every and name not in asking and now >= self._next.get(name, 0.0):
                        hot = now < self._hot_until.get(name, 0.0)
                        self._next[name] = now + (LOOK if hot else sink.poll_every)
                        asking[name] = asyncio.create_task(self._ask(name, sink, now), name=f"ask {name}")
                await self._clock.sleep(LOOK)
        finally:
            for task in asking.values():
                task.cancel()
            await asyncio.gather(*asking.values(), return_exceptions=True)

    async def hear(self, name: str, headers: Mapping[str, str], body: bytes) -> int:
        """A webhook for the sink `name`; returns how many changes were news.

        Raises LookupError (no such sink), `Unproven`, or another `PluginError`.
        """
        sink = self._sinks().get(name)
        if sink is None:
            raise LookupError(name)
        now = self._clock.now()
        try:
            changes = await sink.hear(headers, body, now)
        except Unproven as why:
            if now - self._refused.get(name, 0.0) >= SAY_AGAIN:
                self._refused[name] = now
                log.warning("sink %s: refused a webhook: %s", name, why)
            raise
        news = await self.take(name, changes)
        # a webhook may be sent from within the transaction that makes the change, which cannot be read yet
        self._hot_until[name], self._next[name] = now + HOT, now
        return news

    async def take(self, name: str, changes: Sequence[SinkChange]) -> int:
        """Bring `changes`, oldest first, to their problems; returns how many were news."""
        news = 0
        async with self._one_at_a_time:
            for change in sorted(changes, key=lambda c: c.at):
                news += await self._one(name, change)
        return news

    async def _ask(self, name: str, sink: Sink, now: float) -> None:
        since = self._since.get(name, self._started - AFTER_START)
        try:
            async with asyncio.timeout(60):
                changes = [change async for change in sink.changes(since - OVERLAP)]
            await self.take(name, changes)
        except (PluginError, TimeoutError) as why:
            failures = self._failed.get(name, 0)
            if not failures:
                log.warning("sink %s: cannot ask what people did: %s", name, why or "no answer within 60 s")
            self._failed[name] = failures + 1
            asked_to_wait = (why.after or 0.0) if isinstance(why, Retryable) else 0.0
            backoff = min(sink.poll_every * 2.0**failures, max(LONGEST_WAIT, sink.poll_every))
            self._next[name] = now + max(asked_to_wait, backoff)
        except Exception:
            log.exception("sink %s: cannot take up what people did", name)
        else:
            self._failed.pop(name, None)
            self._since[name] = now

    async def _one(self, name: str, change: SinkChange) -> bool:
        known = await self._db.read(inbox.known, name, change.ref)
        if known is None or change.id[: inbox.LONGEST_ID] in known.heard:
            return False
        message = _message(known.problem_id, name, change)
        if message is None:
            log.warning("sink %s: nothing is known to do when a ticket is %r", name, change.kind)
            return False
        await self.recall(known.problem_id)
        await self._say(message)
        # the pipeline's next turn comes after the message's: what it caused is committed
        await self._call(lambda _state: None)
        await self._db.run(inbox.note, known.problem_id, name, change, self._clock.now())
        log.info("%s %s: %s by %s", name, change.ref, change.kind, change.by)
        return True

    async def recall(self, problem_id: int) -> None:
        """A problem may be spoken of long after it was over and forgotten."""
        found: Any = await self._call(lambda state: state.problems.find(problem_id))
        if found is None and (stored := await self._db.read(_stored, problem_id)):
            problem, told = stored
            await self._call(lambda state: _take_up(state, problem, told))


def _stored(conn: Connection, problem_id: int) -> tuple[Problem, dict[str, Told]] | None:
    problem = problem_rows.load(conn, problem_id)
    return (problem, tell.recall(conn, [problem])) if problem else None


def _take_up(state: State, problem: Problem, told: dict[str, Told]) -> None:
    state.problems.recall(problem)
    state.told |= told


def _message(problem_id: int, sink: str, change: SinkChange) -> say.Message | None:
    by = f"{change.by or 'somebody'} in {sink}"
    match change.kind:
        case "closed":
            return say.Resolve(problem_id, by, f"closed by {by}: {change.text}" if change.text else "")
        case "reopened":
            return say.Reopen(problem_id, by, f"opened again by {by}: {change.text}" if change.text else "")
        case "commented":
            return say.Heard(problem_id, by, change.text) if change.text else None
        case "assigned":
            return say.Assign(problem_id, by, change.text, heard=True)
    return None
