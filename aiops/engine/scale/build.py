"""From a configuration and a checkpoint to a state that scores in shards, or no longer does."""

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiops.config.scale import Scale
from aiops.core.detect import Detection
from aiops.engine.scale.deal import deal, dealt, loaded, made_for, shards_of
from aiops.engine.scale.detection import ShardedDetection
from aiops.engine.scale.group import Made
from aiops.engine.scale.rejoin import Rejoin
from aiops.engine.scale.runner import Runner
from aiops.engine.scale.worker import LocalWorker, Worker
from aiops.store.shards import ShardFiles

log = logging.getLogger("aiops.scale")

PART = "shards"
"""The part of a checkpoint that the shards are."""

Arrays = Mapping[str, Mapping[str, NDArray[Any]]]


def scaled(detection: Detection, arrays: Arrays, folder: Path, scale: Scale, epoch: int = 0) -> Detection:
    """`detection`, with what was in shards, or in its stead one that scores in shards. Takes seconds.

    `arrays`: of the checkpoint that `detection` was taken up from. `epoch`: all claims are above it.
    """
    blobs = blobs_of(arrays)
    if not scale.parts:
        _gather(detection, blobs)
        return detection
    made = made_for(detection)
    old = None if blobs is None else _whole(made, blobs)
    if old is None or len(old) != scale.parts:
        known = shards_of(detection) if old is None else old
        blobs = dealt(made, known, scale.parts, detection.index)
    runner = Runner(
        _workers(scale, made), scale.parts, made, ShardFiles(folder), epoch, patience=scale.patience
    )
    runner.start(blobs)
    log.info("series are scored in %d shards on %d workers", scale.parts, len(runner.workers))
    rejoin = Rejoin(partial(_found, scale, made)) if scale.runner == "ray" else None
    return ShardedDetection(detection.detectors, detection.index, runner, rejoin)


def blobs_of(arrays: Arrays) -> list[NDArray[np.uint8]] | None:
    """One a shard; None when the checkpoint has none."""
    found = arrays.get(PART)
    return [np.asarray(found[name], np.uint8) for name in sorted(found)] if found else None


def name_of(number: int) -> str:
    return f"{PART}.{number:05d}"


def _gather(detection: Detection, blobs: Sequence[NDArray[np.uint8]] | None) -> None:
    made = made_for(detection)
    old = _whole(made, blobs) if blobs else None
    if old is not None:
        deal(old, shards_of(detection), detection.index)


def _whole(made: Made, blobs: Sequence[NDArray[np.uint8]]) -> Any:
    try:
        return loaded(made, blobs)
    except (ValueError, KeyError) as why:
        log.warning("what was learnt in shards is not taken up: %s", why)
        return None


def _workers(scale: Scale, made: Made) -> Sequence[Worker]:
    """Those of the cluster; without one, this process, so that nobody goes unwatched."""
    if scale.runner == "local":
        return [LocalWorker(made)]
    try:
        return _found(scale, made)
    except Exception as why:
        log.error(
            "no Ray cluster at %s, series are scored in the engine's own process: %s", scale.address, why
        )
        return [LocalWorker(made)]


def _found(scale: Scale, made: Made) -> Sequence[Worker]:
    from aiops.engine.scale.ray_worker import join, start_workers

    return start_workers(join(scale.address, scale.workers, scale.memory), scale.workers, made, scale.limit)
