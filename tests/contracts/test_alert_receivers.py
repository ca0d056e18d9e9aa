"""Alerts of other systems, as those post them, and what is made of each."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

import pytest

from aiops.model.series import NAME
from aiops.model.signal import Report, Severity
from aiops.plugin import Receiver
from aiops.plugin.connector import Batch, Reply, Reports
from aiops.plugin.load import load

SINCE = "2026-01-01T10:00:00Z"
AT = 1_767_261_600.0


def a_receiver(kind: str, monkeypatch: pytest.MonkeyPatch, **fields: Any) -> Receiver:
    monkeypatch.setenv("ALERT_KEY", "s3cret-of-the-sender")
    return load("connectors", kind, Receiver).model_validate({"name": "others", **fields})  # type: ignore[type-abstract]


async def post(receiver: Receiver, body: Any, **headers: str) -> tuple[Reply, list[Report]]:
    taken: list[Report] = []

    async def emit(batch: Batch) -> None:
        assert isinstance(batch, Reports)
        taken.extend(batch.reports)

    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await receiver.routes()[0].handle(sent, named, emit), taken


def labels_of(report: Report) -> dict[str, str]:
    return dict(report.labels)


def alertmanager(status: str = "firing", **labels: str) -> dict[str, Any]:
    """As documented for version 4 of the webhook."""
    one = {
        "status": status,
        "labels": {"alertname": "DiskFull", "instance": "db-1:9100", "severity": "critical", **labels},
        "annotations": {"summary": "The disk is full", "description": "/ has 1 % left"},
        "startsAt": SINCE,
        "endsAt": "0001-01-01T00:00:00Z" if status == "firing" else "2026-01-01T11:00:00Z",
        "generatorURL": "http://prometheus/graph",
        "fingerprint": "c0ffee",
    }
    return {"version": "4", "groupKey": "{}:{}", "status": status, "receiver": "forewarn", "alerts": [one]}


async def test_alertmanager_firing_then_resolved_is_one_alert(monkeypatch: pytest.MonkeyPatch) -> None:
    receiver = a_receiver("alertmanager_alerts", monkeypatch, labels={"site": "b"}, expires="8h")
    reply, (fires,) = await post(receiver, alertmanager())
    _, (over,) = await post(receiver, alertmanager("resolved"))
    assert reply.status == 204
    assert labels_of(fires) == {NAME: "DiskFull", "instance": "db-1:9100", "site": "b"}
    assert (fires.firing, fires.severity, fires.at, fires.lasts) == (True, Severity.CRITICAL, AT, 8 * 3600)
    assert (fires.text, fires.url) == ("The disk is full: / has 1 % left", "http://prometheus/graph")
    assert (over.ident, over.firing, over.at) == (fires.ident, False, AT + 3600)


async def test_what_our_own_sink_sends_does_not_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    receiver = a_receiver("alertmanager_alerts", monkeypatch)
    reply, taken = await post(receiver, alertmanager(alertname="ForewarnProblem", forewarn_key="fw-1"))
    assert (reply.status, taken) == (204, [])


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html>", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        ([], "the body is no JSON object"),
        ({"version": "3", "alerts": []}, "version 4"),
        ({"alerts": None}, "`alerts` is no list"),
        ({"alerts": [{"labels": "x"}]}, "`labels` is no JSON object"),
    ],
)
async def test_what_cannot_be_read_is_refused_with_a_reason(
    monkeypatch: pytest.MonkeyPatch, body: Any, words: str
) -> None:
    reply, taken = await post(a_receiver("alertmanager_alerts", monkeypatch), body)
    assert (reply.status, taken) == (400, [])
    assert words in reply.body.decode()


async def test_who_may_post(monkeypatch: pytest.MonkeyPatch) -> None:
    key, body = {"env": "ALERT_KEY"}, json.dumps(alertmanager()).encode()
    shown = a_receiver("alertmanager_alerts", monkeypatch, bearer=key)
    assert (await post(shown, body))[0].status == 401
    assert (await post(shown, body, authorization="Bearer s3cret-of-the-sender"))[0].status == 204
    signed = a_receiver("grafana_alerts", monkeypatch, secret=key)
    good = hmac.new(b"s3cret-of-the-sender", body, hashlib.sha256).hexdigest()
    assert (await post(signed, body, x_hub_signature_256=f"sha256={good}"))[0].status == 204
    assert (await post(signed, body, x_grafana_alerting_signature=good))[0].status == 204
    reply, taken = await post(signed, body + b" ", x_hub_signature_256=f"sha256={good}")
    assert (reply.status, taken) == (401, [])
    monkeypatch.delenv("ALERT_KEY")
    assert (await post(signed, body, x_grafana_alerting_signature=good))[0].status == 503


async def test_a_delivery_that_comes_twice_is_taken_once(monkeypatch: pytest.MonkeyPatch) -> None:
    receiver = a_receiver("alertmanager_alerts", monkeypatch)
    assert len((await post(receiver, alertmanager(), webhook_id="d-1"))[1]) == 1
    again, taken = await post(receiver, alertmanager(), webhook_id="d-1")
    assert (again.status, taken) == (204, [])


async def test_grafana_with_its_value_and_when_it_cannot_look(monkeypatch: pytest.MonkeyPatch) -> None:
    one = {
        "status": "firing",
        "labels": {
            "alertname": "High load",
            "grafana_folder": "Ops",
            "host": "web-1",
            "__alert_rule_uid__": "x",
        },
        "annotations": {"summary": "load is 12"},
        "startsAt": SINCE,
        "values": {"B": 12.5},
        "fingerprint": "f1",
        "generatorURL": "http://grafana/alerting/x",
        "panelURL": "http://grafana/d/x",
    }
    broken = {**one, "labels": {"alertname": "DatasourceError", "rulename": "High load"}, "fingerprint": "f2"}
    receiver = a_receiver("grafana_alerts", monkeypatch, severity="major")
    _, (load_, error) = await post(receiver, {"receiver": "forewarn", "alerts": [one, broken]})
    assert labels_of(load_) == {NAME: "High load", "grafana_folder": "Ops", "host": "web-1"}
    assert (load_.observed, load_.severity, load_.url) == (12.5, Severity.MAJOR, "http://grafana/d/x")
    assert error.text == "Grafana cannot look: High load"


def event(action: str, **payload: Any) -> dict[str, Any]:
    return {"routing_key": "s3cret-of-the-sender", "event_action": action, "dedup_key": "k1", **payload}


async def test_pagerduty_events_are_answered_as_pagerduty_does(monkeypatch: pytest.MonkeyPatch) -> None:
    receiver = a_receiver("pagerduty_alerts", monkeypatch, routing_key={"env": "ALERT_KEY"})
    assert [route.path for route in receiver.routes()] == ["/v2/enqueue", ""]
    payload = {"summary": "db is down", "source": "db-1", "severity": "error", "class": "ping"}
    more = {"timestamp": SINCE, "custom_details": {"rack": 7, "deep": {"a": 1}}}
    reply, (fires,) = await post(receiver, event("trigger", payload=payload | more))
    _, acknowledged = await post(receiver, event("acknowledge"))
    _, (over,) = await post(receiver, event("resolve"))
    assert (reply.status, json.loads(reply.body)["dedup_key"]) == (202, "k1")
    assert labels_of(fires) == {NAME: "ping", "class": "ping", "instance": "db-1", "rack": "7"}
    assert (fires.severity, fires.at, acknowledged) == (Severity.MAJOR, AT, [])
    assert (over.ident, over.firing) == (fires.ident, False)
    wrong, taken = await post(receiver, {**event("trigger", payload=payload), "routing_key": "x"})
    assert (wrong.status, taken) == (401, [])
    assert (await post(receiver, event("explode")))[0].status == 400


CEL = {
    "each": "body.checks.filter(c, c.kind == 'check')",
    "id": "alert.host + '/' + alert.name",
    "firing": "alert.state != 'OK'",
    "alert_name": "alert.name",
    "alert_labels": "{'host': alert.host, 'port': alert.port}",
    "level": "alert.state == 'CRITICAL' ? 'critical' : 'warning'",
    "text": "alert.host + ': ' + alert.output",
    "value": "alert.value",
}


async def test_any_json_by_cel(monkeypatch: pytest.MonkeyPatch) -> None:
    receiver = a_receiver("json_alerts", monkeypatch, **CEL)
    check = {"kind": "check", "host": "web-1", "port": 80, "name": "http", "output": "slow", "value": 3}
    checks = [{**check, "state": "CRITICAL"}, {**check, "state": "OK", "port": 81}, {"kind": "ping"}]
    _, (fires, over) = await post(receiver, {"checks": checks})
    assert labels_of(fires) == {NAME: "http", "host": "web-1", "port": "80"}
    assert (fires.text, fires.observed, fires.severity) == ("web-1: slow", 3.0, Severity.CRITICAL)
    assert (fires.firing, over.firing, over.ident) == (True, False, fires.ident)
    reply, taken = await post(receiver, {"checks": [{"kind": "check", "host": "web-1"}]})
    assert (reply.status, taken) == (400, [])
    assert "`firing` of source others" in reply.body.decode()


def test_an_expression_over_what_is_not_there_is_refused_when_read(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        ValueError, match=r"`problem` is not known here; expressions speak of `alert`, `body`"
    ):
        a_receiver("json_alerts", monkeypatch, id="problem.id", firing="true")


@pytest.mark.parametrize("form", ["structured", "binary", "batch", "base64"])
async def test_cloud_events_in_each_form(monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    receiver = a_receiver(
        "json_alerts",
        monkeypatch,
        id="alert.subject",
        firing="!alert.type.endsWith('.resolved')",
        text="alert.data.what",
    )
    attributes = {
        "specversion": "1.0",
        "id": "e-1",
        "source": "/mon",
        "type": "check.failed",
        "subject": "db-1",
    }
    data, headers = {"what": "no answer"}, {}
    body: Mapping[str, Any] | list[Any] = {**attributes, "data": data}
    if form == "binary":
        body, headers = data, {f"ce_{name}": value for name, value in attributes.items()}
    elif form == "batch":
        body = [body]
    elif form == "base64":
        body = {**attributes, "data_base64": "eyJ3aGF0IjogIm5vIGFuc3dlciJ9"}
    _, (fires,) = await post(receiver, body, **headers)
    assert (fires.ident, fires.firing, fires.text) == ("others db-1", True, "no answer")
    _, again = await post(receiver, body, **headers)
    assert len(again) == (1 if form == "batch" else 0), "the same source and id are the same event"
