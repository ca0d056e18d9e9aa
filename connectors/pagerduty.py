"""PagerDuty, by its Events API 2 (https://developer.pagerduty.com/docs/events-api-v2/overview/).

The problem's key is the `dedup_key`, by which PagerDuty itself merges repeats: nothing is searched for.
"""

from pydantic import Field

from aiops.plugin import Fatal, Message, Secret, TicketRef
from aiops.plugin.http import HttpSink, plain

SEVERITY = {"info": "info", "minor": "warning", "major": "error", "critical": "critical"}
LONGEST_SUMMARY = 1024


class PagerDuty(HttpSink):
    """One incident a problem, through an integration of PagerDuty."""

    url: str = Field("https://events.pagerduty.com", description="Of the Events API; the EU has its own.")
    routing_key: Secret = Field(description="The integration's key.")
    source: str = Field("forewarn", description="What PagerDuty shows as the source.", min_length=1)

    async def create(self, message: Message) -> TicketRef:
        await self._send(message)
        return TicketRef(message.key)

    async def update(self, ref: str, message: Message) -> None:
        """Triggering again adds to the incident; after `resolve` it opens a new one, as it should."""
        await self._send(message)

    async def _send(self, message: Message) -> None:
        link = (message.body.get("links") or {}).get("problem")
        event = {
            "routing_key": plain(self.routing_key),
            "event_action": "resolve" if message.reason == "resolved" else "trigger",
            "dedup_key": message.key,
            "client": "Forewarn",
            "payload": {
                "summary": message.title[:LONGEST_SUMMARY],
                "source": self.source,
                "severity": SEVERITY.get(message.severity, "warning"),
                "custom_details": {"text": message.text, "message": message.mark},
            },
            "links": [{"href": link, "text": "Forewarn"}] if link else [],
        }
        answer = await self._ask("POST", "/v2/enqueue", now=message.sent_at, data=event)
        told = answer.object()
        if told.get("status") not in (None, "success"):
            raise Fatal(f"{self.where} refused the event: {str(told.get('message', ''))[:200]}")
