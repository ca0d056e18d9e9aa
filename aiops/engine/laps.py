"""How long each part of a piece of work took, for one line of the log."""

import resource
import time


class Laps:
    """Begun when it is made; each `lap` names what has been done since the one before."""

    def __init__(self) -> None:
        self._begun = self._last = _now()
        self._told: list[str] = []

    def lap(self, done: str) -> None:
        now = _now()
        self._told.append(f"{done} {_between(self._last, now)}")
        self._last = now

    def __str__(self) -> str:
        """``2.1 s (1.4 of a processor): state 1.5 s (1.0), ...``."""
        whole = _between(self._begun, self._last).replace(")", " of a processor)")
        return f"{whole}: {', '.join(self._told)}"


def _now() -> tuple[float, float]:
    """Seconds of the wall's clock, and of processors that this process was given."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return time.monotonic(), used.ru_utime + used.ru_stime


def _between(start: tuple[float, float], end: tuple[float, float]) -> str:
    return f"{end[0] - start[0]:.1f} s ({end[1] - start[1]:.1f})"
