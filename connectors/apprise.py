"""The long tail, through the library Apprise (https://appriseit.com): a hundred services, one address each.

Apprise says only whether it was sent: nothing can be searched for, and after a lost answer it may come twice.
"""

import asyncio
import logging
import socket
from importlib.util import find_spec
from typing import Any

from pydantic import Field, model_validator

from aiops.plugin import Duration, Fatal, Message, Retryable, Secret, Sink, TicketRef
from aiops.plugin.egress import first_allowed, proxy_for
from aiops.plugin.extras import needed
from aiops.plugin.http import plain, without

TYPES = {"info": "info", "minor": "warning", "major": "failure", "critical": "failure"}


class Apprise(Sink):
    """A notification a message, to whatever service the address names."""

    address: Secret = Field(description="Apprise's URL, such as `ntfy://host/topic`; it holds credentials.")
    timeout: Duration = Field(15.0, description="Longest wait for the service.", gt=0, le=15)

    @model_validator(mode="after")
    def _installed(self) -> "Apprise":
        if find_spec("apprise") is None:
            raise ValueError("apprise is not installed: pip install 'forewarn[apprise]'")
        return self

    async def create(self, message: Message) -> TicketRef:
        await self._send(message)
        return TicketRef(message.key)

    async def update(self, ref: str, message: Message) -> None:
        await self._send(message)

    async def _send(self, message: Message) -> None:
        address = plain(self.address)
        try:
            async with asyncio.timeout(self.timeout):
                sent, said = await asyncio.to_thread(_notify, address, message)
        except TimeoutError as why:
            raise Retryable(f"no answer within {self.timeout:g} s", ambiguous=True) from why
        if not sent:
            words = without([address], said)[:300] or "Apprise gives no reason"
            raise Retryable(
                f"not sent: {words} (check the service's address, token and limits)", ambiguous=True
            )


def _notify(address: str, message: Message) -> tuple[bool, str]:
    """Whether it was sent, and what Apprise said to that. Raises `Fatal` for an address it cannot use."""
    apprise = needed("apprise", "apprise")
    service = apprise.Apprise.instantiate(address)
    if service is None:
        raise Fatal("Apprise knows no service of that address: see https://appriseit.com/services")
    _judge(service)
    kind = "success" if message.reason == "resolved" else TYPES.get(message.severity, "warning")
    with apprise.LogCapture(level=logging.WARNING, fmt="%(message)s") as told:
        sent = service.notify(title=message.title, body=f"{message.text}\n\n{message.mark}", notify_type=kind)
        said = " ".join(told.getvalue().split())
    return bool(sent), said


def _judge(service: Any) -> None:
    """Apprise connects by itself: where a service names its host, that host is judged before."""
    host = getattr(service, "host", None)
    secure = bool(getattr(service, "secure", False))
    port = int(getattr(service, "port", None) or (443 if secure else 80))
    if not isinstance(host, str) or not host or proxy_for(f"{'https' if secure else 'http'}://{host}:{port}"):
        return
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return  # some services have something other than a host there
    first_allowed(host, port, found)
