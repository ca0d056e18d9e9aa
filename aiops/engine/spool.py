"""What senders pushed is stored before they hear that it was taken, until a checkpoint covers it.

An engine that leads may die at any moment, and with it what waits in its pipeline and what was learnt since
the last checkpoint. Whoever leads next takes the entries of the spool in again, by the same decoders and in
the same order; of what was acted on already it only learns.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from sqlalchemy.engine import Connection

from aiops.engine.items import Kept
from aiops.engine.pipeline import Pipeline
from aiops.engine.spans import Span, current
from aiops.engine.tenure import AWAY, first_line
from aiops.plugin.connector import Batch
from aiops.store import spool as rows
from aiops.store.checkpoints import KEEP
from aiops.store.database import Database
from aiops.store.leaders import Deposed
from aiops.store.spool import Entry

log = logging.getLogger("aiops.receive")

P = ParamSpec("P")
T = TypeVar("T")

AGAIN = 0.2
"""Seconds between the tries to write while the store is away."""
AT_ONCE = 64
"""Entries of one transaction, and those that may wait for one."""
LOOK = 1.0
"""Seconds between two looks whether a checkpoint was written."""


class Shelf(Protocol):
    """Where entries lie."""

    async def append(self, entries: Sequence[Entry]) -> None:
        """Durable once it returns. Raises one of `AWAY`, or `Deposed`."""

    async def sizes(self) -> list[tuple[int, int]]:
        """(number, bytes) of all, the oldest first."""
        ...

    def entries(self) -> AsyncIterator[Entry]:
        """All, the oldest first."""
        ...

    async def drop(self, number: int) -> None:
        """Those up to `number`."""


class StoreShelf:
    """On the store that several engines share. `fence` raises `Deposed` when another engine leads."""

    def __init__(self, db: Database, fence: Callable[[Connection], None]) -> None:
        self._db, self._fence = db, fence

    async def append(self, entries: Sequence[Entry]) -> None:
        def work() -> None:  # not on the writer's thread: a step of the pipeline would wait for bodies
            with self._db.begin() as conn:
                self._fence(conn)
                rows.append(conn, entries)

        await asyncio.to_thread(work)

    async def sizes(self) -> list[tuple[int, int]]:
        return await self._read(rows.sizes)

    async def entries(self) -> AsyncIterator[Entry]:
        last = -1
        while some := await self._read(rows.some_after, last):
            for one in some:
                yield one
            last = some[-1].number

    async def _read(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Tried until the store is there."""
        while True:
            try:
                return await self._db.read(work, *args, **kwargs)
            except AWAY as why:
                log.warning("the spool cannot be read, trying again: %s", first_line(why))
            await asyncio.sleep(AGAIN)

    async def drop(self, number: int) -> None:
        await self._db.run(rows.drop, number)


class Saved(Protocol):
    """What is needed of the checkpointer."""

    facts: dict[str, Any]
    """Of the last checkpoint that was written."""
    soon: asyncio.Event


@dataclass(slots=True)
class _Waiting:
    entry: Entry
    batches: list[Batch]
    span: Span | None = field(default_factory=current)
    """What is told of the request."""
    done: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Spool:
    """Between the receivers and the pipeline of an engine that leads. `most`: bytes kept, at most.

    `run` until cancelled, after `replay`. Entries become durable first, and are then handed to the pipeline,
    in the order of their numbers.
    """

    def __init__(self, shelf: Shelf, pipeline: Pipeline, most: int) -> None:
        self._shelf, self._pipeline, self._most = shelf, pipeline, most
        self._last = 0
        self._kept: deque[tuple[int, int]] = deque()
        self.bytes = 0
        """Of the bodies that are kept."""
        self._waiting: deque[_Waiting] = deque()
        self._wake, self._calm = asyncio.Event(), asyncio.Event()
        self._calm.set()
        self._refused: Deposed | None = None

    @property
    def full(self) -> bool:
        """Whether senders have to wait for a checkpoint, or for the store."""
        return self.bytes >= self._most or len(self._waiting) >= AT_ONCE

    def put(self, entry: Entry, batches: list[Batch]) -> asyncio.Future[None]:
        """Done once `entry` is durable and its batches are with the pipeline; it gets its number here.

        Raises `Deposed` then or now.
        """
        if self._refused:
            raise self._refused
        self._last += 1
        waiting = _Waiting(replace(entry, number=self._last), batches)
        self.bytes += len(entry.body)
        self._kept.append((self._last, len(entry.body)))
        self._waiting.append(waiting)
        self._calm.clear()
        self._wake.set()
        return waiting.done

    async def run(self) -> None:
        """For ever. Raises `Deposed`, as the futures of all that wait do."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                some = [self._waiting[k] for k in range(min(AT_ONCE, len(self._waiting)))]
                await self._store([one.entry for one in some])
                for one in some:
                    with self._pipeline.spans.part_of(one.span):
                        await self._hand_over(one.entry, one.batches)
                    self._waiting.popleft()
                    if not one.done.done():
                        one.done.set_result(None)
            self._calm.set()

    async def drained(self, within: float) -> None:
        """Wait until nothing waits, at most so many seconds."""
        try:
            await asyncio.wait_for(self._calm.wait(), within)
        except TimeoutError:
            log.warning("%d requests were not stored and not answered", len(self._waiting))

    async def follow(self, saved: Saved, first: int) -> None:
        """For ever: let go what every checkpoint that is kept covers, and ask for one when there is much.

        `first`: the last entry that the checkpoint covers which was taken up.
        """
        covered, facts = deque([first], maxlen=KEEP), saved.facts
        while True:
            await asyncio.sleep(LOOK)
            if saved.facts is not facts:
                facts = saved.facts
                covered.append(int(facts.get("spooled", 0)))
                await self._let_go(covered[0])
            if self.bytes > self._most / 2:
                saved.soon.set()

    async def replay(self, again: Callable[[Entry], Awaitable[list[Batch]]], covered: int) -> int:
        """Take in what is after entry `covered`; the ones before warm the decoders. Returns how many."""
        self._kept = deque(await self._shelf.sizes())
        self.bytes = sum(size for _, size in self._kept)
        last, taken = max(covered, int(self._pipeline.state.acted_before)), 0
        async for entry in self._shelf.entries():
            batches = await again(entry)
            if entry.number > covered:
                await self._hand_over(entry, batches)
                taken += 1
            last = max(last, entry.number)
            await asyncio.sleep(0)  # a hundred of them are seconds, in which callers ask for other things
        self._last = last + 1  # its effects may be stored of an entry that was not
        return taken

    async def _hand_over(self, entry: Entry, batches: list[Batch]) -> None:
        of = len(batches)
        for at, batch in enumerate(batches, 1):
            await self._pipeline.put(Kept(entry.source, batch, entry.number - 1 + at / of))

    async def _store(self, entries: list[Entry]) -> None:
        said = False
        while True:
            try:
                return await self._shelf.append(entries)
            except AWAY as why:
                if not said:
                    log.error("what is pushed cannot be stored, trying again: %s", first_line(why))
                said = True
            except Deposed as why:
                self._refused = why
                for one in self._waiting:
                    if not one.done.done():
                        one.done.set_exception(why)
                        one.done.exception()  # whoever asked may have gone
                raise
            await asyncio.sleep(AGAIN)

    async def _let_go(self, number: int) -> None:
        try:
            await self._shelf.drop(number)
        except AWAY as why:
            log.warning("old entries of the spool stay for now: %s", first_line(why))
            return
        while self._kept and self._kept[0][0] <= number:
            self.bytes -= self._kept.popleft()[1]
