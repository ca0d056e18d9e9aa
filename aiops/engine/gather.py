"""Pushed frames of one time that wait in the pipeline's queue, as one: for one step instead of many."""

import asyncio
from typing import Any, TypeAlias, cast

from aiops.engine.items import Item, Kept
from aiops.engine.state import State
from aiops.model.frame import Frame, beside

Queue: TypeAlias = "asyncio.Queue[Item]"

GATHERED, TURNS = 8, 3
"""Frames that one step waits for, as long as every so many turns of the event loop bring one: to read it, to
answer it, and to read its sender's next. A step costs as much as the scores of 10,000 samples."""

WAIT: Any = object()
"""Nothing has been taken out of the queue yet."""


async def joined(item: Item, queue: Queue, state: State) -> tuple[Item, Item]:
    """What is next, with what of the queue joins it; and what comes after, or `WAIT`.

    A receiver gives a slot once at a time, so frames of one time have no slot in common.
    """
    if not _joins(item, state):
        return item, WAIT
    await _more(queue)
    source, frame = _parts(item)
    frames, after = [frame], WAIT
    while after is WAIT and not queue.empty():
        after = queue.get_nowait()
        if _pushed(after) and _alike(_parts(after), source, frame):
            frames.append(_parts(after)[1])
            item, after = after, WAIT
    whole = beside(frames)
    return (Kept(source, whole, item.place) if isinstance(item, Kept) else (source, whole)), after


async def _more(queue: Queue) -> None:
    """While some wait already, let come what is on its way: its senders push side by side."""
    while 0 < (had := queue.qsize()) < GATHERED:
        for _ in range(TURNS):
            await asyncio.sleep(0)
        if queue.qsize() == had:
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
