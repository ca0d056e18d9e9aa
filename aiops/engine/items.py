"""What comes through the pipeline's queue, besides batches of sources and what is said of problems."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from aiops.engine import messages as say
from aiops.engine.spans import Span
from aiops.engine.state import State
from aiops.model.frame import Frame
from aiops.plugin.connector import Batch


@dataclass(frozen=True, slots=True)
class Pulled:
    """All of `source` up to `until` has been handed over; its connector goes on from `position`."""

    source: str
    until: float
    position: Any = None


@dataclass(frozen=True, slots=True)
class Kept:
    """What was pushed and is in the spool. `place`: n is the end of entry n, n - 0.5 half of it."""

    source: str
    batch: Batch
    place: float


@dataclass(frozen=True, slots=True)
class History:
    """Samples to learn from, not to act on."""

    source: str
    frame: Frame


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed, whether or not anything was heard."""


@dataclass(frozen=True, slots=True)
class Call:
    """Run something between two inputs, where nothing else touches the state."""

    work: Callable[[State], object]
    done: asyncio.Future[object]


@dataclass(frozen=True, slots=True)
class Sampled:
    """An item of which a trace is told: what became of it is a part of `span`. `put`: when (epoch s)."""

    item: "Item"
    span: Span
    put: float


Item: TypeAlias = tuple[str, Batch] | Kept | Pulled | History | Tick | Call | say.Message | Sampled | None

SPOOL = "/spool"
"""The watermark of what was acted on in the spool; no source is called so."""
