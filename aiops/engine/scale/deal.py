"""Shards into other shards, of another number: every row goes where its slot is from now on."""

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aiops.core.detect import Detection
from aiops.core.shard import Shard
from aiops.core.stripes import WIDTH, Stripes
from aiops.engine.scale.detection import parted
from aiops.engine.scale.group import Made, build, made_of
from aiops.model.series import SeriesIndex
from aiops.plugin import Fatal

log = logging.getLogger("aiops.scale")

Blobs = Sequence[NDArray[np.uint8]]


def deal(old: Sequence[Shard], new: Sequence[Shard], index: SeriesIndex) -> None:
    """What `old` know of the series of `index`, into `new`, which know nothing."""
    before, after = Stripes(len(old)), Stripes(len(new))
    live = index.live()
    for source in before.parts(live):
        slots = source.take(live)
        for part in after.parts(slots):
            local = part.take(source.slots)
            for chunk in range(0, len(local), WIDTH):  # bounds what is held twice
                some = slice(chunk, chunk + WIDTH)
                _carry(old[source.shard], local[some], new[part.shard], part.slots[some])


def _carry(old: Shard, there: NDArray[np.int32], new: Shard, here: NDArray[np.int32]) -> None:
    try:
        new.put(here, old.lift(there))
        new.cover(here, old.covered(there))
    except Fatal as why:
        log.warning("what was learnt of %d series is not taken up: %s", len(here), why)


def shards_of(detection: Detection) -> list[Shard]:
    """What is learnt in this process, as one shard; it shares its state with `detection`."""
    shard = Shard([detection.detectors[place] for place in parted(detection.detectors)])
    live = detection.index.live()
    shard.cover(live, np.array([detection.covers(p)[live] for p in parted(detection.detectors)], bool))
    return [shard]


def loaded(made: Made, blobs: Blobs) -> list[Shard]:
    """Raises ValueError for a damaged blob."""
    return [Shard.load(build(made), blob) for blob in blobs]


def dealt(made: Made, old: Sequence[Shard], count: int, index: SeriesIndex) -> list[NDArray[np.uint8]]:
    """As blobs of `count` shards."""
    new = [Shard(build(made)) for _ in range(count)]
    deal(old, new, index)
    return [shard.dump() for shard in new]


def made_for(detection: Detection) -> Made:
    """What the detectors are made of that shards may part."""
    return made_of([detection.detectors[place] for place in parted(detection.detectors)])
