"""What a worker does, wherever it lives: it owns some shards, and obeys orders about them."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from aiops.core.shard import Answer, Gap, Order, Shard
from aiops.plugin import Detector
from aiops.plugin.load import load

Made: TypeAlias = Sequence[Mapping[str, Any]]
"""Detectors as they are written in a configuration: kind and keys."""


@dataclass(frozen=True, slots=True)
class Told:
    """Order `tick` of `shard`, from whoever owns it by `epoch`."""

    shard: int
    epoch: int
    tick: int
    order: Order


@dataclass(frozen=True, slots=True)
class Question:
    """Something about one shard that changes nothing: a method of `Shard` and its arguments."""

    shard: int
    epoch: int
    what: str
    args: tuple[Any, ...] = ()


class Group:
    """Shards by number. Raises `Gap` for a shard that it does not own, or no longer does by that epoch."""

    def __init__(self, made: Made) -> None:
        self._made = list(made)
        self._shards: dict[int, tuple[int, Shard]] = {}

    @property
    def owned(self) -> list[int]:
        """The numbers of its shards."""
        return sorted(self._shards)

    def pid(self) -> int:
        return os.getpid()

    def compile(self) -> None:
        """Everything that detectors compile when they are first used."""
        from aiops.engine.warm import use

        for detector in build(self._made):
            use(detector)

    def take(self, number: int, epoch: int, made: Made, blob: NDArray[np.uint8] | None) -> int:
        """Own shard `number` as it was dumped, else as new; the last order that it has obeyed. ValueError.

        `made`: what its detectors are made of by now; a process that begins anew knows what they once were.
        """
        found = build(made)
        shard = Shard(found) if blob is None else Shard.load(found, blob)
        self._shards[number] = epoch, shard
        return shard.tick

    def obey(self, told: Sequence[Told]) -> list[Answer | None]:
        """In their order."""
        return [self._shard(one.shard, one.epoch).obey(one.tick, one.order) for one in told]

    def ask(self, asked: Question) -> Any:
        shard = self._shard(asked.shard, asked.epoch)
        return getattr(shard, asked.what)(*asked.args)

    def drop(self, number: int) -> None:
        self._shards.pop(number, None)

    def remake(self, made: Made) -> None:
        """Other settings: detectors that have changed begin anew, the others go on."""
        for number, (epoch, shard) in self._shards.items():
            self._shards[number] = epoch, Shard.load(build(made), shard.dump())

    def _shard(self, number: int, epoch: int) -> Shard:
        own, shard = self._shards.get(number, (0, None))
        if shard is None or own != epoch:
            raise Gap(f"shard {number} of epoch {epoch} is not here")
        return shard


def build(made: Made) -> list[Detector]:
    """Detectors with nothing learnt."""
    found = []
    for block in made:
        kind = load("detectors", str(block["kind"]), Detector)  # type: ignore[type-abstract]
        found.append(kind.model_validate({key: value for key, value in block.items() if key != "kind"}))
    return found


def made_of(detectors: Sequence[Detector]) -> list[dict[str, Any]]:
    """What `build` makes the same detectors of."""
    return [{"kind": one.kind} | one.model_dump(mode="json") for one in detectors]
