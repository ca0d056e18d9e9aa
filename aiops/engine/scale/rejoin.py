"""A cluster that was lost, or not there at the start: looked for now and then, and used once it is there."""

import logging
import time
from collections.abc import Callable, Sequence
from threading import Thread
from typing import TypeAlias

from aiops.engine.scale.worker import Worker

log = logging.getLogger("aiops.scale")

EVERY = 60.0
"""Seconds between two looks."""

Find: TypeAlias = Callable[[], Sequence[Worker]]
"""Workers of a cluster, new ones. Takes seconds; whatever it raises, there is none yet."""


class Rejoin:
    """Looks in a thread of its own, so that nobody waits."""

    def __init__(self, find: Find, every: float = EVERY) -> None:
        self._find, self._every = find, every
        self._next = time.monotonic() + every
        self._thread: Thread | None = None
        self._workers: Sequence[Worker] = ()

    def found(self) -> Sequence[Worker]:
        """To be asked again and again while no worker is left: those that were found, once; else none."""
        if self._thread is not None and self._thread.is_alive():
            return ()
        workers, self._workers = self._workers, ()
        if not workers and time.monotonic() >= self._next:
            self._next = time.monotonic() + self._every
            self._thread = Thread(target=self._look, name="rejoin", daemon=True)
            self._thread.start()
        return workers

    def _look(self) -> None:
        try:
            self._workers = self._find()
        except Exception as why:  # Ray has exceptions of no kind
            log.info("no cluster yet: %s", next(iter(str(why).splitlines()), type(why).__name__))
