"""What stands behind a cluster's services: their selectors, or endpoint slices, to pods, to workloads."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import inf

from aiops.model.signal import Severity
from connectors._kubernetes_facts import Fault, Known, Object, when

SETTLED = 60.0
"""Seconds without a pod that is ready before that is said: a restart of the only one is no fault."""

Pods = dict[str, bool]
"""By uid: whether traffic is sent there."""


def service(one: Object) -> Known:
    meta, spec = one.get("metadata") or {}, one.get("spec") or {}
    chosen = {str(name): str(value) for name, value in (spec.get("selector") or {}).items()}
    ports = [f"{port.get('port')}:{port.get('targetPort')}" for port in spec.get("ports") or []]
    said = [*(f"{name}={value}" for name, value in sorted(chosen.items())), *ports]
    name, space = str(meta["name"]), str(meta.get("namespace", ""))
    return Known(
        f"Service {space}/{name}",
        {"namespace": space, "service": name},
        when(meta.get("creationTimestamp")),
        marks={"config": " ".join(said)},
        selects=chosen,
    )


def endpoint_slice(one: Object) -> Known:
    """Part of a service's endpoints. One without a condition is ready, as the API has it."""
    meta = one.get("metadata") or {}
    name = (meta.get("labels") or {}).get("kubernetes.io/service-name", "")
    found: Pods = {}
    for endpoint in one.get("endpoints") or []:
        target = endpoint.get("targetRef") or {}
        ready = (endpoint.get("conditions") or {}).get("ready")
        if target.get("kind") == "Pod":
            found[str(target.get("uid", ""))] = ready is not False
    space = str(meta.get("namespace", ""))
    return Known(f"EndpointSlice {space}/{meta['name']}", {"namespace": space, "service": name}, sends=found)


def backed(known: Mapping[str, Known], whole: bool) -> dict[str, Known]:
    """Each service with its faults; beside it, for each workload behind it, what is ready of that.

    `whole`: all pods are known, so that of a service without slices it can be told that none is ready.
    """
    slices: dict[tuple[str, str], Pods] = {}
    for one in known.values():
        if one.sends is not None:
            slices.setdefault(_name(one), {}).update(one.sends)
    bearing = _bearing(known)
    out: dict[str, Known] = {}
    for uid, one in known.items():
        if one.selects is None:
            continue
        sliced = slices.get(_name(one))
        pods = sliced if sliced is not None else _selected(one, known, bearing)
        out |= _beside(uid, one, pods, known)
        if pods and not any(pods.values()) and (whole or sliced is not None):
            out[uid] = replace(one, faults=[_nobody(pods, known)])
    return out


def _name(one: Known) -> tuple[str, str]:
    return one.labels["namespace"], one.labels["service"]


def _bearing(known: Mapping[str, Known]) -> dict[tuple[str, str, str], set[str]]:
    """(namespace, label, value) -> uids of pods that bear it."""
    found: dict[tuple[str, str, str], set[str]] = {}
    for uid, one in known.items():
        for name, value in one.bears.items():
            found.setdefault((one.labels["namespace"], name, value), set()).add(uid)
    return found


def _selected(
    one: Known, known: Mapping[str, Known], bearing: Mapping[tuple[str, str, str], set[str]]
) -> Pods:
    """An empty selector selects nothing: then somebody else writes the endpoints."""
    space = one.labels["namespace"]
    sets = [bearing.get((space, name, value), set()) for name, value in (one.selects or {}).items()]
    return {uid: known[uid].ready for uid in set.intersection(*sets)} if sets else {}


def _beside(uid: str, one: Known, pods: Pods, known: Mapping[str, Known]) -> Iterator[tuple[str, Known]]:
    found: dict[str, list[bool]] = {}
    for pod, ready in pods.items():
        if pod in known:
            found.setdefault(known[pod].labels["service"], []).append(ready)
    for workload, those in found.items():
        values = [
            ("kubernetes_service_endpoints", float(len(those))),
            ("kubernetes_service_endpoints_ready", float(sum(those))),
        ]
        yield f"{uid}/{workload}", Known(one.title, {**one.labels, "workload": workload}, values=values)


def _nobody(pods: Pods, known: Mapping[str, Known]) -> Fault:
    since = max((known[pod].since for pod in pods if pod in known), default=inf)
    count = f"none of its {len(pods)} pods is" if len(pods) > 1 else "its only pod is not"
    return Fault("NoEndpoints", Severity.MAJOR, f"NoEndpoints: {count} ready", since=since + SETTLED)
