"""The few routes of the Kubernetes API that the action speaks to, over objects in memory (simulated).

Merge patches and JSON patches, optimistic locking by resourceVersion, 404 and 409 as the API documents them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.json_server import Asked, serving

_PLURAL = {
    "Deployment": "/apis/apps/v1/namespaces/{ns}/deployments",
    "StatefulSet": "/apis/apps/v1/namespaces/{ns}/statefulsets",
    "DaemonSet": "/apis/apps/v1/namespaces/{ns}/daemonsets",
    "ReplicaSet": "/apis/apps/v1/namespaces/{ns}/replicasets",
    "Pod": "/api/v1/namespaces/{ns}/pods",
    "Node": "/api/v1/nodes",
}


@dataclass
class Cluster:
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By path."""
    changes: list[str] = field(default_factory=list)
    refuse: list[int] = field(default_factory=list)
    """Statuses with which the next requests for objects are refused."""

    def add(self, kind: str, name: str, spec: Any = None, status: Any = None, **metadata: Any) -> str:
        folder = _PLURAL[kind].format(ns=metadata.get("namespace", "default"))
        version = folder.split("/")[2 if folder.startswith("/api/") else 3]
        path = f"{folder}/{name}"
        self.objects[path] = {
            "apiVersion": version if version == "v1" and folder.startswith("/api/") else "apps/v1",
            "kind": kind,
            "metadata": {
                "name": name,
                "uid": f"uid-{name}",
                "resourceVersion": "1",
                "generation": 1,
                "annotations": {},
                **({} if kind == "Node" else {"namespace": "default"}),
                **metadata,
            },
            "spec": spec or {},
            "status": status or {},
        }
        return path

    def answer(self, asked: Asked) -> tuple[int, Any]:
        path = asked.path.partition("?")[0].rstrip("/")
        if path == "/version":
            return 200, {"major": "1", "minor": "33", "gitVersion": "v1.33.1"}
        if self.refuse:
            return self._status(self.refuse.pop(0), "refused")
        if asked.method == "GET" and path not in self.objects:
            inside = [one for at, one in self.objects.items() if at.rpartition("/")[0] == path]
            return (200, {"items": inside, "metadata": {}}) if inside else self._status(404, "not found")
        if path not in self.objects:
            return self._status(404, "not found")
        if asked.method == "GET":
            return 200, self.objects[path]
        self.changes.append(f"{asked.method} {path}")
        if asked.method == "DELETE":
            return 200, self.objects.pop(path)
        return self._patch(path, asked.body)

    def _patch(self, path: str, patch: Any) -> tuple[int, Any]:
        made = deepcopy(self.objects[path])
        given = patch
        if isinstance(patch, list):
            for op in patch:
                *folders, leaf = [p.replace("~1", "/") for p in op["path"].split("/")[1:]]
                inner = made
                for folder in folders:
                    inner = inner[folder]
                if op["op"] == "test" and inner.get(leaf) != op["value"]:
                    return self._status(409, "the test failed")
                inner[leaf] = op["value"]
        else:
            version = given.get("metadata", {}).get("resourceVersion", made["metadata"]["resourceVersion"])
            if version != made["metadata"]["resourceVersion"]:
                return self._status(409, "the object has been modified")
            _merge(made, given)
        meta = made["metadata"]
        meta["resourceVersion"] = str(int(meta["resourceVersion"]) + 1)
        self.objects[path] = made
        return 200, made

    def _status(self, code: int, message: str) -> tuple[int, Any]:
        return code, {"kind": "Status", "status": "Failure", "message": message, "code": code}


def _merge(into: dict[str, Any], patch: dict[str, Any]) -> None:
    """RFC 7396."""
    for key, value in patch.items():
        if isinstance(value, dict):
            _merge(into.setdefault(key, {}), value)
        elif value is None:
            into.pop(key, None)
        else:
            into[key] = value


@contextmanager
def cluster(folder: Path) -> Iterator[tuple[Cluster, Path]]:
    """The cluster, and the kubeconfig that leads to it."""
    made = Cluster()
    with serving(made.answer) as server:
        yield made, kubeconfig(folder, server.url)


def kubeconfig(folder: Path, url: str) -> Path:
    path = folder / "kubeconfig"
    user = {"name": "forewarn", "user": {"token": "t0ken"}}
    context = {"name": "test", "context": {"cluster": "test", "user": "forewarn", "namespace": "default"}}
    whole = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": url}}],
        "users": [user],
        "contexts": [context],
    }
    with path.open("w") as file:
        YAML().dump(whole, file)
    return path
