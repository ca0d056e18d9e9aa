"""What receivers of other systems' alerts share: who may post, what is a repeat, severities in our words."""

import json
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import Field, PrivateAttr

from aiops.model.series import NAME, Labels, labels_of
from aiops.model.signal import Report, Severity
from aiops.plugin import Duration, PluginError, Receiver, Secret, Unproven
from aiops.plugin.connector import Emit, Reply, Reports, Route
from aiops.plugin.signed import hashed
from aiops.plugin.ticketing import moment
from connectors._receive_auth import refused

OUR_OWN = "forewarn_key"
"""A label of what our own sink `alertmanager` sends: it must not come back as news."""
MOST_REMEMBERED = 10_000
LONGEST = 1000

WORDS = {
    **dict.fromkeys(("critical", "crit", "fatal", "emergency", "disaster", "page", "p1"), Severity.CRITICAL),
    **dict.fromkeys(("error", "err", "major", "high", "severe", "alert", "p2"), Severity.MAJOR),
    **dict.fromkeys(("warning", "warn", "minor", "medium", "average", "p3"), Severity.MINOR),
    **dict.fromkeys(
        ("info", "informational", "low", "notice", "none", "debug", "ok", "p4", "p5"), Severity.INFO
    ),
}


class Unreadable(ValueError):
    """What was posted is not what this kind takes; the message says what is missing."""


class AlertReceiver(Receiver):
    """Takes alerts of another system; they fire and resolve as that system says."""

    bearer: Secret | None = Field(None, description="Where the token is that senders must show.")
    secret: Secret | None = Field(
        None, description="With which senders sign: X-Hub-Signature-256, or X-Grafana-Alerting-Signature."
    )
    severities: dict[str, Severity] = Field(
        default_factory=dict, description="Their words for severities -> ours; usual words are known."
    )
    severity: Severity = Field(Severity.MINOR, description="Of an alert that names none, or an unknown one.")
    leave_out: list[str] = Field(
        ["severity"], description="Labels of theirs that are not taken over; they do not tell alerts apart."
    )
    expires: Duration = Field(
        86400.0, description="An alert of which nothing more is heard for this long is taken for over.", gt=0
    )

    _heard: dict[str, None] = PrivateAttr(default_factory=dict)
    """Ids of deliveries, the oldest first."""

    def routes(self) -> list[Route]:
        return [Route("POST", "", self._take)]

    @abstractmethod
    def read(self, headers: Mapping[str, str], body: Any) -> Iterable[Report]:
        """The alerts in a JSON body. Raises `Unreadable`, or `Fatal` for an expression that fails."""

    def delivery(self, headers: Mapping[str, str], body: Any) -> str:
        """The sender's name for this one delivery; empty where it has none."""
        return headers.get("webhook-id") or headers.get("x-delivery-id") or ""

    def welcome(self, body: Any) -> Reply:
        """The answer to what was taken."""
        return Reply(204)

    async def _take(self, body: bytes, headers: Mapping[str, str], emit: Emit) -> Reply:
        if (no := refused(self.bearer, headers) or self._unsigned(headers, body)) is not None:
            return no
        try:
            sent = json.loads(body)
        except (ValueError, RecursionError):
            return Reply(400, b"the body is no JSON\n")
        if (no := self.refusal(sent)) is not None:
            return no
        ident = self.delivery(headers, sent)
        if ident in self._heard:
            return self.welcome(sent)
        try:
            reports = [report for report in self.read(headers, sent) if OUR_OWN not in dict(report.labels)]
        except (Unreadable, PluginError) as why:
            return Reply(400, f"{why}\n".encode())
        if reports:
            await emit(Reports(reports))
        if ident:
            self._heard[ident] = None
            if len(self._heard) > MOST_REMEMBERED:
                del self._heard[next(iter(self._heard))]
        return self.welcome(sent)

    def refusal(self, body: Any) -> Reply | None:
        """The answer to a sender who may not post; None for one who may."""
        return None

    def _unsigned(self, headers: Mapping[str, str], body: bytes) -> Reply | None:
        if self.secret is None:
            return None
        grafana = "x-grafana-alerting-signature"
        header, prefix = (grafana, "") if grafana in headers else ("x-hub-signature-256", "sha256=")
        try:
            hashed(self.secret.read().get_secret_value(), headers, header, body, prefix)
        except Unproven as why:
            return Reply(401, f"{why}\n".encode())
        except ValueError as why:
            return Reply(503, f"{why}\n".encode())
        return None

    def a_report(
        self,
        ident: str,
        name: str,
        firing: bool,
        labels: Mapping[str, Any],
        severity: Any = "",
        text: str = "",
        since: Any = None,
        url: str = "",
        value: Any = None,
    ) -> Report:
        """In our words. `since` is an ISO time, or anything else for none."""
        word = str(severity or "").strip().lower()
        own = {str(k): v for k, v in self.severities.items()}
        level = own.get(word) or own.get(str(severity)) or WORDS.get(word, self.severity)
        number = (
            float(value) if isinstance(value, int | float) and not isinstance(value, bool) else float("nan")
        )
        return Report(
            ident=ident[:200],
            firing=firing,
            labels=self._labels(name, labels),
            at=moment(since) or float("nan"),
            severity=level,
            text=text[:LONGEST] or name,
            url=url[:LONGEST],
            observed=number,
            lasts=self.expires,
        )

    def _labels(self, name: str, labels: Mapping[str, Any]) -> Labels:
        left_out = {*self.leave_out, "alertname"}
        kept = {str(k): str(v) for k, v in labels.items() if str(k) not in left_out and v not in (None, "")}
        return labels_of({**kept, **self.labels, NAME: name})


def an_object(value: Any, what: str) -> Mapping[str, Any]:
    """Raises `Unreadable`."""
    if not isinstance(value, dict):
        raise Unreadable(f"{what} is no JSON object")
    return value


def objects(value: Any, what: str) -> list[Mapping[str, Any]]:
    """Raises `Unreadable`."""
    if not isinstance(value, list):
        raise Unreadable(f"{what} is no list")
    return [an_object(one, f"an entry of {what}") for one in value]
