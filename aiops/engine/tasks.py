"""The tasks of an engine, by name: begun, watched, ended."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from aiops.store.leaders import Deposed

log = logging.getLogger("aiops.engine")


class Tasks:
    """Each runs until it ends by itself or is cancelled."""

    def __init__(self) -> None:
        self.failed = asyncio.Event()
        """Set when one died of a fault: the process is better restarted than half alive."""
        self._by_name: dict[str, asyncio.Task[None]] = {}

    def __bool__(self) -> bool:
        return bool(self._by_name)

    def begin(self, **work: Coroutine[Any, Any, None]) -> None:
        """A task for each."""
        for name, one in work.items():
            self._by_name[name] = self.guarded(name, one)

    def guarded(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task that does not die silently, and that its caller keeps."""
        task = asyncio.create_task(self._guard(name, work), name=name)
        task.add_done_callback(lambda _: work.close())  # one cancelled at once never began
        return task

    def live(self, name: str) -> bool:
        return name in self._by_name and not self._by_name[name].done()

    def cancel(self, *names: str) -> None:
        """Those of them that there are."""
        for name in names:
            if name in self._by_name:
                self._by_name[name].cancel()

    async def end(self, *names: str, within: float) -> None:
        """Wait for those of them that there are, at most so many seconds."""
        if waited := [self._by_name[name] for name in names if name in self._by_name]:
            await asyncio.wait(waited, timeout=within)

    async def close(self) -> None:
        """Cancel all, and wait for them."""
        self.cancel(*self._by_name)
        await asyncio.gather(*self._by_name.values(), return_exceptions=True)

    async def _guard(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except asyncio.CancelledError:
            raise
        except Deposed as why:
            log.error("this engine leads no more and goes down, to stand by when it is started anew: %s", why)
            self.failed.set()
        except Exception:
            log.exception("task %s stopped by a fault; the engine goes down to be restarted", name)
            self.failed.set()
            raise
