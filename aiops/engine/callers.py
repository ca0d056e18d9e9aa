"""Connections to our port: how many there may be, and how long one may take to say what it wants."""

import asyncio
import logging
import math
import resource
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

log = logging.getLogger("aiops.web")

HEAD_WITHIN = 15.0
"""Seconds from a connection, or the first byte of its next request, to the end of its headers."""
BODY_WITHIN = 60.0
"""Seconds from there to the end of its body; senders of metrics give up sooner by themselves."""
FEW = 32
_LATE = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


def most() -> int:
    """Half of the descriptors: the store, sources and sinks need theirs."""
    return max(FEW, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)


class Caller(HttpToolsProtocol):
    """One connection. Who dribbles, or falls silent half way, is hung up on; so is who is one too many."""

    _until = math.inf
    """By the loop's clock."""
    _look: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if len(self.connections) > most():
            log.warning("%d connections are open: no more are taken", len(self.connections))
            transport.close()
            return
        self._expect(HEAD_WITHIN)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._expect(HEAD_WITHIN)

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._expect(BODY_WITHIN)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._expect(math.inf)

    def connection_lost(self, exc: Exception | None) -> None:
        self._until = math.inf
        if self._look is not None:
            self._look.cancel()
        super().connection_lost(exc)

    def _expect(self, within: float) -> None:
        """What is under way to be over within so many seconds; inf: nothing is.

        One look is on its way at a time, never further off than the shortest of these: to set and cancel one
        three times a request takes as long as 20 samples.
        """
        self._until = self.loop.time() + within
        if self._look is None and within < math.inf:
            self._look = self.loop.call_later(min(within, HEAD_WITHIN), self._late)

    def _late(self) -> None:
        self._look, left = None, self._until - self.loop.time()
        if left <= 0:
            self._hang_up()
        elif left < math.inf:
            self._look = self.loop.call_later(min(left, HEAD_WITHIN), self._late)

    def _hang_up(self) -> None:
        if self.transport.is_closing():
            return
        log.debug("a caller took too long to say what it wants: hung up")
        if self.cycle is None or not self.cycle.response_started:
            self.transport.write(_LATE)
        self.transport.close()
