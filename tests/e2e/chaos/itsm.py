"""The ITSM of the scenarios: a receiver of signed webhooks in a thread of its own, that can be frozen."""

from typing import Any

from tests.receiver import ThreadedReceiver


class Itsm(ThreadedReceiver):
    """Keeps tickets; frozen, it takes connections and says nothing."""

    @property
    def url(self) -> str:
        return self.receiver.url

    def tickets(self) -> dict[str, list[dict[str, Any]]]:
        """Correlation key -> its events."""
        return self.receiver.tickets()

    def told(self) -> list[list[str]]:
        """Per ticket, what it was told, in order: opened, updated, resolved..."""
        return [[event["type"].rsplit(".", 1)[-1] for event in events] for events in self.tickets().values()]

    def unsigned(self) -> list[str]:
        return self.receiver.unsigned
