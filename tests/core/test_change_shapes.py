"""What delivery tools post, as changes. The bodies are cut from the tools' own documentation."""

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest

from aiops.model.frame import Change
from connectors._change_shapes import NoChange, read
from connectors.changes import Changes

AT = 1_767_225_600.0
ISO = "2026-01-01T00:00:00Z"

DEPLOYED = {
    "action": "created",
    "deployment": {
        "ref": "main",
        "sha": "a84d88e7554fc1fa21bcbc4efae3c782a70d2b9d",
        "environment": "production",
    },
    "deployment_status": {"state": "success", "updated_at": ISO, "log_url": "https://ci/1"},
    "repository": {"name": "shop"},
    "sender": {"login": "octocat"},
}
ARGO = {
    "app": {
        "metadata": {"name": "shop"},
        "spec": {"destination": {"namespace": "prod"}},
        "status": {
            "sync": {"status": "Synced", "revision": "a84d88e7554fc1fa21bc"},
            "operationState": {"phase": "Succeeded", "finishedAt": ISO},
            "health": {"status": "Progressing"},
        },
    }
}
FLUX = {
    "involvedObject": {"kind": "HelmRelease", "namespace": "prod", "name": "shop"},
    "reason": "UpgradeSucceeded",
    "message": "Helm upgrade succeeded",
    "timestamp": ISO,
    "metadata": {"helm.toolkit.fluxcd.io/revision": "6.5.4"},
}
GITLAB = {
    "object_kind": "deployment",
    "status": "success",
    "status_changed_at": "2026-01-01 00:00:00 +0000",
    "environment": "staging",
    "short_sha": "279484c0",
    "project": {"name": "shop"},
    "user": {"username": "root"},
}
JENKINS = {
    "name": "team/shop",
    "build": {
        "number": 7,
        "phase": "FINALIZED",
        "status": "SUCCESS",
        "timestamp": AT * 1000,
        "full_url": "http://j/7",
    },
}
CDEVENT = {
    "specversion": "1.0",
    "type": "dev.cdevents.service.deployed.0.2.0",
    "time": ISO,
    "subject": {
        "id": "shop",
        "content": {"environment": {"id": "prod"}, "artifactId": "pkg:oci/shop@sha256:1"},
    },
}


@pytest.mark.parametrize(
    ("headers", "body", "kind", "title", "labels"),
    [
        ({"x-github-event": "deployment_status"}, DEPLOYED, "deploy", "shop main to production: success",
         {"service": "shop", "environment": "production"}),
        ({}, ARGO, "rollout", "shop a84d88e7554f sync: Succeeded", {"service": "shop", "namespace": "prod"}),
        ({}, FLUX, "rollout", "HelmRelease shop UpgradeSucceeded: Helm upgrade succeeded",
         {"service": "shop", "namespace": "prod"}),
        ({"x-gitlab-event": "Deployment Hook"}, GITLAB, "deploy", "shop 279484c0 to staging: success",
         {"service": "shop", "environment": "staging"}),
        ({}, JENKINS, "pipeline", "team/shop #7: SUCCESS", {"service": "shop"}),
        ({}, CDEVENT, "deploy", "shop service deployed", {"service": "shop"}),
        ({"ce-type": "com.example.config", "ce-time": ISO},
         {"title": "ttl 5 -> 9", "service": "dns", "time": AT}, "change", "ttl 5 -> 9", {"service": "dns"}),
        ({}, {"title": "maxmemory 1 -> 2 GB", "kind": "config", "time": AT * 1e9, "labels": {"host": "db-1"}},
         "config", "maxmemory 1 -> 2 GB", {"host": "db-1"}),
    ],
)  # fmt: skip
def test_each_shape(
    headers: dict[str, str], body: Any, kind: str, title: str, labels: dict[str, str]
) -> None:
    (change,) = read(headers, body)
    assert (change.kind, change.time, dict(change.labels)) == (kind, AT, labels)
    assert change.title == title


def test_events_that_change_nothing_are_taken_and_leave_nothing() -> None:
    assert read({"x-github-event": "ping"}, {"zen": "Keep it logically awesome."}) == []
    pending = DEPLOYED | {"deployment_status": {"state": "pending"}}
    assert read({"x-github-event": "deployment_status"}, pending) == []


def test_a_list_is_as_many_and_a_time_that_is_not_told_is_not_known() -> None:
    one, other = read({}, [{"title": "a"}, {"message": "b"}])
    assert (one.title, other.title) == ("a", "b")
    assert one.time != one.time


@pytest.mark.parametrize(
    "body", ["text", 7, {}, {"title": "x", "time": "soon"}, {"title": "x", "labels": ["service"]}, [[1]]]
)
def test_what_is_no_change_says_why(body: Any) -> None:
    with pytest.raises(NoChange):
        read({}, body)


async def test_the_receiver_proves_the_sender_and_names_the_service(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret")
    source = Changes.model_validate(
        {
            "secret": {"file": str(tmp_path / "secret")},
            "services": {"shop": "checkout"},
            "labels": {"zone": "eu"},
        }
    )
    (route,) = source.routes()
    taken: list[Any] = []

    async def emit(batch: Any) -> None:
        taken.append(batch)

    body = json.dumps(DEPLOYED).encode()
    headers = {"x-github-event": "deployment_status"}
    assert (await route.handle(body, headers, emit)).status == 401
    signed = "sha256=" + hmac.new(b"s3cret", body, hashlib.sha256).hexdigest()
    assert (await route.handle(body + b" ", headers | {"x-hub-signature-256": signed}, emit)).status == 401
    assert taken == []
    assert (await route.handle(body, headers | {"x-hub-signature-256": signed}, emit)).status == 202
    (change,) = taken
    assert isinstance(change, Change)
    assert dict(change.labels) == {"service": "checkout", "environment": "production", "zone": "eu"}
    token = {"x-gitlab-token": "s3cret"}
    assert (await route.handle(b"{", token, emit)).status == 400
    assert (await route.handle(b"{}", token, emit)).status == 422
