"""What Prometheus Alertmanager, and whoever speaks like it, posts to a webhook receiver: version 4.

https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
"""

from collections.abc import Iterator, Mapping
from typing import Any

from aiops.model.signal import Report
from connectors._alerts import AlertReceiver, Unreadable, an_object, objects


class AlertmanagerAlerts(AlertReceiver):
    """Takes alerts of Alertmanager at ``/receive/<name>``; needs `send_resolved: true`, its default.

    `expires` must be longer than Alertmanager's `repeat_interval`.
    """

    def read(self, headers: Mapping[str, str], body: Any) -> Iterator[Report]:
        sent = an_object(body, "the body")
        if sent.get("version") not in ("4", None):
            raise Unreadable(f"webhooks of Alertmanager are read in version 4, not {sent.get('version')!r}")
        for alert in objects(sent.get("alerts"), "`alerts`"):
            labels = an_object(alert.get("labels"), "`labels`")
            notes = an_object(alert.get("annotations") or {}, "`annotations`")
            name = str(labels.get("alertname") or "alert")
            firing = alert.get("status") == "firing"
            said = [str(notes[key]) for key in ("summary", "description", "message") if notes.get(key)]
            yield self.a_report(
                ident=f"{name} {alert.get('fingerprint') or sorted(labels.items())}",
                name=name,
                firing=firing,
                labels=labels,
                severity=labels.get("severity"),
                text=": ".join(said[:2]),
                since=alert.get("startsAt" if firing else "endsAt"),
                url=str(notes.get("runbook_url") or alert.get("generatorURL") or ""),
            )
