"""Counters become rates; and what all readers of the host share."""

from collections.abc import Hashable
from pathlib import Path
from typing import TypeAlias

NAN = float("nan")

Pairs: TypeAlias = tuple[tuple[str, str], ...]
Reading: TypeAlias = tuple[str, Pairs, float]
"""(metric name, label pairs, value)."""


class Rates:
    """Increase per second of monotonic counters between one pull and the next.

    Time is the kernel's uptime, read with the counters: a wall clock that steps does not bend a rate.
    NaN on first sight, after a counter went back (a reset) and when no time has passed.
    """

    def __init__(self) -> None:
        self.uptime = NAN
        self.elapsed = NAN
        self._before: dict[Hashable, float] = {}
        self._now: dict[Hashable, float] = {}
        self._done: dict[Hashable, float] = {}

    def begin(self, uptime: float) -> None:
        """Start a pull at `uptime` seconds since boot; what the last pull did not see is forgotten."""
        self.elapsed = uptime - self.uptime
        self.uptime = uptime
        self._before, self._now = self._now, {}

    def increase(self, key: Hashable, counter: float) -> float:
        """How much `counter` grew since the last pull."""
        self._now[key] = counter
        before = self._before.get(key, NAN)
        return counter - before if counter >= before else NAN

    def per_second(self, key: Hashable, counter: float) -> float:
        grown = self.increase(key, counter)
        return grown / self.elapsed if self.elapsed > 0 else NAN

    def due(self, key: Hashable, every: float) -> bool:
        """Whether costly work was last done at least `every` seconds ago; a yes counts as doing it."""
        due = not self.uptime < self._done.get(key, NAN) + every
        if due:
            self._done[key] = self.uptime
        return due


def share(part: float, whole: float) -> float:
    """``part / whole``; NaN when there is no whole."""
    return part / whole if whole > 0 else NAN


def read(path: Path | str) -> bytes:
    """A whole file of /proc or /sys. Raises OSError."""
    with open(path, "rb", buffering=0) as file:
        return file.read()
