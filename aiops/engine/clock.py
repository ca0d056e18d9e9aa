"""The only place where a clock is read."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    def now(self) -> float:
        """Seconds since the epoch."""
        ...

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """Wall time, but never backwards within a process: a clock that steps back holds still instead."""

    def __init__(self) -> None:
        self._latest = 0.0

    def now(self) -> float:
        self._latest = max(self._latest, time.time())
        return self._latest

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
