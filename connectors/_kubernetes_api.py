"""The Kubernetes API over HTTP: who we are, lists in pages, and watches that go on where they ended.

https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes. A watch is asked
for one second at a time: whatever happened since the last one comes at once, and no connection is left half
open. The engine's schedule is the schedule.
"""

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import httpx
import orjson
from pydantic import Field, model_validator

from aiops.plugin import Fatal, NotConnected, Plugin, Retryable, Secret
from connectors._prometheus_http import Tls

log = logging.getLogger("aiops.connectors")

_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_PAGE = 500
_MOST = 64 << 20
"""Bytes of one page, or of one line of a watch."""
_TRIES = 3

T = TypeVar("T")


class Access(Plugin):
    """Where the API server is and who we are; in a pod nothing is needed."""

    api: str = Field("", description="Address of the API server; the cluster's own when left out.")
    token: Secret | None = Field(None, description="Where the token is; the pod's own when left out.")
    tls: Tls | None = Field(None, description="Certificates; the pod's own authority when left out.")

    @model_validator(mode="after")
    def _somewhere(self) -> "Access":
        if self.api and not self.api.startswith(("http://", "https://")):
            raise ValueError(f"expected an address such as https://10.0.0.1:6443, got {self.api!r}")
        return self

    def client(self, timeout: float) -> httpx.AsyncClient:
        """Raises `Fatal`."""
        host = os.environ.get("KUBERNETES_SERVICE_HOST", "")
        port = os.environ.get("KUBERNETES_SERVICE_PORT", "")
        literal = f"[{host}]" if ":" in host else host
        address = self.api or (f"https://{literal}:{port or 443}" if host else "")
        if not address:
            raise Fatal("kubernetes: this is no pod; give the address of the API server as api")
        ca = _ACCOUNT / "ca.crt"
        tls = self.tls or Tls.model_validate({"ca": ca if ca.exists() and not self.api else None})
        return httpx.AsyncClient(base_url=address, verify=tls.context(), timeout=timeout)

    def headers(self) -> dict[str, str]:
        """Read anew each time: tokens of pods are exchanged every hour. Raises `Fatal`."""
        try:
            if self.token:
                return {"authorization": f"Bearer {self.token.read().get_secret_value()}"}
            own = _ACCOUNT / "token"
            # our own token is for our own cluster only
            mine = own.exists() and not self.api
            return {"authorization": f"Bearer {own.read_text().strip()}"} if mine else {}
        except (ValueError, OSError) as why:
            raise Fatal(f"kubernetes: {why}") from why


class Gone(Exception):
    """The server no longer knows the version that was asked from: only a list helps."""


@dataclass
class Collection(Generic[T]):
    """All objects under one path as they are now, each as `reduce` makes it."""

    path: str
    reduce: Callable[[Mapping[str, Any]], T]
    select: Mapping[str, str] = field(default_factory=dict)
    items: dict[str, T] = field(default_factory=dict)
    """By uid."""
    version: str = ""
    """What the next watch goes on from; empty: a list comes first."""
    lists: int = 0

    async def refresh(self, client: httpx.AsyncClient, headers: Mapping[str, str]) -> None:
        """Bring `items` up to date. Raises `PluginError`; what was taken in until then stays, and counts."""
        try:
            for _ in range(_TRIES):
                try:
                    if not self.version:
                        await self._list(client, headers)
                    else:
                        await self._watch(client, headers)
                    return
                except Gone:
                    log.info("kubernetes: %s is listed anew: its version has expired", self.path)
                    self.version = ""
            raise Retryable(f"kubernetes: {self.path}: its version expires again and again")
        except httpx.HTTPError as why:
            raise NotConnected(f"kubernetes: {client.base_url}: {why!r}") from why
        except (ValueError, KeyError, TypeError, AttributeError) as why:
            raise Retryable(f"kubernetes: {self.path}: not an answer of an API server: {why!r}") from why

    async def _list(self, client: httpx.AsyncClient, headers: Mapping[str, str]) -> None:
        found: dict[str, T] = {}
        following = ""
        while True:
            asked = {"limit": str(_PAGE), **self.select} | ({"continue": following} if following else {})
            answer = await client.get(self.path, params=asked, headers=headers)
            _judge(answer.status_code, answer.content[:500], self.path, answer.headers)
            if len(answer.content) > _MOST:
                raise Retryable(f"kubernetes: {self.path}: more than {_MOST >> 20} MiB a page")
            document = orjson.loads(answer.content)
            found |= {one["metadata"]["uid"]: self.reduce(one) for one in document.get("items") or []}
            following = document["metadata"].get("continue", "")
            if not following:
                break
        # whole, or not at all: of a list that breaks off nothing may look deleted
        self.items, self.version = found, document["metadata"]["resourceVersion"]
        self.lists += 1

    async def _watch(self, client: httpx.AsyncClient, headers: Mapping[str, str]) -> None:
        asked = {"watch": "1", "timeoutSeconds": "1", "allowWatchBookmarks": "true", **self.select}
        asked["resourceVersion"] = self.version
        async with client.stream("GET", self.path, params=asked, headers=headers) as answer:
            if answer.status_code != 200:
                _judge(answer.status_code, (await answer.aread())[:500], self.path, answer.headers)
            rest = b""
            async for chunk in answer.aiter_bytes():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    if line.strip():
                        self._take(orjson.loads(line))
                if len(rest) > _MOST:
                    raise Retryable(f"kubernetes: {self.path}: an event of more than {_MOST >> 20} MiB")

    def _take(self, event: Mapping[str, Any]) -> None:
        what, about = event["type"], event["object"]
        if what == "ERROR":
            _judge(int(about.get("code", 500)), str(about.get("message", "")).encode(), self.path, {})
            raise Retryable(f"kubernetes: {self.path}: {about.get('message', 'an error without a text')}")
        meta = about["metadata"]
        if what == "DELETED":
            self.items.pop(meta["uid"], None)
        elif what in ("ADDED", "MODIFIED"):
            self.items[meta["uid"]] = self.reduce(about)
        self.version = meta["resourceVersion"]


def _judge(status: int, body: bytes, path: str, headers: Mapping[str, str]) -> None:
    """Raises `Gone` or `PluginError` unless the answer is a good one."""
    if status < 300:
        return
    try:
        said = orjson.loads(body).get("message", "")
    except (ValueError, AttributeError):
        said = body.decode(errors="replace").strip()
    text = f"kubernetes: {path}: {status} {said[:300]}"
    if status == 410:
        raise Gone
    if status in (401, 403, 404):
        hint = {
            401: "is the token right?",
            403: "grant get, list and watch (the chart's rbac.read)",
            404: "this cluster has no such resource: leave it out of `watch`",
        }
        raise Fatal(f"{text}: {hint[status]}")
    after = headers.get("retry-after", "")
    raise Retryable(text, after=float(after) if after.isdigit() else None)
