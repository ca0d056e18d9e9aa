"""What is meant for PagerDuty's Events API 2, sent here instead: what can page by PagerDuty can speak to us.

https://developer.pagerduty.com/docs/events-api-v2/trigger-events/
"""

import hmac
import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from aiops.model.signal import Report
from aiops.plugin import Secret
from aiops.plugin.connector import Reply, Route
from connectors._alerts import AlertReceiver, Unreadable, an_object

ACTIONS = {"trigger": True, "acknowledge": None, "resolve": False}


class PagerdutyAlerts(AlertReceiver):
    """Takes events at ``/receive/<name>/v2/enqueue``; its address replaces ``https://events.pagerduty.com``."""

    routing_key: Secret = Field(description="Where the key is that senders must name as `routing_key`.")

    def routes(self) -> list[Route]:
        return [Route("POST", "/v2/enqueue", self._take), Route("POST", "", self._take)]

    def refusal(self, body: Any) -> Reply | None:
        shown = str(body.get("routing_key") or "") if isinstance(body, dict) else ""
        try:
            wanted = self.routing_key.read().get_secret_value()
        except ValueError as why:
            return Reply(503, f"{why}\n".encode())
        fits = hmac.compare_digest(wanted.encode(), shown.encode())
        return None if fits else Reply(401, b"`routing_key` does not fit\n")

    def welcome(self, body: Any) -> Reply:
        told = {"status": "success", "message": "Event processed", "dedup_key": _key(body)}
        return Reply(202, json.dumps(told).encode(), (("Content-Type", "application/json"),))

    def read(self, headers: Mapping[str, str], body: Any) -> Iterator[Report]:
        event = an_object(body, "the body")
        action = event.get("event_action")
        if action not in ACTIONS:
            raise Unreadable(f"`event_action` is one of {', '.join(ACTIONS)}")
        firing = ACTIONS[action]
        if firing is None:
            return
        payload = an_object(event.get("payload") or {}, "`payload`")
        if firing and not payload.get("summary"):
            raise Unreadable("`payload` has no `summary`")
        details = payload.get("custom_details")
        plain = (
            {k: v for k, v in details.items() if isinstance(v, str | int)}
            if isinstance(details, dict)
            else {}
        )
        labels = {name: payload.get(name) for name in ("component", "group", "class")}
        yield self.a_report(
            ident=_key(event),
            name=str(payload.get("class") or payload.get("component") or "event"),
            firing=firing,
            labels={**plain, **labels, "instance": payload.get("source")},
            severity=payload.get("severity"),
            text=str(payload.get("summary") or ""),
            since=payload.get("timestamp"),
            url=str(event.get("client_url") or ""),
        )


def _key(event: Mapping[str, Any]) -> str:
    """PagerDuty makes up a key where there is none; the summary is one that a repeat bears too."""
    payload = event.get("payload")
    summary = payload.get("summary") if isinstance(payload, dict) else ""
    return str(event.get("dedup_key") or summary or "event")
