"""Lines that were had, by time and mark: what is asked for twice comes once."""

from collections.abc import Mapping
from typing import Any


class Seen:
    """Marks of lines with their times, in units of the source's own."""

    def __init__(self) -> None:
        self._times: dict[str, int] = {}

    def __contains__(self, mark: str) -> bool:
        return mark in self._times

    def add(self, time: int, mark: str) -> None:
        self._times[mark] = time

    def forget(self, before: int) -> None:
        """Those of lines before that time, which are not asked for again."""
        self._times = {mark: time for mark, time in self._times.items() if time >= before}

    def snapshot(self) -> dict[str, Any]:
        return {"had": [[time, mark] for mark, time in self._times.items()]}

    def restore(self, data: Mapping[str, Any]) -> None:
        self._times = {str(mark): int(time) for time, mark in data.get("had", ())}
