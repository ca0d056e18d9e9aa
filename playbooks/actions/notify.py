"""`notify`: a word to people in the middle of a run, by any of the services that Apprise speaks to."""

import asyncio
from typing import Literal

from pydantic import ConfigDict, Field

from aiops.plugin import Action, Outcome, Retryable, Secret
from aiops.plugin.apprise import notify
from aiops.plugin.http import without


class Notify(Action):
    """Send a short message. Needs the extra ``apprise``. Tickets are told of every run by themselves.

    `expect` sees ``sent``, whether the service took the message.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "to": {"env": "ONCALL_URL"},
                    "title": "Restarting nginx",
                    "body": "The probe fails on web1.",
                },
                {"to": {"file": "/etc/forewarn/chat"}, "body": "Failing over now.", "level": "warning"},
            ]
        }
    )

    to: Secret = Field(description="Where it goes: a secret that holds an Apprise address, as slack://...")
    title: str = Field("Forewarn", max_length=250, description="The message's first line.")
    body: str = Field(min_length=1, description="What is said.")
    level: Literal["info", "success", "warning", "failure"] = Field("info", description="How it is marked.")
    idempotent: bool = Field(True, description="Said twice after a crash does less harm than not at all.")

    @property
    def target(self) -> str:
        return "notify"

    def plan(self) -> str:
        return f"tell people: {self.title}: {' '.join(self.body.split())[:200]}"

    async def run(self, key: str) -> Outcome:
        address = self.to.read().get_secret_value()
        try:
            async with asyncio.timeout(self.timeout):
                sent, said = await asyncio.to_thread(notify, address, self.title, self.body, self.level)
        except TimeoutError as why:
            raise Retryable(f"notify: not sent within {self.timeout:g} s", ambiguous=True) from why
        words = without([address], said)[:300] or "the service did not take the message"
        return Outcome(sent, "the message was sent" if sent else words, {"sent": sent})
