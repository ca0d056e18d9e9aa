"""Alerts of anything that posts JSON: what means what is said in CEL. CloudEvents are read as they are."""

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from aiops.model.signal import Report
from aiops.plugin import Fatal
from aiops.plugin.expression import Expression, ExpressionError, checked
from connectors._alerts import AlertReceiver, Unreadable, objects


def _over(*known: str) -> Any:
    def check(text: str) -> str:
        if text:
            checked(text, known)
        return text

    return AfterValidator(check)


OverBody = Annotated[str, _over("body")]
OverAlert = Annotated[str, _over("alert", "body")]


class JsonAlerts(AlertReceiver):
    """Takes alerts as JSON at ``/receive/<name>``, by CEL over `body`, and over `alert`, each one of them.

    A CloudEvent (https://cloudevents.io), structured, binary or in a batch, is `body` with its attributes and
    its `data`.
    """

    each: OverBody = Field(
        "", description="The list of alerts, such as `body.items`; `body` itself when empty."
    )
    id: OverAlert = Field(description="What tells an alert from others, and is the same when it is over.")
    firing: OverAlert = Field(description="Whether it fires, such as `alert.state != 'ok'`.")
    alert_name: OverAlert = Field(
        "", description="What it is called, in a few words that do not change; its source's name when empty."
    )
    alert_labels: OverAlert = Field(
        "",
        description="Its labels, as a map, such as `{'service': alert.app}`; by them it finds its problem.",
    )
    level: OverAlert = Field("", description="Its severity, in their word for it.")
    text: OverAlert = Field("", description="What is wrong, in words.")
    since: OverAlert = Field("", description="Since when, or when it was over: an ISO time.")
    value: OverAlert = Field("", description="The number that it is about.")
    link: OverAlert = Field("", description="Where to read on.")

    def delivery(self, headers: Mapping[str, str], body: Any) -> str:
        event = _event(headers, body)
        ident = (
            f"{event.get('source')} {event.get('id')}" if isinstance(event, dict) and _is_event(event) else ""
        )
        return ident or super().delivery(headers, body)

    def read(self, headers: Mapping[str, str], body: Any) -> Iterator[Report]:
        event = _event(headers, body)
        found = self._value("each", {"body": event}) if self.each else event
        for alert in objects(found if isinstance(found, list) else [found], "`each`"):
            context = {"alert": alert, "body": event}
            firing, labels = self._value("firing", context), self._value("alert_labels", context) or {}
            if not isinstance(firing, bool):
                raise Unreadable(f"`firing` gives {firing!r}, not true or false")
            if not isinstance(labels, dict):
                raise Unreadable(f"`alert_labels` gives {labels!r}, no map")
            name = self._text("alert_name", context) or self.name
            yield self.a_report(
                ident=f"{name} {self._text('id', context)}",
                name=name,
                firing=firing,
                labels=labels,
                severity=self._text("level", context),
                text=self._text("text", context),
                since=self._text("since", context),
                url=self._text("link", context),
                value=self._value("value", context),
            )

    def _value(self, key: str, context: Mapping[str, Any]) -> Any:
        """Raises `Fatal` that names the key."""
        text = getattr(self, key)
        try:
            return Expression(text).value(context) if text else None
        except ExpressionError as why:
            raise Fatal(f"`{key}` of source {self.name}: {why}") from why

    def _text(self, key: str, context: Mapping[str, Any]) -> str:
        found = self._value(key, context)
        return "" if found is None else str(found)


def _event(headers: Mapping[str, str], body: Any) -> Any:
    """The body, or the CloudEvent that headers and body are together."""
    if "ce-specversion" in headers:
        attributes = {name[3:]: value for name, value in headers.items() if name.startswith("ce-")}
        return {**attributes, "data": body}
    if isinstance(body, list):
        return [_plain(one) for one in body]
    return _plain(body)


def _plain(event: Any) -> Any:
    """Data in base64 is read, where it is JSON."""
    if not (isinstance(event, dict) and _is_event(event) and isinstance(event.get("data_base64"), str)):
        return event
    try:
        return {**event, "data": json.loads(base64.b64decode(event["data_base64"]))}
    except ValueError as why:
        raise Unreadable("`data_base64` holds no JSON") from why


def _is_event(body: Mapping[str, Any]) -> bool:
    return "specversion" in body and "id" in body
