"""The chart under helm/, rendered by the real helm binary, and what every pod in it must be."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from aiops.plugin.load import HOUSE

CHART = HOUSE / "helm"
GOLDENS = Path(__file__).parent / "contracts" / "goldens" / "chart"

# Secrets that exist already: what helm makes itself differs with every render
_SECRETS: dict[str, Any] = {
    "token": {"existingSecret": {"name": "given", "key": "token"}},
    "store": {"bundled": {"passwordSecret": {"name": "given", "key": "password"}}},
    "ray": {"tokenSecret": {"name": "given", "key": "ray"}},
}
_REDIS = {"address": "redis:6379", "passwordSecret": {"name": "redis", "key": "password"}}
_PG = {"host": "pg.example.org", "passwordSecret": {"name": "pg", "key": "password"}}
_EXTERNAL = {"mode": "external", "external": _PG}
_TRUSTED = _EXTERNAL | {"external": {**_PG, "caSecret": {"name": "ca", "key": "ca.crt"}}}
_PLAYBOOK = """\
playbook: restart-web
match: 'problem.labels.service == "web"'
steps:
  - restart: {action: k8s, verb: restart, namespace: shop, name: web}
"""

MATRIX: dict[str, dict[str, Any]] = {
    "default": {},
    "memory_only": {"persistence": {"enabled": False}, "rbac": {"read": {"enabled": False}}},
    "bundled_three": {"store": {"mode": "bundled"}, "replicas": 3},
    "external_shared": {
        "store": _TRUSTED,
        "replicas": 3,
        "persistence": {"shared": {"enabled": True}, "storageClass": "nfs", "size": "20Gi"},
        "config": {"ready_limits": ["kubernetes", "node_exporter", "blackbox", "process"]},
    },
    "external_scaled": {
        "store": _TRUSTED,
        "autoscaling": {"enabled": True, "maxReplicas": 9},
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "alerts": {"enabled": True},
        "dashboard": {"enabled": True},
    },
    "namespaced_acting": {
        "rbac": {"read": {"namespaces": ["shop", "pay"]}, "act": {"enabled": True, "namespaces": ["shop"]}},
        "playbooks": {"restart-web.yaml": _PLAYBOOK},
        "networkPolicy": {"from": [{"namespaceSelector": {}}], "egress": [{"ports": [{"port": 443}]}]},
    },
    "encrypted": {
        "config": {
            "sources": [{"kind": "host"}],
            "web": {"tls": {"cert": "/etc/secrets/tls/tls.crt", "key": "/etc/secrets/tls/tls.key"}},
        },
        "secretFiles": [{"name": "tls", "secret": "forewarn-tls"}],
        "serviceMonitor": {"enabled": True},
    },
    "everything": {
        "store": {
            "mode": "bundled",
            "keys": [{"name": "sealing", "key": "2026"}, {"name": "sealing-old", "key": "key"}],
        },
        "replicas": 2,
        "rbac": {"act": {"enabled": True, "nodes": True}},
        "ingress": {
            "enabled": True,
            "className": "nginx",
            "hosts": ["forewarn.example.org"],
            "tlsSecret": "tls",
            "annotations": {"cert-manager.io/cluster-issuer": "ca"},
        },
        "hosts": ["forewarn.corp"],
        "secretEnv": [{"name": "ITSM_SECRET", "secret": "itsm", "key": "token"}],
        "secretFiles": [{"name": "itsm", "secret": "itsm"}],
        "env": [{"name": "TZ", "value": "Europe/Berlin"}],
        "volumes": [{"name": "more", "emptyDir": {}}],
        "volumeMounts": [{"name": "more", "mountPath": "/more"}],
        "ray": {"enabled": True, "redis": _REDIS},
        "imagePullSecrets": [{"name": "registry"}],
        "image": {"repository": "registry.example.org/forewarn", "digest": "sha256:" + "ab" * 32},
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "infra", "operator": "Exists"}],
        "priorityClassName": "system-cluster-critical",
        "podAnnotations": {"team": "sre"},
        "serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/x"}},
    },
}  # fmt: skip


def missing_helm() -> str:
    """Why no chart can be rendered here; empty when one can."""
    return "" if shutil.which("helm") else "no helm on the path (make test-servers)"


def helm(*words: str, values: dict[str, Any] | None, folder: Path) -> subprocess.CompletedProcess[str]:
    """``helm WORDS`` on the chart with `values`, in a home of its own."""
    argv = ["helm", *words]
    if values is not None:
        given = folder / "values.yaml"
        with given.open("w") as file:
            YAML().dump(values, file)
        argv += ["--values", str(given)]
    homes = {name: str(folder) for name in ("HOME", "HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME")}
    env = {"PATH": "/usr/local/bin:/usr/bin:/bin", **homes}
    argv[0] = shutil.which("helm") or "helm"
    return subprocess.run(argv, capture_output=True, text=True, env=env, timeout=60)


def render(values: dict[str, Any], folder: Path) -> str:
    """The manifests as one YAML text. Raises AssertionError with what helm says."""
    done = helm(
        "template", "fw", str(CHART), "--namespace", "watch", values=_merged(_SECRETS, values), folder=folder
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def documents(text: str) -> list[dict[str, Any]]:
    return [one for one in YAML(typ="safe", pure=True).load_all(text) if one]


def pod_specs(document: Any) -> Iterator[dict[str, Any]]:
    """Every pod's spec anywhere in a manifest, custom resources included."""
    if isinstance(document, dict):
        if isinstance(document.get("containers"), list):
            yield document
        for inner in document.values():
            yield from pod_specs(inner)
    elif isinstance(document, list):
        for inner in document:
            yield from pod_specs(inner)


def unrestricted(pod: dict[str, Any]) -> list[str]:
    """What the Pod Security Standard `restricted` refuses in a pod, and what we ask beyond it.

    https://kubernetes.io/docs/concepts/security/pod-security-standards/
    """
    whole = pod.get("securityContext", {})
    faults = [key for key in ("hostNetwork", "hostPID", "hostIPC") if pod.get(key)]
    faults += ["no fsGroup"] if "fsGroup" not in whole else []
    faults += [f"volume {v['name']}" for v in pod.get("volumes", []) if "hostPath" in v]
    for container in pod["containers"] + pod.get("initContainers", []):
        own = container.get("securityContext", {})
        wanted = {
            "runs as root": own.get("runAsNonRoot") is True and whole.get("runAsUser", 0) > 0,
            "may gain privileges": own.get("allowPrivilegeEscalation") is False,
            "writes its root": own.get("readOnlyRootFilesystem") is True,
            "keeps capabilities": own.get("capabilities", {}).get("drop") == ["ALL"],
            "has no seccomp": own.get("seccompProfile", {}).get("type") == "RuntimeDefault",
            "asks for no memory": "memory" in container.get("resources", {}).get("requests", {}),
            "has no bound of memory": "memory" in container.get("resources", {}).get("limits", {}),
            "has a floating image": ":" in container["image"]
            and not container["image"].endswith((":latest", ":")),
        }  # fmt: skip
        faults += [f"{container['name']} {what}" for what, well in wanted.items() if not well]
    return faults


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    made = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(made.get(key), dict)
        made[key] = _merged(made[key], value) if both else value
    return made
