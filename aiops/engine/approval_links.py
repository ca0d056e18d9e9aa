"""The links that tickets carry for approvals: made when a message is sent, so that none is ever stored."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from aiops.config import Config
from aiops.core.approval_link import Link, opened, sealed
from aiops.core.ticket_approval import with_link
from aiops.store.kept_key import kept_key

KEY_FILE = "approval.key"


class ApprovalLinks:
    """Makes and reads them. `config` is the one that holds now: a reload needs no more."""

    def __init__(self, config: Callable[[], Config]) -> None:
        self._config = config
        self._kept: bytes = b""

    def finish(self, sink: str, body: dict[str, Any]) -> dict[str, Any]:
        """`body` as `sink` is sent it, with a link where its readers may approve the run that waits.

        Never of a run that a person asked for: who that is a link cannot tell.
        """
        waits, settings = body.get("approval"), self._config().remediation
        if not waits or not settings.approval_links or waits["asked_by"]:
            return body
        if (waits["by"] and sink not in waits["by"]) or not waits["expires"]:
            return body
        until = datetime.fromisoformat(waits["expires"]).timestamp()
        text = sealed(self._key(), Link(waits["run"], sink, until))
        return with_link(body, f"{self._address()}/approve/{text}")

    def read(self, text: str, now: float) -> Link | None:
        """The link, unless it was changed, or its time is over, or links are not wanted any more."""
        return opened(self._key(), text, now) if self._config().remediation.approval_links else None

    def _address(self) -> str:
        return self._config().web.address

    def _key(self) -> bytes:
        config = self._config()
        if config.remediation.approval_key is not None:
            return config.remediation.approval_key.read().get_secret_value().encode()
        self._kept = self._kept or kept_key(config.data / KEY_FILE)
        return self._kept
