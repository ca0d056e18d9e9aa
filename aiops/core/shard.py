"""A part of all series with its detectors and, inside its state, the number of the last order that it obeyed.

Whoever can repeat orders in their sequence, and keep a blob, has each of them obeyed exactly once: one that
was obeyed is passed over, and one before which others are missing is refused.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from aiops.core import shard_blob
from aiops.core.heads import Heads
from aiops.core.quiet import quiet_at
from aiops.model.frame import Frame
from aiops.plugin import Detector

Slots: TypeAlias = NDArray[np.int32]


class Gap(Exception):
    """Orders are missing between what a shard has obeyed and what it is told."""


@dataclass(frozen=True, slots=True)
class Step:
    """Score one row, and learn it but for what is held; ``values[S]``, ``hold[S]`` (None: nothing)."""

    time: float
    slots: Slots
    values: NDArray[np.float64]
    hold: NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True)
class Learn:
    """Learn ``values[T, S]``, scoring nothing."""

    times: NDArray[np.float64]
    slots: Slots
    values: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Welcome:
    """`slots` are of new series; ``covers[detector, S]``: who looks at them."""

    slots: Slots
    covers: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Cover:
    """Who looks at `slots` from now on, as in `Welcome`; nothing is forgotten."""

    slots: Slots
    covers: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Borrow:
    """`slot` is new, and much like others; ``known[sibling][detector]`` is what was lifted of each."""

    slot: int
    known: Sequence[Sequence[Mapping[str, NDArray[Any]]]]


Order: TypeAlias = Step | Learn | Welcome | Cover | Borrow


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of order `tick`. Of a step all that `Scored` has; ``ready``: all rows, if changed."""

    tick: int
    score: NDArray[Any] | None = None
    expected: NDArray[np.float64] | None = None
    lower: NDArray[np.float64] | None = None
    upper: NDArray[np.float64] | None = None
    by: NDArray[np.int8] | None = None
    took: bool = False
    ready: NDArray[np.bool_] | None = None


class Shard:
    """`obey` orders 1, 2, 3 and so on. `dump` is all of it, which `load` takes up."""

    def __init__(self, detectors: Sequence[Detector]) -> None:
        self.tick = 0
        self._heads = Heads(detectors)
        self._last: Answer | None = None
        self._ready: NDArray[np.bool_] | None = None
        self._settled = False
        """Whether all are ready that anybody looks at, and stay so until there are others."""

    @property
    def detectors(self) -> list[Detector]:
        return self._heads.detectors

    def obey(self, tick: int, order: Order) -> Answer | None:
        """None when `tick` was obeyed long ago; of the last one the same answer again. Raises `Gap`."""
        if tick <= self.tick:
            return self._last if self._last is not None and self._last.tick == tick else None
        if tick != self.tick + 1:
            raise Gap(f"a shard has obeyed {self.tick} orders, and is told number {tick}")
        answer = self._obey(tick, order)
        self._settled &= isinstance(order, Step | Learn)
        self.tick = tick
        self._last = replace(answer, ready=self._news_of_ready())
        return self._last

    def _obey(self, tick: int, order: Order) -> Answer:
        match order:
            case Step(time, slots, values, hold):
                row = Frame(np.array([time]), slots, values[None, :])
                said = self._heads.step(row, np.zeros(len(slots), bool) if hold is None else hold)
                return Answer(tick, said.score, said.expected, said.lower, said.upper, said.by)
            case Learn(times, slots, values):
                self._heads.warm(Frame(times, slots, values))
            case Welcome(slots, covers):
                for detector in self.detectors:
                    detector.columns.reset(slots)
                self.cover(slots, covers)
            case Cover(slots, covers):
                self.cover(slots, covers)
            case Borrow(slot, known):
                return Answer(tick, took=self._borrow(slot, known))
        return Answer(tick)

    def cover(self, slots: Slots, covers: NDArray[np.bool_]) -> None:
        """Who looks at `slots`: ``covers[detector, S]``."""
        for place, detector in enumerate(self.detectors):
            detector.columns.ensure(int(slots.max(initial=-1)) + 1)
            self._heads.cover(place, slots, covers[place])

    def _borrow(self, slot: int, known: Sequence[Sequence[Mapping[str, NDArray[Any]]]]) -> bool:
        """In a detector made for it, where the new series and the others sit side by side."""
        took, own = False, np.array([slot], np.int32)
        first, guests = np.zeros(1, np.int32), np.arange(1, len(known) + 1, dtype=np.int32)
        for place, detector in enumerate(self.detectors):
            if not self._heads.covers[place][slot]:
                continue
            aside = type(detector).model_validate(detector.model_dump())
            aside.columns.ensure(len(known) + 1)
            aside.put(first, detector.lift(own))
            for at, one in enumerate(known):
                aside.put(guests[at : at + 1], one[place])
            if aside.borrow(0, guests):
                detector.put(own, aside.lift(first))
                took = True
        return took

    def lift(self, slots: Slots) -> list[dict[str, NDArray[Any]]]:
        """What is known of `slots`, by each detector."""
        return [detector.lift(slots) for detector in self.detectors]

    def covered(self, slots: Slots) -> NDArray[np.bool_]:
        """``[detector, S]``: who looks at `slots`."""
        return np.array([covers[slots] for covers in self._heads.covers], bool)

    def put(self, slots: Slots, known: Sequence[Mapping[str, NDArray[Any]]]) -> None:
        """Know what another shard of the same detectors has lifted."""
        for detector, rows in zip(self.detectors, known, strict=True):
            detector.columns.ensure(int(slots.max(initial=-1)) + 1)
            detector.put(slots, rows)

    def explained_by(self, place: int, slot: int) -> str:
        return self.detectors[place].explain(slot)

    def explain(self, slot: int) -> str:
        return self._heads.explain(slot)

    def quiet_at(self, place: int, slot: int, at: float, inside: float, outside: float, bar: float) -> float:
        return quiet_at(self.detectors[place], slot, at, inside, outside, bar)

    @property
    def nbytes(self) -> int:
        return sum(detector.columns.nbytes for detector in self.detectors)

    def dump(self) -> NDArray[np.uint8]:
        """All of it as bytes, with a sum over them."""
        arrays: dict[str, NDArray[Any]] = {}
        for place, detector in enumerate(self.detectors):
            arrays[f"{place}/covers"] = self._heads.covers[place]
            for name, array in detector.columns.arrays():
                arrays[f"{place}.{name}"] = array
        facts = {"tick": self.tick, "made": [made_of(one) for one in self.detectors]}
        return shard_blob.pack(facts, arrays)

    @classmethod
    def load(cls, detectors: Sequence[Detector], blob: NDArray[np.uint8]) -> "Shard":
        """What was dumped, in detectors that are new; those of other settings begin anew. ValueError."""
        facts, arrays = shard_blob.unpack(blob)
        shard = cls(detectors)
        shard.tick = int(facts["tick"])
        for place, detector in enumerate(shard.detectors):
            if place >= len(facts["made"]):
                continue
            covers = np.array(arrays[f"{place}/covers"], bool)
            if facts["made"][place] == made_of(detector):
                prefix = f"{place}."
                found = {name[len(prefix) :]: a for name, a in arrays.items() if name.startswith(prefix)}
                detector.columns.restore(found)
            detector.columns.ensure(len(covers))
            shard._heads.cover(place, np.arange(len(covers), dtype=np.int32), covers)
        return shard

    def ready(self) -> NDArray[np.bool_]:
        """Per row, whether any detector is ready for it."""
        return self._heads.ready_of(max((one.columns.capacity for one in self.detectors), default=0))

    def _news_of_ready(self) -> NDArray[np.bool_] | None:
        if self._settled:
            return None
        ready = self.ready()
        if self._ready is not None and np.array_equal(ready, self._ready):
            return None
        self._ready = ready
        looked_at = np.zeros(len(ready), bool)
        for covers in self._heads.covers:
            looked_at[: len(covers)] |= covers
        self._settled = np.array_equal(ready, looked_at)
        return ready


def weight_of(order: Order) -> int:
    """Bytes of the arrays of an order."""
    values = (getattr(order, field.name) for field in fields(order))
    return sum(value.nbytes for value in values if isinstance(value, np.ndarray))


def tick_of(blob: NDArray[np.uint8]) -> int:
    """How many orders a dumped shard has obeyed."""
    return int(shard_blob.facts_of(blob)["tick"])


def made_of(detector: Detector) -> str:
    """Changes with whatever makes a state another one's."""
    return f"{detector.kind} {detector.model_dump_json()}"
