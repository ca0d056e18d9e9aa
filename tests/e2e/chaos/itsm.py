"""The ITSM of the scenarios: a receiver of signed webhooks in a thread of its own, that can be frozen."""

import asyncio
import threading
from typing import Any, Self

from tests.receiver import Receiver


class Itsm:
    """Keeps tickets; frozen, it takes connections and says nothing."""

    def __init__(self) -> None:
        self._receiver = Receiver()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))

    async def _serve(self) -> None:
        async with self._receiver.serve():
            self._ready.set()
            await self._stop.wait()

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self.thaw()
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        return self._receiver.url

    def freeze(self) -> None:
        self._loop.call_soon_threadsafe(self._receiver.thaw.clear)

    def thaw(self) -> None:
        self._loop.call_soon_threadsafe(self._receiver.thaw.set)

    def tickets(self) -> dict[str, list[dict[str, Any]]]:
        """Correlation key -> its events."""
        return self._receiver.tickets()

    def told(self) -> list[list[str]]:
        """Per ticket, what it was told, in order: opened, updated, resolved..."""
        return [[event["type"].rsplit(".", 1)[-1] for event in events] for events in self.tickets().values()]

    def unsigned(self) -> list[str]:
        return self._receiver.unsigned
