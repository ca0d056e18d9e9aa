"""Sinks: the ITSM side."""

from abc import abstractmethod
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from aiops.plugin.params import Plugin


@dataclass(frozen=True, slots=True)
class Message:
    """One thing to tell a sink about a problem."""

    id: str
    """The same on every attempt."""
    key: str
    """The problem's correlation key."""
    reason: str
    """A `NotifyReason`."""
    at: float
    """When it was said (epoch s), not when it is sent."""
    body: dict[str, Any]
    """The whole ticket as of `at`; `aiops.core.notify` documents it."""
    seq: int = 1
    """Its place among the messages of one problem to this sink, from 1."""
    sent_at: float = 0.0
    """When this attempt is made (epoch s): what a signature's timestamp is."""
    attempt: int = 1
    """From 2 on, an earlier attempt may have arrived: search before repeating."""


@dataclass(frozen=True, slots=True)
class TicketRef:
    """The other side's name for the record."""

    ref: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class SinkChange:
    """What people did to a ticket on the other side."""

    ref: str
    kind: str
    """closed, reopened, commented, assigned"""
    at: float
    by: str = ""
    text: str = ""


class Sink(Plugin):
    """Where tickets go. Each call is one attempt: the outbox owns order, retry and dead letters."""

    name: str = Field("", description="How routes refer to it; the kind when left out.")

    async def find(self, key: str) -> TicketRef | None:
        """The record that carries the correlation key; asked before a create is repeated."""
        return None

    @abstractmethod
    async def create(self, message: Message) -> TicketRef:
        """Open the record. Raises `Retryable` or `Fatal`."""

    @abstractmethod
    async def update(self, ref: str, message: Message) -> None:
        """Tell the record what is new. Raises `Retryable` or `Fatal`."""

    def changes(self, since: float) -> AsyncIterator[SinkChange]:
        """What people changed since `since` (epoch s). Nothing by default."""
        return _none()

    async def close(self) -> None:
        """Release connections."""


async def _none() -> AsyncIterator[SinkChange]:
    return
    yield
