"""PagerDuty, by its Events API 2 (https://developer.pagerduty.com/docs/events-api-v2/overview/).

The problem's key is the `dedup_key`, by which PagerDuty itself merges repeats: nothing is searched for. What
people do comes back by its webhooks 3 (https://developer.pagerduty.com/docs/webhooks/v3-overview/); the id of
an event makes a replay no news.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from aiops.plugin import Fatal, Message, Secret, SinkChange, TicketRef
from aiops.plugin.http import HttpSink, plain
from aiops.plugin.signed import an_object, hashed
from aiops.plugin.ticketing import moment

SEVERITY = {"info": "info", "minor": "warning", "major": "error", "critical": "critical"}
LONGEST_SUMMARY = 1024
KINDS = {
    "incident.resolved": "closed",
    "incident.reopened": "reopened",
    "incident.reassigned": "assigned",
    "incident.acknowledged": "assigned",
}


class PagerDuty(HttpSink):
    """One incident a problem, through an integration of PagerDuty; both ways."""

    url: str = Field("https://events.pagerduty.com", description="Of the Events API; the EU has its own.")
    routing_key: Secret = Field(description="The integration's key.")
    source: str = Field("forewarn", description="What PagerDuty shows as the source.", min_length=1)
    hook_secret: Secret | None = Field(
        None, description="Secret of the webhook subscription that posts to `/api/v1/inbound/NAME`."
    )

    async def create(self, message: Message) -> TicketRef:
        await self._send(message)
        return TicketRef(message.key)

    async def update(self, ref: str, message: Message) -> None:
        """Triggering again adds to the incident; after `resolve` it opens a new one, as it should."""
        await self._send(message)

    async def hear(self, headers: Mapping[str, str], body: bytes, now: float) -> list[SinkChange]:
        if self.hook_secret is None:
            raise Fatal(f"sink {self.name}: give `hook_secret` to take webhooks")
        hashed(plain(self.hook_secret), headers, "x-pagerduty-signature", body, prefix="v1=")
        event = an_object(body).get("event")
        change = _change(event) if isinstance(event, dict) else None
        return [change] if change else []

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


def _change(event: Mapping[str, Any]) -> SinkChange | None:
    """None for what is no doing of a person's, or no incident of ours."""
    agent, data = event.get("agent") or {}, event.get("data") or {}
    kind, key = KINDS.get(str(event.get("event_type"))), str(data.get("incident_key") or "")
    if kind is None or not key.startswith("fw-") or agent.get("type") != "user_reference":
        return None
    by = str(agent.get("summary") or agent.get("id") or "")
    owners = [str(one.get("summary") or one.get("id")) for one in data.get("assignees") or []]
    text = f"{data.get('number') or data.get('id')} in PagerDuty"
    if kind == "assigned":
        acknowledged = event.get("event_type") == "incident.acknowledged"
        text = by if acknowledged else ", ".join(owners)
    return SinkChange(key, kind, moment(event.get("occurred_at")), by, text, f"pd-{event.get('id')}")
