"""What the runner counts for Forewarn's own metrics, until somebody takes it."""

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock

import numpy as np

from aiops.core.shard import Step
from aiops.engine.scale.group import Told
from aiops.store.shards import Fenced

MOST_TRIPS = 10_000
"""Times of batches kept until they are taken: newer ones push out the oldest."""

HERE = "engine"
"""The name of this process among the workers."""


@dataclass(slots=True)
class Counted:
    """Since it was last taken."""

    trips: deque[tuple[str, float]] = field(default_factory=lambda: deque(maxlen=MOST_TRIPS))
    """Worker, and seconds until its answers to a batch were there."""
    samples: Counter[int] = field(default_factory=Counter)
    """By shard: samples scored."""
    losses: Counter[str] = field(default_factory=Counter)
    """Workers lost, by what then owned their shards: ``itself`` again, or ``others``."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Answers of workers that were ``lost``, and states refused as ``fenced``."""
    replayed: int = 0
    """Orders told once more."""


class Tally:
    """For any thread; nobody waits here for a worker."""

    def __init__(self) -> None:
        self._now, self._lock = Counted(), Lock()

    def take(self) -> Counted:
        """All since the last time."""
        with self._lock:
            taken, self._now = self._now, Counted()
        return taken

    def answered(self, worker: str, share: Sequence[Told], seconds: float) -> None:
        """A batch that a worker was told has been obeyed."""
        with self._lock:
            self._now.trips.append((worker, seconds))
            for told in share:
                if isinstance(told.order, Step):
                    self._now.samples[told.shard] += int(np.isfinite(told.order.values).sum())

    def lost(self, share: Sequence[Told]) -> None:
        """A worker is lost, and whatever it still answers to `share` with it."""
        with self._lock:
            self._now.dropped["lost"] += len(share)

    def mended(self, back: bool) -> None:
        """The shards of a lost worker are owned again, by itself or by others."""
        with self._lock:
            self._now.losses["itself" if back else "others"] += 1

    def told_again(self, orders: int) -> None:
        with self._lock:
            self._now.replayed += orders

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Around a save; one that is refused, since another engine has claimed the shard, is counted."""
        try:
            yield
        except Fenced:
            with self._lock:
                self._now.dropped["fenced"] += 1
            raise
