"""Finding series: by selector, by words, or by the fingerprint that stands in links."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from aiops.model.selector import Selector
from aiops.model.series import Labels, fingerprint, text_of
from aiops.web.ports import Engine

AT_ONCE = 2000
"""Label sets that are hashed between two looks at what else is to be done: 10 ms."""


@dataclass(frozen=True, slots=True)
class Found:
    """One series of the index; ``last_seen`` epoch s, NaN when never."""

    slot: int
    id: str
    labels: Labels
    text: str
    ready: bool
    last_seen: float


class Finder:
    """Searches the engine's index; remembers which label set a fingerprint stands for.

    A fingerprint is one-way, and hashing 200,000 label sets takes a second: once is enough. So it is with
    the texts that words are looked for in: each is written once for every series that a slot has.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._labels: dict[str, Labels] = {}
        self._texts: list[str] = []
        self._generations = np.zeros(0, np.int64)
        """Slot -> its text in lower case, and the generation of that; -1: none."""
        self._written = np.zeros(0, np.int32)
        self._whole = ""
        """The texts of `_written`, the slots that there were, a line each, which begin at `_begins`."""
        self._begins = np.zeros(0, np.int64)
        self._hashed = np.zeros(0, np.int64)
        """Slot -> the generation of which the fingerprint is known; -1: none."""

    def search(self, query: str, after: int, limit: int) -> tuple[list[Found], int | None]:
        """Up to `limit` series from slot `after` on, and the slot to go on from (None at the end).

        A query with ``{`` is a selector; any other is words that must all occur. Raises `SelectorError`.
        """
        index = self._engine.index
        words = [] if "{" in query else query.lower().split()
        slots = index.select(Selector.parse(query)) if "{" in query else index.live()
        found_in = self._with_words(slots, words, after) if words else iter(slots[slots >= after].tolist())
        # one more than asked for: it is where the next page begins
        hits = list(islice(found_in, limit + 1))
        ready = self._engine.ready_slots()
        found = [self._at(slot, bool(ready[slot]) if slot < len(ready) else False) for slot in hits[:limit]]
        return found, hits[limit] if len(hits) > limit else None

    def _with_words(self, slots: NDArray[np.int32], words: list[str], after: int) -> Iterator[int]:
        """Those from slot `after` on whose texts hold all words; the rarest is looked for in all at once."""
        self._write(slots)
        rarest = min(words, key=self._whole.count)
        at = int(np.searchsorted(slots, after))
        while at < len(slots):
            place = self._whole.find(rarest, int(self._begins[at]))
            if place < 0:
                return
            at = int(np.searchsorted(self._begins, place, "right")) - 1
            text = self._texts[slots[at]]
            if all(word in text for word in words):
                yield int(slots[at])
            at += 1

    def _write(self, slots: NDArray[np.int32]) -> None:
        """Bring the texts up to the series that there are."""
        index = self._engine.index
        generations = index.generations(slots).astype(np.int64)
        if np.array_equal(slots, self._written) and np.array_equal(self._generations[slots], generations):
            return
        if len(slots) and slots[-1] >= len(self._texts):
            more = int(slots[-1]) + 1 - len(self._texts)
            self._texts += [""] * more
            self._generations = np.concatenate([self._generations, np.full(more, -1, np.int64)])
        for slot in slots[self._generations[slots] != generations].tolist():
            self._texts[slot] = text_of(index.labels(slot)).lower()
        self._generations[slots] = generations
        texts = [self._texts[slot] for slot in slots.tolist()]
        self._written, self._whole = slots, "\n".join(texts)
        self._begins = np.cumsum([0, *(len(text) + 1 for text in texts[:-1])])

    def _at(self, slot: int, ready: bool) -> Found:
        labels = self._engine.index.labels(slot)
        return self._found(slot, labels, text_of(labels), ready)

    async def get(self, ident: str) -> Found | None:
        """The series that the fingerprint names, while it is watched."""
        index = self._engine.index
        if ident not in self._labels:
            await self._learn()
        labels = self._labels.get(ident)
        slot = index.find(labels) if labels is not None else None
        if labels is None or slot is None:
            return None
        ready = self._engine.ready_slots()
        return self._found(slot, labels, text_of(labels), bool(ready[slot]) if slot < len(ready) else False)

    async def _learn(self) -> None:
        """Hash what is in slots that were taken since, a few at a time: 200,000 would hold all others up."""
        index = self._engine.index
        slots = index.live()
        if len(self._labels) > 2 * len(slots) + AT_ONCE:
            # most of them are of series that are long gone
            self._labels, self._hashed = {}, np.zeros(0, np.int64)
        if len(slots) and slots[-1] >= len(self._hashed):
            more = np.full(int(slots[-1]) + 1 - len(self._hashed), -1, np.int64)
            self._hashed = np.concatenate([self._hashed, more])
        new = slots[self._hashed[slots] != index.generations(slots)]
        for start in range(0, len(new), AT_ONCE):
            part = np.intersect1d(new[start : start + AT_ONCE], index.live(), assume_unique=True)
            for slot, generation in zip(part.tolist(), index.generations(part).tolist(), strict=True):
                labels = index.labels(slot)
                self._labels[fingerprint(labels)] = labels
                self._hashed[slot] = generation
            await asyncio.sleep(0)

    def _found(self, slot: int, labels: Labels, text: str, ready: bool) -> Found:
        ident = fingerprint(labels)
        self._labels[ident] = labels
        last = self._engine.index.last_seen(slot) or float("nan")
        return Found(slot, ident, labels, text, ready, last)


@dataclass(frozen=True, slots=True)
class Watch:
    """What is watched, and how ready it is."""

    series: int
    ready: int
    sources: int


def watch(engine: Engine) -> Watch:
    """Counts over the whole index."""
    flags = engine.ready_slots()
    slots = engine.index.live()
    slots = slots[slots < len(flags)]
    return Watch(len(engine.index), int(flags[slots].sum()), len(engine.sources()))
