"""ServiceNow Event Management (https://docs.servicenow.com, "Push events"): events, which it makes alerts of.

The problem's key is the `message_key`, by which ServiceNow merges what belongs together: nothing is searched
for, and a repeat changes nothing. Severity 0 clears.
"""

import json
from datetime import UTC, datetime

from pydantic import Field

from aiops.plugin import Message, OneWay, Retryable, Secret
from aiops.plugin.http import HttpSink, basic, plain

SEVERITY = {"critical": "1", "major": "2", "minor": "3", "info": "5"}
CLEAR = "0"


class ServiceNowEvent(OneWay, HttpSink):
    """An event a message into `em_event`, through the web service of Event Management."""

    url: str = Field(description="The instance, such as https://example.service-now.com.")
    user: str = Field(
        description="User of the integration; needs the role evt_mgmt_integration.", min_length=1
    )
    password: Secret = Field(description="That user's password.")
    source: str = Field("Forewarn", description="What ServiceNow shows as the source.", min_length=1)
    node: list[str] = Field(
        ["host", "instance", "service"],
        description="Labels of the problem of which the first that it has names the configuration item.",
    )

    async def tell(self, message: Message) -> None:
        labels = message.body.get("labels") or {}
        evidence = message.body.get("evidence") or [{}]
        details = {"text": message.text, "mark": message.mark, "labels": labels, "key": message.key}
        record = {
            "source": self.source,
            "event_class": "Forewarn",
            "node": next((str(labels[name]) for name in self.node if labels.get(name)), ""),
            "resource": str(labels.get("service") or ""),
            "metric_name": str(evidence[0].get("metric") or ""),
            "type": "Problem",
            "message_key": message.key,
            "severity": CLEAR if message.reason == "resolved" else SEVERITY.get(message.severity, "3"),
            "time_of_event": datetime.fromtimestamp(message.at, UTC).strftime("%Y-%m-%d %H:%M:%S"),
            "description": message.title,
            "additional_info": json.dumps(details, ensure_ascii=False),
        }
        who = basic(self.user, plain(self.password))
        answer = await self._ask(
            "POST",
            "/api/global/em/jsonv2",
            now=message.sent_at,
            data={"records": [record]},
            headers={"authorization": who},
        )
        # what the table has taken is listed; a page of HTML with 200 is an instance that sleeps
        if isinstance(told := answer.object().get("result"), dict) and told.get("errors"):
            raise Retryable(f"{self.where} did not take the event: {str(told['errors'])[:200]}")
