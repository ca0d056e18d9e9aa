"""What single objects of a cluster say: which state is bad and since when, what is measured, what changed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import inf, nan
from typing import Any

from aiops.model.signal import Severity

Object = Mapping[str, Any]

SETTLED = 60.0
"""Seconds that a container which crashed in a loop has to run before that is over."""
REMEMBERED = 600.0
"""Seconds for which a container that was killed for its memory is told of."""

_PULL = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ImageInspectError", "RegistryUnavailable"}
_BROKEN = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
_PRESSURES = ("MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable")


@dataclass(frozen=True, slots=True)
class Fault:
    """A state that people want to hear of, in the time from `since` until `until` (epoch s)."""

    name: str
    severity: Severity
    text: str
    since: float = 0.0
    until: float = inf
    part: str = ""
    """Which container."""
    begins: bool = True
    """False: it does not begin with this, but while it is so it is not over."""


@dataclass(frozen=True, slots=True)
class Known:
    """One object, reduced."""

    title: str
    """``Deployment shop/web``."""
    labels: Mapping[str, str]
    created: float = nan
    faults: Sequence[Fault] = ()
    values: Sequence[tuple[str, float]] = ()
    """(metric, value) at this time."""
    restarts: float = nan
    """A count that only grows."""
    marks: Mapping[str, str] = field(default_factory=dict)
    """Kind of change -> what differs after one."""
    detail: Mapping[str, str] = field(default_factory=dict)
    changed: float = nan
    """When the newest change was made, as far as it says so."""
    bears: Mapping[str, str] = field(default_factory=dict)
    """Of a pod: the labels that services select it by."""
    ready: bool = False
    since: float = 0.0
    """When it became ready, or ceased to be."""
    selects: Mapping[str, str] | None = None
    """Of a service: what its pods bear."""
    sends: Mapping[str, bool] | None = None
    """Of an endpoint slice: uids of pods, and whether traffic is sent there."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event of the cluster's, as it stands: repeated ones count up."""

    about: str
    """The uid of what it is about."""
    labels: Mapping[str, str]
    text: str
    time: float
    count: int


def when(text: Any) -> float:
    """Epoch s of an RFC 3339 time; NaN where there is none."""
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return nan


def pod(one: Object, label_names: Sequence[str], pending_after: float) -> Known:
    meta, spec, status = (one.get(part) or {} for part in ("metadata", "spec", "status"))
    labels = _named(meta, label_names) | {
        "namespace": meta.get("namespace", ""),
        "pod": meta["name"],
        "node": spec.get("nodeName", ""),
        **workload(meta),
    }
    containers = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    over = status.get("phase") in ("Succeeded", "Failed")
    faults = [fault for one in containers for fault in _container(one, over)]
    created = when(meta.get("creationTimestamp"))
    if status.get("phase") == "Pending" and not (faults or meta.get("deletionTimestamp")):
        why = _condition(status, "PodScheduled")
        said = why.get("message") if why.get("status") == "False" else "its containers do not start"
        faults.append(Fault("Pending", Severity.MAJOR, f"Pending: {said}", since=created + pending_after))
    condition = _condition(status, "Ready")
    ready = condition.get("status") == "True"
    values = [] if over else [("kubernetes_pod_ready", float(ready))]
    restarts = sum(float(c.get("restartCount") or 0) for c in containers)
    return Known(
        f"Pod {labels['namespace']}/{meta['name']}",
        {k: v for k, v in labels.items() if v},
        created,
        faults,
        values,
        nan if over else restarts,
        bears={} if over else dict(meta.get("labels") or {}),
        ready=ready,
        since=_since(condition) or (created if created == created else 0.0),
    )


def workload(meta: Object) -> dict[str, str]:
    """What a pod belongs to, as labels: of a Deployment's it is the ReplicaSet's name without the hash."""
    owner = next((o for o in meta.get("ownerReferences") or [] if o.get("controller")), None)
    if owner is None:
        return {"service": str(meta["name"])}
    name, kind = str(owner["name"]), str(owner.get("kind", ""))
    suffix = (meta.get("labels") or {}).get("pod-template-hash", "")
    if kind == "ReplicaSet" and suffix:
        name, kind = name.removesuffix(f"-{suffix}"), "Deployment"
    return {"service": name, kind.lower(): name}


def _container(status: Object, over: bool) -> Iterator[Fault]:
    name, state = str(status.get("name", "")), status.get("state") or {}
    reason = (state.get("waiting") or {}).get("reason", "")
    said = (state.get("waiting") or {}).get("message", "")
    if reason in _PULL:
        # the two take turns: they are one thing
        yield Fault("ImagePullBackOff", Severity.MAJOR, f"{reason}: {said or status.get('image')}", part=name)
    elif reason in _BROKEN:
        yield Fault(reason, Severity.MAJOR, f"{reason}: {said}", part=name)
    elif reason == "CrashLoopBackOff":
        last = (status.get("lastState") or {}).get("terminated") or {}
        text = f"CrashLoopBackOff: {name} ended {status.get('restartCount', 0)} times, last with exit code"
        yield Fault(reason, Severity.MAJOR, f"{text} {last.get('exitCode', '?')}", part=name)
    elif status.get("restartCount") and not over:
        running = when((state.get("running") or {}).get("startedAt"))
        until = inf if running != running else running + SETTLED
        text = f"CrashLoopBackOff: {name} was started again"
        yield Fault("CrashLoopBackOff", Severity.MAJOR, text, until=until, part=name, begins=False)
    for ended in (state.get("terminated"), (status.get("lastState") or {}).get("terminated")):
        if ended and ended.get("reason") == "OOMKilled":
            at = when(ended.get("finishedAt"))
            text = f"OOMKilled: {name} used more memory than its limit"
            yield Fault("OOMKilled", Severity.MAJOR, text, at, at + REMEMBERED, name)
            break


def node(one: Object) -> Known:
    meta, spec, status = (one.get(part) or {} for part in ("metadata", "spec", "status"))
    name = str(meta["name"])
    faults = []
    ready = _condition(status, "Ready")
    if ready.get("status") != "True":
        text = f"NodeNotReady: {ready.get('message') or ready.get('reason') or 'it never was'}"
        faults.append(Fault("NodeNotReady", Severity.CRITICAL, text, since=_since(ready)))
    for kind in _PRESSURES:
        found = _condition(status, kind)
        if found.get("status") == "True":
            text = f"{kind}: {found.get('message', '')}"
            faults.append(Fault(kind, Severity.MAJOR, text, since=_since(found)))
    return Known(
        f"Node {name}",
        {"node": name, "host": name},
        when(meta.get("creationTimestamp")),
        faults,
        [("kubernetes_node_ready", float(ready.get("status") == "True"))],
        marks={"cordon": "cordoned" if spec.get("unschedulable") else "open"},
    )


def deployment(one: Object) -> Known:
    meta, status = one.get("metadata") or {}, one.get("status") or {}
    revision = (meta.get("annotations") or {}).get("deployment.kubernetes.io/revision", "")
    return _workload(
        one, "Deployment", f"revision {revision}" if revision else "", status.get("readyReplicas")
    )


def stateful_set(one: Object) -> Known:
    status = one.get("status") or {}
    return _workload(one, "StatefulSet", str(status.get("updateRevision", "")), status.get("readyReplicas"))


def daemon_set(one: Object) -> Known:
    meta, status = one.get("metadata") or {}, one.get("status") or {}
    made = _workload(one, "DaemonSet", f"generation {meta.get('generation', '')}", status.get("numberReady"))
    wanted = float(status.get("desiredNumberScheduled") or 0)
    values = [(name, wanted if name.endswith("_wanted") else value) for name, value in made.values]
    # how many it wants is how many nodes there are: nobody scaled it
    marks = {kind: mark for kind, mark in made.marks.items() if kind != "scale"}
    return Known(
        made.title, made.labels, made.created, made.faults, values, nan, marks, made.detail, made.changed
    )


def _workload(one: Object, kind: str, revision: str, ready: Any) -> Known:
    meta, spec, status = (one.get(part) or {} for part in ("metadata", "spec", "status"))
    wanted = spec.get("replicas", 1)
    containers = ((spec.get("template") or {}).get("spec") or {}).get("containers") or []
    progress = _condition(status, "Progressing")
    faults = []
    if progress.get("reason") == "ProgressDeadlineExceeded":
        text = f"RolloutStuck: {progress.get('message', '')}"
        faults.append(Fault("RolloutStuck", Severity.MAJOR, text, since=_since(progress)))
    values = [
        ("kubernetes_workload_replicas_wanted", float(wanted or 0)),
        ("kubernetes_workload_replicas_ready", float(ready or 0)),
    ]
    return Known(
        f"{kind} {meta.get('namespace', '')}/{meta['name']}",
        {
            "namespace": meta.get("namespace", ""),
            "service": str(meta["name"]),
            kind.lower(): str(meta["name"]),
        },
        when(meta.get("creationTimestamp")),
        faults,
        values,
        marks={"rollout": revision, "scale": f"{wanted} replicas"},
        detail={str(c.get("name")): str(c.get("image")) for c in containers[:10]},
        changed=when(progress.get("lastUpdateTime")),
    )


def autoscaler(one: Object) -> Known:
    meta, spec, status = (one.get(part) or {} for part in ("metadata", "spec", "status"))
    target = str((spec.get("scaleTargetRef") or {}).get("name", ""))
    limited, active = _condition(status, "ScalingLimited"), _condition(status, "ScalingActive")
    faults = []
    if limited.get("status") == "True" and limited.get("reason") == "TooManyReplicas":
        text = f"AutoscalerAtLimit: {target} has its most, {spec.get('maxReplicas')} replicas, and wants more"
        faults.append(Fault("AutoscalerAtLimit", Severity.MINOR, text, since=_since(limited)))
    if active.get("status") == "False" and active.get("reason") != "ScalingDisabled":
        text = f"AutoscalerBlind: {active.get('message', '')}"
        faults.append(Fault("AutoscalerBlind", Severity.MINOR, text, since=_since(active)))
    values = [
        ("kubernetes_autoscaler_replicas", float(status.get("currentReplicas") or 0)),
        ("kubernetes_autoscaler_replicas_most", float(spec.get("maxReplicas") or 0)),
    ]
    name, space = str(meta["name"]), str(meta.get("namespace", ""))
    labels = {"namespace": space, "service": target, "autoscaler": name}
    title = f"HorizontalPodAutoscaler {space}/{name}"
    return Known(title, labels, when(meta.get("creationTimestamp")), faults, values)


def event(one: Object) -> Event:
    about = one.get("involvedObject") or {}
    series = one.get("series") or {}
    told = (series.get("lastObservedTime"), one.get("lastTimestamp"), one.get("eventTime"))
    meta = one.get("metadata") or {}
    time = next((when(at) for at in told if at), when(meta.get("creationTimestamp")))
    count = int(series.get("count") or one.get("count") or 1)
    kind, name = str(about.get("kind", "")), str(about.get("name", ""))
    word = "WARN" if one.get("type") == "Warning" else "INFO"
    text = f"{word} {kind} {one.get('reason', '')}: {str(one.get('message', '')).strip()}"
    labels = {"namespace": about.get("namespace") or "", kind.lower() or "object": name}
    return Event(str(about.get("uid", "")), {k: v for k, v in labels.items() if v}, text, time, count)


def _named(meta: Object, label_names: Sequence[str]) -> dict[str, str]:
    return {
        "".join(c if c.isalnum() else "_" for c in name): str(text)
        for name, text in (meta.get("labels") or {}).items()
        if name in label_names
    }


def _condition(status: Object, kind: str) -> Object:
    return next((c for c in status.get("conditions") or [] if c.get("type") == kind), {})


def _since(condition: Object) -> float:
    at = when(condition.get("lastTransitionTime"))
    return at if at == at else 0.0
