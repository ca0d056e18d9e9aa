"""What Grafana's alerting posts to a webhook contact point.

https://grafana.com/docs/grafana/latest/alerting/configure-notifications/manage-contact-points/integrations/webhook-notifier/
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from aiops.model.signal import Report
from connectors._alerts import AlertReceiver, an_object, objects

BROKEN = ("DatasourceNoData", "DatasourceError")
"""Names of alerts by which Grafana says that it could not look."""


class GrafanaAlerts(AlertReceiver):
    """Takes alerts of Grafana 9 and later at ``/receive/<name>``."""

    def read(self, headers: Mapping[str, str], body: Any) -> Iterator[Report]:
        sent = an_object(body, "the body")
        for alert in objects(sent.get("alerts"), "`alerts`"):
            labels = an_object(alert.get("labels"), "`labels`")
            notes = an_object(alert.get("annotations") or {}, "`annotations`")
            name = str(labels.get("alertname") or "alert")
            firing = alert.get("status") == "firing"
            values = alert.get("values")
            numbers = list(values.values()) if isinstance(values, dict) else []
            said = str(notes.get("summary") or notes.get("description") or name)
            if name in BROKEN:
                said = f"Grafana cannot look: {labels.get('rulename') or said}"
            links = (notes.get("runbook_url"), alert.get("panelURL"), alert.get("generatorURL"))
            yield self.a_report(
                ident=f"{name} {alert.get('fingerprint') or json.dumps(labels, sort_keys=True)}",
                name=name,
                firing=firing,
                labels={k: v for k, v in labels.items() if not k.startswith("__")},
                severity=labels.get("severity"),
                text=said,
                since=alert.get("startsAt" if firing else "endsAt"),
                url=str(next((link for link in links if link), "")),
                value=numbers[0] if len(numbers) == 1 else None,
            )
