"""Prometheus Alertmanager, by its API 2 (https://prometheus.io/docs/alerting/latest/alerts_api/).

The problem is one alert whose labels never change: Alertmanager itself merges repeats.
"""

from datetime import UTC, datetime
from typing import Any

from pydantic import Field

from aiops.plugin import Duration, Message, OneWay
from aiops.plugin.http import HttpSink


class Alertmanager(OneWay, HttpSink):
    """One alert a problem, for the routes and receivers that Alertmanager has already."""

    url: str = Field(description="Alertmanager's address, such as http://alertmanager:9093.")
    labels: dict[str, str] = Field(default_factory=dict, description="Further labels of every alert.")
    expires: Duration = Field(
        30 * 86400.0, description="When Alertmanager forgets an alert of which it hears nothing more.", gt=0
    )

    async def tell(self, message: Message) -> None:
        over = message.reason == "resolved"
        own = {"alertname": "ForewarnProblem", "forewarn_key": message.key}
        link = (message.body.get("links") or {}).get("problem")
        alert: dict[str, Any] = {
            "labels": {**self.labels, **own},
            "annotations": {
                "summary": message.title,
                "description": message.text,
                "severity": message.severity,
            },
            "endsAt": _moment(message.at if over else message.sent_at + self.expires),
        }
        if opened := message.body.get("opened"):
            alert["startsAt"] = str(opened)
        if link:
            alert["generatorURL"] = str(link)
        await self._ask("POST", "/api/v2/alerts", now=message.sent_at, data=[alert])


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
