"""Pushed frames of one time that wait in the pipeline's queue, as one: for one step instead of many."""

import asyncio
from typing import Any, TypeAlias, cast

from aiops.engine.items import Item, Kept
from aiops.engine.state import State
from aiops.model.frame import Frame, beside

Queue: TypeAlias = "asyncio.Queue[Item]"

GATHERED, TURNS = 16, 3
"""Frames that one step waits for, as long as every so many turns of the event loop bring one: to read it, to
answer it, and to read its sender's next. A step costs as much as the scores of 10,000 samples."""

WAIT: Any = object()
"""Nothing has been taken out of the queue yet."""


class Joining:
    """Takes frames together that are in `queue`, and those on their way while senders push side by side."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._many = False
        """Whether several came together the last time: one that comes alone waits for no other."""

    async def joined(self, item: Item, state: State) -> tuple[Item, Item]:
        """What is next, with what joins it; and what of the queue comes after, or `WAIT`.

        A receiver gives a slot once at a time, so frames of one time have no slot in common.
        """
        if not _joins(item, state):
            return item, WAIT
        await self._more()
        source, frame = _parts(item)
        frames, after = [frame], WAIT
        while after is WAIT and not self._queue.empty():
            after = self._queue.get_nowait()
            if _pushed(after) and _alike(_parts(after), source, frame):
                frames.append(_parts(after)[1])
                item, after = after, WAIT
        self._many = len(frames) > 1
        frames.sort(key=lambda one: one.slots[:1].tolist())  # a run of slots is found as a slice
        whole = beside(frames)
        return (Kept(source, whole, item.place) if isinstance(item, Kept) else (source, whole)), after

    async def _more(self) -> None:
        had = self._queue.qsize()
        while had < GATHERED and (had or self._many):
            for _ in range(TURNS):
                await asyncio.sleep(0)
            had, before = self._queue.qsize(), had
            if had == before:
                return


def _joins(item: Item, state: State) -> bool:
    """Whether others may join it: it is of one time, was pushed, and is to be acted on."""
    match item:
        case (source, Frame(times=times)):
            return source in state.pushed and len(times) == 1
        case Kept(_, Frame(times=times), place):
            return len(times) == 1 and place > state.acted_before
    return False


def _pushed(item: Item) -> bool:
    match item:
        case (_, Frame()) | Kept(_, Frame()):
            return True
    return False


def _alike(other: tuple[str, Frame], source: str, frame: Frame) -> bool:
    of, its = other
    return of == source and len(its.times) == 1 and bool(its.times[0] == frame.times[0])


def _parts(item: Item) -> tuple[str, Frame]:
    known = cast(Any, item)
    return (known.source, known.batch) if isinstance(item, Kept) else (known[0], known[1])
