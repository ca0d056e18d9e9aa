"""Microsoft Teams, through a workflow *When a Teams webhook request is received*: an Adaptive Card a message.

A workflow answers 202 and gives nothing back, so nothing can be searched for: after a lost answer a card may
come twice. Each carries its message's mark, by which people see that it is the same.
"""

from typing import Any
from urllib.parse import parse_qsl, urlsplit

from pydantic import Field

from aiops.plugin import Message, OneWay, Secret
from aiops.plugin.http import HttpSink, plain

COLOURS = {"info": "Default", "minor": "Warning", "major": "Attention", "critical": "Attention"}
MOST = 20_000
"""Characters; a message of more than 28 KB is refused."""


class Teams(OneWay, HttpSink):
    """A card a message in a channel or chat of Teams."""

    url: str = Field(description="The workflow's address without its last parameter, `&sig=...`.")
    signature: Secret = Field(description="The value of that parameter.")

    async def tell(self, message: Message) -> None:
        query = dict(parse_qsl(urlsplit(self.url).query))
        card = {"contentType": "application/vnd.microsoft.card.adaptive", "content": _card(message)}
        await self._ask(
            "POST",
            now=message.sent_at,
            query={**query, "sig": plain(self.signature)},
            data={"type": "message", "attachments": [card]},
        )


def _card(message: Message) -> dict[str, Any]:
    colour = "Good" if message.reason == "resolved" else COLOURS.get(message.severity, "Default")
    head = {"type": "TextBlock", "text": message.title, "weight": "Bolder", "size": "Medium", "wrap": True}
    text = message.text[:MOST].replace("\n", "\n\n")
    link = (message.body.get("links") or {}).get("problem")
    return {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [
            {**head, "color": colour},
            {"type": "TextBlock", "text": text, "wrap": True},
            {"type": "TextBlock", "text": message.mark, "isSubtle": True, "size": "Small"},
        ],
        "actions": [{"type": "Action.OpenUrl", "title": "Forewarn", "url": link}] if link else [],
    }
