"""Guessing made slow: who failed to sign in too often waits, longer each time."""

from collections import OrderedDict

FREE = 5
"""Failures in a row that cost nothing."""
FREE_OF_ADDRESS = 50
"""Of one address whatever name it gives: many people may share one behind a proxy."""
FREE_OF_NAME = 25
"""Of one name from wherever: the one whose name it is must not be kept out easily."""
LONGEST = 900.0
"""Seconds of the longest wait; after as long without a failure all is forgotten."""
MOST = 10_000
"""Keys remembered; beyond, those that failed longest ago are forgotten."""

Key = tuple[str, str]


class Attempts:
    """Failures by (name, address), by name and by address. Kept in memory: a restart forgives."""

    def __init__(self) -> None:
        self._failed: OrderedDict[Key, tuple[int, float]] = OrderedDict()

    def wait(self, name: str, address: str, now: float) -> float:
        """Seconds until the next try is allowed; 0: now. ``now``: epoch s."""
        return max(self._wait(key, free, now) for key, free in _keys(name, address))

    def _wait(self, key: Key, free: int, now: float) -> float:
        failures, last = self._failed.get(key, (0, 0.0))
        if failures < free or now - last >= LONGEST:
            return 0.0
        return max(0.0, last + min(LONGEST, 2.0 ** min(failures - free, 10)) - now)

    def failed(self, name: str, address: str, now: float) -> None:
        """Count a failure at `now` (epoch s)."""
        for key, _ in _keys(name, address):
            failures, last = self._failed.pop(key, (0, now))
            self._failed[key] = (1 if now - last >= LONGEST else failures + 1, now)
        while len(self._failed) > MOST:
            self._failed.popitem(last=False)

    def passed(self, name: str, address: str) -> None:
        """They know the secret: what this name did from there before is forgotten."""
        self._failed.pop((name, address), None)


def _keys(name: str, address: str) -> tuple[tuple[Key, int], ...]:
    return ((name, address), FREE), ((name, ""), FREE_OF_NAME), (("", address), FREE_OF_ADDRESS)
