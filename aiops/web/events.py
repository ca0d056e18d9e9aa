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
MOST = 10_000
"""Events that a listener may lag behind, or ask for again."""

Row = Mapping[str, Any]


class Events:
    """The streams of one app."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._listeners: set[asyncio.Queue[Event]] = set()
        self._task: asyncio.Task[None] | None = None

    async def listen(self, after: int | None, entity: str = "") -> AsyncIterator[str]:
        """Server-sent events: those after the id `after`, then what comes, without a gap; for ever.

        A listener that is too slow is let go; it comes back with its `Last-Event-ID` and misses nothing.
        """
        queue: asyncio.Queue[Event] = asyncio.Queue(MOST)
        newest = await self._engine.db.read(trail.newest)
        self._listeners.add(queue)
        try:
            if self._task is None or self._task.done():
                self._task = asyncio.create_task(self._tail(newest), name="events")
            yield "retry: 2000\n\n"
            start = newest if after is None else after
            given, missed, last = set[int](), list[dict[str, Any]](), start
            while not given or len(missed) == MOST:
                missed = await self._engine.db.read(trail.after, last, MOST)
                last = missed[-1]["id"] if missed else last
                given = {last, *(row["id"] for row in missed)}
                for event in map(as_event, missed):
                    if not entity or event.entity == entity:
                        yield event.text
            while not queue.full():
                try:
                    event = await asyncio.wait_for(queue.get(), ALIVE)
                except TimeoutError:
                    yield ": alive\n\n"
                    continue
                if event.id not in given and event.id > start and (not entity or event.entity == entity):
                    yield event.text
        finally:
            self._listeners.discard(queue)
            if not self._listeners and self._task is not None:
                self._task.cancel()
                self._task = None

    async def _tail(self, newest: int) -> None:
        rows = await self._engine.db.read(trail.after, newest - SLACK, MOST)
        seen = {row["id"] for row in rows if row["id"] <= newest}
        while True:
            try:
                rows = await self._engine.db.read(trail.after, newest - SLACK, MOST)
            except (SQLAlchemyError, OSError) as why:
                log.warning("events wait for the store: %s", why)
                rows = []
            for row in rows:
                if row["id"] not in seen:
                    seen.add(row["id"])
                    newest = max(newest, row["id"])
                    self._give(as_event(row))
            seen = {ident for ident in seen if ident > newest - 2 * SLACK}
            await asyncio.sleep(LOOK)

    def _give(self, event: "Event") -> None:
        for queue in self._listeners:
            with contextlib.suppress(asyncio.QueueFull):
                queue.put_nowait(event)


@dataclass(frozen=True, slots=True)
class Event:
    """What is sent, written out once for all listeners."""

    id: int
    entity: str
    text: str


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
    return Event(row["id"], row["entity"], f"id: {row['id']}\nevent: {row['entity']}\ndata: {said}\n\n")
