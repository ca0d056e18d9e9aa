"""Sinks: the ITSM side."""

from abc import abstractmethod
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import Field

from aiops.plugin.errors import Fatal
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

    @property
    def mark(self) -> str:
        """The same on every attempt and in no other message: what is said carries it, to be found."""
        return f"[{self.key}#{self.seq}]"

    @property
    def first_mark(self) -> str:
        """Of a ticket itself, whichever message opens it: one that was lost is opened anew by a later one."""
        return f"[{self.key}#1]"

    @property
    def title(self) -> str:
        """One line, of at most 200 characters."""
        return " ".join(str(self.body.get("title") or f"Problem {self.key}").split())[:200]

    @property
    def severity(self) -> str:
        """info, minor, major or critical."""
        return str(self.body.get("severity") or "minor")

    @property
    def queue(self) -> str:
        """Where in the sink's system, as the route says; empty for the sink's own."""
        return str(self.body.get("queue") or "")

    @property
    def text(self) -> str:
        """Plain text for a person: what is new, the whole story, where to read on."""
        if said := str(self.body.get("text") or ""):
            return said
        why = "" if self.reason == "opened" else f"{self.reason.capitalize()}: {self.body.get('why') or ''}"
        link = (self.body.get("links") or {}).get("problem")
        parts = (why.strip(": "), self.body.get("summary"), link)
        return "\n\n".join(str(part) for part in parts if part) or self.title

    def pictures(self) -> list["Picture"]:
        """Of the body's plots; each takes 0.1 s to draw, so call it on a thread."""
        from aiops.plugin.plot import png  # numpy and a drawing only where pictures are sent

        drawn = []
        for place, plot in enumerate(self.body.get("plots") or [], 1):
            if any(value is not None for value in plot["observed"]):
                drawn.append(Picture(f"{place}-{_file_name(plot['metric'])}.png", png(plot)))
        return drawn


@dataclass(frozen=True, slots=True)
class Picture:
    """A PNG that goes with a message."""

    name: str
    png: bytes


def _file_name(metric: str) -> str:
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in metric)[:60].strip("-") or "course"


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
    """The comment; of `assigned`, to whom."""
    id: str = ""
    """The other side's name for this one change: the same however, and however often, we hear of it."""


@dataclass(frozen=True, slots=True)
class TicketSeen:
    """A record as the other side has it; ``open`` is None where it does not say."""

    ref: str
    open: bool | None = None


class Sink(Plugin):
    """Where tickets go. Each call is one attempt: the outbox owns order, retry and dead letters."""

    lag: ClassVar[float] = 0.0
    """Seconds after which what was written is surely found, where searches go to an index of their own."""

    name: str = Field("", description="How routes refer to it; the kind when left out.")

    async def find(self, key: str) -> TicketRef | None:
        """The record that carries the correlation key; asked before a create is repeated."""
        return None

    async def seen(self, key: str) -> list[TicketSeen] | None:
        """Every record that carries the key, for the sweep; None where none can be searched for."""
        if type(self).find is Sink.find:
            return None
        found = await self.find(key)
        return [TicketSeen(found.ref)] if found else []

    @abstractmethod
    async def create(self, message: Message) -> TicketRef:
        """Open the record. Raises `Retryable` or `Fatal`."""

    @abstractmethod
    async def update(self, ref: str, message: Message) -> None:
        """Tell the record what is new. Raises `Retryable` or `Fatal`."""

    @property
    def poll_every(self) -> float:
        """Seconds between two looks at `changes`; 0 = it reports none."""
        return 0.0

    def changes(self, since: float) -> AsyncIterator[SinkChange]:
        """What people changed since `since` (epoch s). Nothing by default."""
        return _none()

    async def hear(self, headers: Mapping[str, str], body: bytes, now: float) -> list[SinkChange]:
        """What a webhook of the other side says; `headers` have names in lower case.

        Whatever it says, `changes` is asked at once as well, so a bare knock on the door is enough.

        Raises `Unproven` when it is not signed as it should be, `Fatal` when it makes no sense.
        """
        raise Fatal(f"a sink of kind {self.kind} takes no webhooks")

    async def close(self) -> None:
        """Release connections."""


async def _none() -> AsyncIterator[SinkChange]:
    return
    yield


class OneWay(Sink):
    """Base of sinks that are told and answer nothing: the record there has no name but the problem's key."""

    @abstractmethod
    async def tell(self, message: Message) -> None:
        """Pass the message on."""

    async def create(self, message: Message) -> TicketRef:
        await self.tell(message)
        return TicketRef(message.key)

    async def update(self, ref: str, message: Message) -> None:
        await self.tell(message)
