"""What happens, as it happens: one look at the audit trail for everybody who listens."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from aiops.store import trail
from aiops.web.ports import Engine

log = logging.getLogger("aiops.web")

LOOK = 0.2
"""Seconds between two looks while somebody listens."""
ALIVE = 15.0
"""Seconds after which a quiet stream says that it lives: proxies cut one that is silent for a minute."""
SLACK = 100
"""Rows looked at again: of two transactions the later number may be committed first."""
PATIENCE = 0.5
"""Seconds for which a number that is left out is waited for before those behind it are given: who comes back
with the last number that he heard is not to miss a lower one. On SQLite none is ever left out."""
MOST = 10_000
"""Rows that are read at once."""
BEHIND = 600
"""Looks that found something (two minutes of them at least) by which a listener may lag."""
LIFE = 1800.0
"""Seconds that a stream lasts: who comes back shows again that he may listen, and misses nothing."""

Row = Mapping[str, Any]


class Events:
    """The streams of one app."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._listeners: set[asyncio.Queue[Batch]] = set()
        self._task: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._seen = set[int]()
        self._mark = 0
        """The highest number that was given."""
        self._gaps: dict[int, float] = {}
        """Number that is left out -> when that was seen first."""

    async def listen(
        self, after: int | None, entity: str = "", teams: frozenset[str] = frozenset()
    ) -> AsyncIterator[str]:
        """Server-sent events: those after the id `after`, then what comes, without a gap, for `LIFE`.

        A listener that is too slow is let go; it comes back with its `Last-Event-ID` and misses nothing.
        """
        queue: asyncio.Queue[Batch] = asyncio.Queue(BEHIND)
        until = asyncio.get_running_loop().time() + LIFE
        try:
            mark = await self._join(queue)
            yield "retry: 2000\n\n"
            # a number that was never given is another store's
            last = mark if after is None or after > await self._engine.db.read(trail.newest) else after
            # only where the engine he heard before was ahead of us: what comes late has a lower number too
            known = last if last > mark else 0
            while last < mark:
                rows = await self._engine.db.read(trail.after, last, MOST)
                missed = Batch([as_event(row) for row in rows if row["id"] <= mark])
                last = rows[-1]["id"] if rows else mark
                if text := missed.text(entity, known, teams):
                    yield text
            while not queue.full() and asyncio.get_running_loop().time() < until:
                try:
                    batch = await asyncio.wait_for(queue.get(), ALIVE)
                except TimeoutError:
                    yield ": alive\n\n"
                    continue
                if text := batch.text(entity, known, teams):
                    yield text
        finally:
            self._listeners.discard(queue)
            if not self._listeners and self._task is not None:
                self._task.cancel()
                self._task = None

    async def _join(self, queue: "asyncio.Queue[Batch]") -> int:
        """Everything after the number given back comes into `queue`."""
        async with self._starting:
            if self._task is None or self._task.done():
                newest = await self._engine.db.read(trail.newest)
                rows = await self._engine.db.read(trail.after, newest - SLACK, MOST)
                self._seen = {row["id"] for row in rows if row["id"] <= newest}
                self._mark, self._gaps = newest, {}
                self._task = asyncio.create_task(self._tail(), name="events")
            self._listeners.add(queue)
            return self._mark

    async def _tail(self) -> None:
        while True:
            try:
                rows = await self._engine.db.read(trail.after, self._mark - SLACK, MOST)
            except (SQLAlchemyError, OSError) as why:
                log.warning("events wait for the store: %s", why)
                rows = []
            new = self._ripe([row for row in rows if row["id"] not in self._seen])
            if new:
                self._seen |= {row["id"] for row in new}
                self._mark = max(self._mark, new[-1]["id"])
                self._seen = {ident for ident in self._seen if ident > self._mark - 2 * SLACK}
                self._give(Batch([as_event(row) for row in new]))
            await asyncio.sleep(LOOK)

    def _ripe(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Those of the rows before which no number is left out, or for long enough."""
        now, wanted = asyncio.get_running_loop().time(), self._mark + 1
        self._gaps = {ident: since for ident, since in self._gaps.items() if ident >= wanted}
        for place, row in enumerate(rows):
            if row["id"] > wanted and now - self._gaps.setdefault(wanted, now) < PATIENCE:
                return rows[:place]
            wanted = max(wanted, row["id"] + 1)
        return rows

    def _give(self, batch: "Batch") -> None:
        for queue in self._listeners:
            with contextlib.suppress(asyncio.QueueFull):
                queue.put_nowait(batch)


@dataclass(frozen=True, slots=True)
class Event:
    """What is sent, written out once for all listeners."""

    id: int
    entity: str
    text: str
    team: str = ""


class Batch:
    """What one look found; written out once for all who listen for the same."""

    def __init__(self, events: list[Event]) -> None:
        self._events = events
        self._texts: dict[tuple[str, frozenset[str]], str] = {}

    def text(self, entity: str, after: int, teams: frozenset[str] = frozenset()) -> str:
        """Those of `entity` (empty: all), of `teams` (empty: all), with an id above `after`; may be empty."""
        if self._events and min(one.id for one in self._events) > after:
            if (entity, teams) not in self._texts:
                self._texts[entity, teams] = self._joined(entity, after, teams)
            return self._texts[entity, teams]
        return self._joined(entity, after, teams)

    def _joined(self, entity: str, after: int, teams: frozenset[str]) -> str:
        return "".join(
            one.text
            for one in self._events
            if one.id > after and (not entity or one.entity == entity) and (not teams or one.team in teams)
        )


def as_event(row: Row) -> Event:
    """Its id is the audit row's, its name the entity, its data JSON."""
    data = {
        "at": datetime.fromtimestamp(row["at"], UTC).isoformat().replace("+00:00", "Z"),
        "entity": row["entity"],
        "entity_id": row["entity_id"],
        "problem_id": row["problem_id"],
        "from_state": row["from_state"],
        "to_state": row["to_state"],
        "actor": row["actor"],
        "reason": row["reason"],
    }
    said = json.dumps(data, ensure_ascii=False)
    text = f"id: {row['id']}\nevent: {row['entity']}\ndata: {said}\n\n"
    return Event(row["id"], row["entity"], text, row["team"])
