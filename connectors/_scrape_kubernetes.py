"""Targets that Kubernetes knows: pods, nodes, or what is behind services.

API: https://kubernetes.io/docs/reference/kubernetes-api/ (v1 Pod, Node, Service; discovery.k8s.io/v1
EndpointSlice), listed in pages. Annotations ``prometheus.io/scrape``, ``port``, ``path`` and ``scheme`` are
heeded as usual.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Literal

import httpx
import orjson
from pydantic import Field

from aiops.plugin import Duration
from connectors._kubernetes_api import Access
from connectors._scrape_targets import PATH, SCHEME

_PAGE = 500
_MOST = 64 << 20
_ANNOTATION = "prometheus.io/"


class Kubernetes(Access):
    """Discovery by the API server; in a pod nothing more than `role` is needed."""

    role: Literal["pod", "node", "service"] = Field(
        "pod",
        description="pod: annotated pods; service: ready endpoints of annotated services; node: kubelets.",
    )
    namespaces: list[str] = Field([], description="Namespaces that are looked into; none: all.")
    selector: str = Field("", description="Label selector, such as app=api,tier!=test.")
    annotated: bool = Field(
        True, description="Only with annotation prometheus.io/scrape: true; else every declared TCP port."
    )
    label_names: list[str] = Field(
        ["app", "app.kubernetes.io/name", "app.kubernetes.io/component"],
        description="Kubernetes labels that series get; signs other than letters and digits become _.",
    )
    refresh: Duration = Field(30.0, gt=0, description="How often it asks what there is.")

    async def groups(self, client: httpx.AsyncClient) -> list[tuple[list[str], dict[str, str]]]:
        """(addresses, labels) as in a target file. Raises `httpx.HTTPError`, ValueError or `Fatal`."""
        if self.role == "node":
            return [
                group async for one in self._list(client, "/api/v1", "nodes") for group in _node(one, self)
            ]
        if self.role == "pod":
            return [group async for one in self._list(client, "/api/v1", "pods") for group in _pod(one, self)]
        services = {
            (meta.get("namespace"), meta.get("name")): meta
            async for one in self._list(client, "/api/v1", "services")
            if _wanted(meta := one.get("metadata", {}), self)
        }
        slices = self._list(client, "/apis/discovery.k8s.io/v1", "endpointslices", select=False)
        return [group async for one in slices for group in _endpoints(one, services, self)]

    async def _list(
        self, client: httpx.AsyncClient, root: str, kind: str, select: bool = True
    ) -> AsyncIterator[dict[str, Any]]:
        spaces = self.namespaces if self.namespaces and kind != "nodes" else [""]
        for space in spaces:
            path = f"{root}/namespaces/{space}/{kind}" if space else f"{root}/{kind}"
            following = ""
            while True:
                asked = {"limit": str(_PAGE)} | ({"continue": following} if following else {})
                asked |= {"labelSelector": self.selector} if self.selector and select else {}
                answer = await client.get(path, params=asked, headers=self.headers())
                answer.raise_for_status()
                if len(answer.content) > _MOST:
                    raise ValueError(f"{path}: more than {_MOST >> 20} MiB a page")
                document = orjson.loads(answer.content)
                for item in document.get("items") or []:
                    yield item
                following = (document.get("metadata") or {}).get("continue", "")
                if not following:
                    break


def _annotations(meta: Mapping[str, Any]) -> dict[str, str]:
    found = (meta.get("annotations") or {}).items()
    return {name.removeprefix(_ANNOTATION): text for name, text in found if name.startswith(_ANNOTATION)}


def _wanted(meta: Mapping[str, Any], sd: Kubernetes) -> bool:
    return not sd.annotated or _annotations(meta).get("scrape") == "true"


def _labels(meta: Mapping[str, Any], sd: Kubernetes, **more: str) -> dict[str, str]:
    said = _annotations(meta)
    kept = {
        "".join(c if c.isalnum() else "_" for c in name): text
        for name, text in (meta.get("labels") or {}).items()
        if name in sd.label_names
    }
    asked = {
        SCHEME: said.get("scheme", ""),
        PATH: said.get("path", ""),
        "namespace": meta.get("namespace", ""),
    }
    return {name: text for name, text in (asked | kept | more).items() if text}


def _at(host: str, port: object) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _pod(pod: Mapping[str, Any], sd: Kubernetes) -> list[tuple[list[str], dict[str, str]]]:
    meta, spec, status = (pod.get(part) or {} for part in ("metadata", "spec", "status"))
    host = status.get("podIP")
    if not host or status.get("phase") in ("Succeeded", "Failed") or not _wanted(meta, sd):
        return []
    where = {"pod": meta.get("name", ""), "node": spec.get("nodeName", "")}
    port = _annotations(meta).get("port")
    if port:
        return [([_at(host, port)], _labels(meta, sd, **where))]
    return [
        ([_at(host, one["containerPort"])], _labels(meta, sd, container=container.get("name", ""), **where))
        for container in spec.get("containers") or []
        for one in container.get("ports") or []
        if one.get("protocol", "TCP") == "TCP" and "containerPort" in one
    ]


def _node(node: Mapping[str, Any], sd: Kubernetes) -> list[tuple[list[str], dict[str, str]]]:
    meta, status = node.get("metadata") or {}, node.get("status") or {}
    addresses = {one.get("type"): one.get("address", "") for one in status.get("addresses") or []}
    port = ((status.get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}).get("Port", 10250)
    host = addresses.get("InternalIP") or addresses.get("Hostname")
    labels = _labels(meta, sd, node=meta.get("name", ""))
    return [([_at(host, port)], {SCHEME: "https"} | labels)] if host else []


def _endpoints(
    piece: Mapping[str, Any], services: Mapping[Any, Mapping[str, Any]], sd: Kubernetes
) -> list[tuple[list[str], dict[str, str]]]:
    meta = piece.get("metadata") or {}
    name = (meta.get("labels") or {}).get("kubernetes.io/service-name", "")
    service = services.get((meta.get("namespace"), name))
    if service is None:
        return []
    wanted = _annotations(service).get("port")
    numbers = [one.get("port") for one in piece.get("ports") or [] if one.get("protocol", "TCP") == "TCP"]
    groups = []
    for endpoint in piece.get("endpoints") or []:
        if (endpoint.get("conditions") or {}).get("ready") is False:
            continue
        pod = (endpoint.get("targetRef") or {}).get("name", "")
        labels = _labels(service, sd, service=name, pod=pod, node=endpoint.get("nodeName") or "")
        hosts = endpoint.get("addresses") or []
        ports = [wanted] if wanted else [port for port in numbers if port]
        groups.append(([_at(host, port) for host in hosts[:1] for port in ports], labels))
    return groups
