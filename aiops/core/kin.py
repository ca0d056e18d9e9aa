"""What keeps failing together: learnt co-occurrence of entities."""

from collections.abc import Iterable, Mapping
from typing import Any

LEARNT, OFTEN = 3, 0.5
"""Groups in which two entities must have met, and the share of the rarer one's groups, to be kin."""
MANY = 60
"""Entities of a group that says nothing of any two of them."""


class Kin:
    """Entities that keep meeting in one group."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}
        self._met: dict[str, dict[str, int]] = {}

    def learn(self, entities: Iterable[str]) -> None:
        """One closed group. Groups of one, and of so many that they say nothing, teach nothing."""
        names = sorted(entities)
        if not 2 <= len(names) <= MANY:
            return
        for name in names:
            self._seen[name] = self._seen.get(name, 0) + 1
            met = self._met.setdefault(name, {})
            for other in names:
                if other != name:
                    met[other] = met.get(other, 0) + 1

    def of(self, entity: str) -> list[tuple[str, float, int, int]]:
        """(kin, share of meetings, meetings, chances), the closest eight."""
        seen = self._seen.get(entity, 0)
        found = []
        for other, met in self._met.get(entity, {}).items():
            times = min(seen, self._seen[other])
            if met >= LEARNT and met >= OFTEN * times:
                found.append((other, met / max(times, 1), met, times))
        return sorted(found, key=lambda one: -one[1])[:8]

    def snapshot(self) -> dict[str, Any]:
        """JSON-able."""
        return {"seen": dict(self._seen), "met": {name: dict(met) for name, met in self._met.items()}}

    def restore(self, data: Mapping[str, Any]) -> None:
        """Take up what `snapshot` gave. Raises ValueError, changing nothing, when it is none."""
        try:
            seen = {str(name): int(count) for name, count in data["seen"].items()}
            met = {
                str(name): {str(other): int(count) for other, count in those.items() if other in seen}
                for name, those in data["met"].items()
            }
        except (KeyError, TypeError, AttributeError) as why:
            raise ValueError(f"no snapshot of co-occurrence: {why!r}") from why
        self._seen, self._met = seen, met
