"""The long tail, through the library Apprise (https://appriseit.com): a hundred services, one address each.

Apprise says only whether it was sent: nothing can be searched for, and after a lost answer it may come twice.
"""

import asyncio
from importlib.util import find_spec

from pydantic import Field, model_validator

from aiops.plugin import Duration, Message, OneWay, Retryable, Secret
from aiops.plugin.apprise import notify
from aiops.plugin.http import plain, without

TYPES = {"info": "info", "minor": "warning", "major": "failure", "critical": "failure"}


class Apprise(OneWay):
    """A notification a message, to whatever service the address names."""

    address: Secret = Field(description="Apprise's URL, such as `ntfy://host/topic`; it holds credentials.")
    timeout: Duration = Field(15.0, description="Longest wait for the service.", gt=0, le=15)

    @model_validator(mode="after")
    def _installed(self) -> "Apprise":
        if find_spec("apprise") is None:
            raise ValueError("apprise is not installed: pip install 'forewarn[apprise]'")
        return self

    async def tell(self, message: Message) -> None:
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
    level = "success" if message.reason == "resolved" else TYPES.get(message.severity, "warning")
    return notify(address, message.title, f"{message.text}\n\n{message.mark}", level)
