"""`Detection` whose series are in shards: the same answers, wherever they are."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiops.core.detect import Detection
from aiops.core.heads import Scored, nothing_said, unsaid
from aiops.core.shard import Answer, Borrow, Cover, Learn, Step, Welcome
from aiops.core.stripes import Part, Stripes
from aiops.engine.scale.group import made_of
from aiops.engine.scale.rejoin import Rejoin
from aiops.engine.scale.runner import Runner
from aiops.engine.scale.signals import keep_signals
from aiops.model.frame import Frame
from aiops.model.series import SeriesIndex
from aiops.plugin import Detector

log = logging.getLogger("aiops.scale")

MOST_UNSAVED = 256 << 20
"""Bytes of the replay buffer after which the shards are saved before their time."""


class ShardedDetection(Detection):
    """Detectors that judge each series by itself are in shards; others, and those near problems, here."""

    parted = True

    def __init__(
        self, detectors: Sequence[Detector], index: SeriesIndex, runner: Runner, rejoin: Rejoin | None = None
    ) -> None:
        """`rejoin`: finds other workers when none is left."""
        self.runner = runner
        self._rejoin = rejoin
        self.stripes = Stripes(runner.shards)
        self.away = runner.mortal
        self._parts: tuple[NDArray[np.int32], list[Part]] = np.zeros(0, np.int32), []
        self._settle(detectors, index)

    def _settle(self, detectors: Sequence[Detector], index: SeriesIndex) -> None:
        self.all = list(detectors)
        self.index = index
        self.detectors = self.all
        self._there = parted(self.all)
        self._here = [place for place in range(len(self.all)) if place not in self._there]
        for place in self._there:
            self.all[place].columns.drop()
        self._stay = Detection([self.all[place] for place in self._here], index)

    def here(self) -> Iterable[tuple[int, Detector]]:
        return zip(self._here, self._stay.detectors, strict=True)

    def welcome(self, fresh: NDArray[np.int32]) -> None:
        if self._here:
            self._stay.welcome(fresh)
        if not len(fresh):
            return
        covers = self.covers_of(fresh)
        for part in self.stripes.parts(fresh):
            self.runner.order(part.shard, Welcome(part.slots, part.take(covers)))

    def covers_of(self, slots: NDArray[np.int32]) -> NDArray[np.bool_]:
        """``[detector, S]``: which of the detectors in shards look at `slots`."""
        covers = np.ones((len(self._there), len(slots)), np.bool_)
        for row, place in enumerate(self._there):
            match = self.all[place].match
            if match.matchers:
                covers[row] = self.index.matches(slots, match)
        return covers

    def warm(self, frame: Frame) -> None:
        if self._here:
            self._stay.warm(frame)
        for part in self._parts_of(frame.slots):
            self.runner.order(part.shard, Learn(frame.times, part.slots, part.take(frame.values)))
        self.runner.flush()
        self._save_if_due()

    def step(self, row: Frame, hold: NDArray[np.bool_]) -> Scored:
        return self.completed(self.elsewhere(row, hold), row, hold)

    def completed(self, said: Scored, row: Frame, hold: NDArray[np.bool_]) -> Scored:
        if self._here:
            self._keep_best(said, self._stay.step(row, hold))
        return said

    def elsewhere(self, row: Frame, hold: NDArray[np.bool_]) -> Scored:
        parts, time = self._parts_of(row.slots), float(row.times[0])
        held = hold[row.slots] if hold.any() else None
        orders = []
        for part in parts:
            own = part.take(held) if held is not None else None
            orders.append((part.shard, Step(time, part.slots, part.take(row.values[0]), own)))
        answers = self.runner.run(orders)
        said = unsaid(row) if parts else nothing_said(row)
        for part in parts:
            self._write(said, part, answers[part.shard])
        self._save_if_due()
        return said

    def promote(self, slots: NDArray[np.int32], past: Callable[[int], Frame]) -> None:
        self._stay.promote(slots, past)

    def borrow(self, slot: int, siblings: NDArray[np.int32]) -> bool:
        took = bool(self._here) and self._stay.borrow(slot, siblings)
        if not self._there or not len(siblings):
            return took
        known = [self._lifted(int(one)) for one in siblings]
        shard = self.stripes.shard(slot)
        answers = self.runner.run([(shard, Borrow(self.stripes.local(slot), known))])
        return answers[shard].took or took

    def ready(self) -> NDArray[np.bool_]:
        ready = np.zeros(self.index.capacity, bool)
        for shard, known in enumerate(self.runner.ready):
            local = np.flatnonzero(known).astype(np.int32)
            slots = self.stripes.whole(shard, local)
            ready[slots[slots < len(ready)]] = True
        if self._here:
            ready |= self._stay.ready()
        return ready

    def explain(self, slot: int) -> str:
        said = self.runner.ask(self.stripes.shard(slot), "explain", self.stripes.local(slot))
        return " ".join(filter(None, (said, self._stay.explain(slot))))

    def explained_by(self, place: int, slot: int) -> str:
        if place in self._here:
            return self.all[place].explain(slot)
        where = self._there.index(place), self.stripes.local(slot)
        return str(self.runner.ask(self.stripes.shard(slot), "explained_by", *where))

    def quiet_at(
        self, slot: int, row: Scored, place: int, inside: float, outside: float, bar: float
    ) -> float:
        if place in self._here:
            return self._stay.quiet_at(slot, row, self._here.index(place), inside, outside, bar)
        args = self._there.index(place), self.stripes.local(slot), row.time, inside, outside, bar
        return float(self.runner.ask(self.stripes.shard(slot), "quiet_at", *args))

    def covers(self, place: int) -> NDArray[np.bool_]:
        """Of one that is here."""
        return self._stay.covers(self._here.index(place))

    def remade(self, new: Detection) -> Detection:
        """This one; in shards those detectors go on that have not changed."""
        self._settle(new.detectors, new.index)
        self.runner.remake(made_of([self.all[place] for place in self._there]))
        live = self.index.live()
        covers = self.covers_of(live)
        for part in self.stripes.parts(live) if self._there else []:
            self.runner.order(part.shard, Cover(part.slots, part.take(covers)))
        self.runner.flush()
        return self

    def dumps(self) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        yield from self.runner.dumps()
        if self._rejoin and self.runner.alone and (workers := self._rejoin.found()):
            log.info("there is a cluster again: series are scored on its %d workers", len(workers))
            self.runner.rebalance(workers)
            self.away = self.runner.mortal
            keep_signals()

    def close(self) -> None:
        self.runner.close()

    def _lifted(self, slot: int) -> list[dict[str, NDArray[Any]]]:
        """What is known of one series, by each detector."""
        local = np.array([self.stripes.local(slot)], np.int32)
        return list(self.runner.ask(self.stripes.shard(slot), "lift", local))

    def _parts_of(self, slots: NDArray[np.int32]) -> list[Part]:
        """Most frames have the slots of the one before."""
        known, parts = self._parts
        if known is not slots and not np.array_equal(known, slots):
            parts = self.stripes.parts(slots) if self._there else []
            self._parts = slots.copy(), parts
        return parts

    def _save_if_due(self) -> None:
        if self.runner.unsaved > MOST_UNSAVED:
            self.runner.save()

    def _write(self, said: Scored, part: Part, answer: Answer) -> None:
        for name in ("score", "expected", "lower", "upper"):
            part.give(getattr(said, name), getattr(answer, name))
        by = np.asarray(answer.by)
        places = np.array([*self._there, -1], np.int8)
        part.give(said.by, places[by])

    def _keep_best(self, said: Scored, other: Scored) -> None:
        """Of two who speak for a series the more surprised, or the first in the configuration."""
        by = np.array([*self._here, -1], np.int8)[other.by]
        first = (other.score == said.score) & (by < said.by)
        wins = (by >= 0) & ((said.by < 0) | (other.score > said.score) | first)
        for name in ("score", "expected", "lower", "upper"):
            getattr(said, name)[wins] = getattr(other, name)[wins]
        said.by[wins] = by[wins]


def parted(detectors: Sequence[Detector]) -> list[int]:
    """The places of those that shards may part."""
    return [place for place, one in enumerate(detectors) if one.apart and not one.near_problems]
