"""Deploys, rollouts, releases and config changes: what delivery tools tell by webhook."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import replace

from pydantic import Field

from aiops.model.frame import Change
from aiops.model.series import labels_of
from aiops.plugin import Receiver, Secret
from aiops.plugin.connector import Emit, Reply, Route
from connectors._change_shapes import NoChange, read
from connectors._receive_auth import refused


class Changes(Receiver):
    """Takes changes as JSON at ``/receive/<name>``: they join problems' timelines and the ranking of causes.

    Known shapes: GitHub and GitLab webhooks, Argo CD (the Application object), Flux and Kubernetes events,
    Jenkins, CloudEvents and CDEvents; else ``{title, kind?, time?, labels?, url?, detail?}`` or a list.
    """

    bearer: Secret | None = Field(None, description="Where the token is that senders must show.")
    secret: Secret | None = Field(
        None, description="Where the secret is that GitHub signs with, or that GitLab sends as its token."
    )
    services: dict[str, str] = Field(
        {}, description="What a repository, app or job is called in metrics: its value of `service`."
    )

    def routes(self) -> list[Route]:
        return [Route("POST", "/", self._take)]

    async def _take(self, body: bytes, headers: Mapping[str, str], emit: Emit) -> Reply:
        if (answer := refused(self.bearer, headers) or self._unsigned(body, headers)) is not None:
            return answer
        try:
            found = read(headers, json.loads(body))
        except NoChange as why:
            return Reply(422, f"{why}\n".encode())
        except (ValueError, RecursionError):
            return Reply(400, b"the body is no JSON\n")
        for change in found:
            await emit(self._named(change))
        return Reply(202, f"{len(found)} taken\n".encode())

    def _named(self, change: Change) -> Change:
        labels = {**dict(change.labels), **self.labels}
        if service := labels.get("service"):
            labels["service"] = self.services.get(service, service)
        return replace(change, labels=labels_of(labels))

    def _unsigned(self, body: bytes, headers: Mapping[str, str]) -> Reply | None:
        """The refusal of a request that the secret does not vouch for."""
        if self.secret is None:
            return None
        try:
            secret = self.secret.read().get_secret_value().encode()
        except ValueError as why:
            return Reply(503, f"{why}\n".encode())
        signed = "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
        shown = headers.get("x-hub-signature-256", ""), headers.get("x-gitlab-token", "").encode()
        if hmac.compare_digest(shown[0].encode(), signed.encode()) or hmac.compare_digest(shown[1], secret):
            return None
        return Reply(401, b"this needs a signature (X-Hub-Signature-256) or a token (X-Gitlab-Token)\n")
