"""The source `kubernetes` against an API server (simulated): states, changes, events, broken watches."""

import json
import math
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from aiops.model.frame import Change, Frame, Lines
from aiops.model.series import NAME, SeriesIndex
from aiops.model.signal import Report, Severity
from aiops.plugin import Fatal, NotConnected, Retryable
from aiops.plugin.connector import Batch, Reports
from connectors.kubernetes import Kubernetes
from tests.kubernetes_server import ApiServer, Fault, api_server

T0 = 1_767_225_600.0


def at(seconds: float) -> str:
    return datetime.fromtimestamp(T0 + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture
def api() -> Iterator[ApiServer]:
    with api_server() as made:
        yield made


@pytest.fixture
async def source(api: ApiServer, tmp_path: Path) -> AsyncIterator[Kubernetes]:
    made = connector(api, tmp_path)
    yield made
    await made.close()


def connector(api: ApiServer, folder: Path, **more: Any) -> Kubernetes:
    token = folder / "token"
    token.write_text(api.token)
    made = Kubernetes.model_validate({"name": "k", "api": api.url, "token": {"file": token}} | more)
    made.open(SeriesIndex())
    return made


async def pull(one: Kubernetes, until: float, since: float | None = None) -> list[Batch]:
    """What one pull yields; `until` counts from T0."""
    before = until - 15 if since is None else since
    return [batch async for batch in one.pull(T0 + before, T0 + until)]


def reports(batches: list[Batch]) -> dict[str, Report]:
    """By the name of the alert, or ``over`` for one that is."""
    found = [report for batch in batches if isinstance(batch, Reports) for report in batch.reports]
    named = {dict(r.labels)[NAME] if r.firing else f"over {r.ident.rpartition('/')[2]}": r for r in found}
    assert len(named) == len(found)
    return named


def changes(batches: list[Batch]) -> list[str]:
    return [f"{batch.kind}: {batch.title}" for batch in batches if isinstance(batch, Change)]


def lines(batches: list[Batch]) -> list[str]:
    return [text for batch in batches if isinstance(batch, Lines) for text in batch.text]


def values(one: Kubernetes, batches: list[Batch]) -> dict[tuple[str, str], float]:
    """(metric, pod or node or service) -> value."""
    found = {}
    for frame in (batch for batch in batches if isinstance(batch, Frame)):
        for slot, value in zip(frame.slots, frame.values[0], strict=True):
            labels = dict(one._index.labels(int(slot)))
            found[labels[NAME], labels.get("pod") or labels.get("node") or labels["service"]] = float(value)
    return found


def pod(
    api: ApiServer, name: str = "web-5d9-abc", container: Any = None, phase: str = "Running", **more: Any
) -> None:
    owner = {"kind": "ReplicaSet", "name": "web-5d9", "uid": "rs", "controller": True}
    status = {"phase": phase, "conditions": [{"type": "Ready", "status": "True"}], **more}
    status["containerStatuses"] = [
        {"name": "app", "restartCount": 0, "state": {"running": {}}} | (container or {})
    ]
    api.put(
        "pods",
        name,
        labels={"pod-template-hash": "5d9", "app.kubernetes.io/version": "7"},
        ownerReferences=[owner],
        creationTimestamp=at(-1000),
        spec={"nodeName": "n1"},
        status=status,
    )


def waiting(reason: str, restarts: int = 4, **more: Any) -> dict[str, Any]:
    return {"restartCount": restarts, "state": {"waiting": {"reason": reason, "message": "said so"}}, **more}


def running(since: float, restarts: int = 4, **more: Any) -> dict[str, Any]:
    return {"restartCount": restarts, "state": {"running": {"startedAt": at(since)}}, **more}


async def test_a_pod_is_known_by_its_workload_and_node(api: ApiServer, source: Kubernetes) -> None:
    pod(api)
    batches = await pull(source, 0)
    (frame,) = (batch for batch in batches if isinstance(batch, Frame))
    labels = {tuple(dict(source._index.labels(int(slot))).items()) for slot in frame.slots}
    wanted = {"namespace": "shop", "node": "n1", "pod": "web-5d9-abc", "service": "web", "deployment": "web"}
    wanted["app_kubernetes_io_version"] = "7"
    assert {frozenset((*wanted.items(), (NAME, "kubernetes_pod_ready")))} <= {
        frozenset(one) for one in labels
    }
    assert reports(batches) == {}


async def test_crash_loops_last_until_the_container_stays(api: ApiServer, source: Kubernetes) -> None:
    died = {"lastState": {"terminated": {"exitCode": 3, "reason": "Error"}}}
    pod(api, container=waiting("CrashLoopBackOff", 4, **died))
    told = reports(await pull(source, 0))
    assert told["CrashLoopBackOff"].severity is Severity.MAJOR
    assert "exit code 3" in told["CrashLoopBackOff"].text
    labels = dict(told["CrashLoopBackOff"].labels)
    assert (labels["service"], labels["pod"], labels["container"]) == ("web", "web-5d9-abc", "app")
    # the next try runs for a moment: it is the same alert
    pod(api, container=running(10, 5))
    again = reports(await pull(source, 15))
    assert again["CrashLoopBackOff"].ident == told["CrashLoopBackOff"].ident
    assert again["CrashLoopBackOff"].at == told["CrashLoopBackOff"].at
    assert (await pull(source, 30)) != []
    over = reports(await pull(source, 75))
    assert list(over) == ["over CrashLoopBackOff"]
    assert reports(await pull(source, 90)) == {}


async def test_a_container_that_was_once_restarted_is_no_crash_loop(
    api: ApiServer, source: Kubernetes
) -> None:
    pod(api, container=running(-5, 1))
    assert reports(await pull(source, 0)) == {}


async def test_images_that_cannot_be_pulled_are_one_alert_under_both_names(
    api: ApiServer, source: Kubernetes
) -> None:
    idents = set()
    for step, reason in enumerate(("ErrImagePull", "ImagePullBackOff", "ErrImagePull")):
        pod(api, container=waiting(reason, 0), phase="Pending")
        told = reports(await pull(source, 15 * step))
        assert list(told) == ["ImagePullBackOff"]
        idents.add((told["ImagePullBackOff"].ident, told["ImagePullBackOff"].at))
    assert len(idents) == 1
    pod(api)
    assert list(reports(await pull(source, 60))) == ["over ImagePullBackOff"]


async def test_a_kill_for_memory_is_told_while_it_is_fresh(api: ApiServer, source: Kubernetes) -> None:
    killed = {"lastState": {"terminated": {"reason": "OOMKilled", "finishedAt": at(-5)}}}
    pod(api, container=running(0, 1, **killed))
    told = reports(await pull(source, 0))
    assert told["OOMKilled"].at == T0 - 5
    assert list(reports(await pull(source, 590))) == ["OOMKilled"]
    assert list(reports(await pull(source, 600))) == ["over OOMKilled"]


async def test_a_kill_of_long_ago_is_none(api: ApiServer, source: Kubernetes) -> None:
    pod(
        api,
        container=running(
            -4000, 1, lastState={"terminated": {"reason": "OOMKilled", "finishedAt": at(-4100)}}
        ),
    )
    assert reports(await pull(source, 0)) == {}


async def test_pending_counts_after_a_while(api: ApiServer, source: Kubernetes) -> None:
    why = {"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}
    api.put("pods", "big", creationTimestamp=at(0), status={"phase": "Pending", "conditions": [why]})
    assert reports(await pull(source, 290)) == {}
    told = reports(await pull(source, 305))
    assert "0/3 nodes are available" in told["Pending"].text
    api.delete("pods", "big")
    assert list(reports(await pull(source, 320))) == ["over Pending"]


def node(api: ApiServer, ready: str = "True", pressure: str = "", cordoned: bool = False) -> None:
    conditions = [
        {"type": "Ready", "status": ready, "lastTransitionTime": at(-3), "message": "kubelet stopped"}
    ]
    if pressure:
        conditions.append({"type": pressure, "status": "True", "lastTransitionTime": at(-2)})
    api.put(
        "nodes",
        "n1",
        creationTimestamp=at(-9e6),
        spec={"unschedulable": cordoned},
        status={"conditions": conditions},
    )


async def test_nodes_tell_pressure_silence_and_cordons(api: ApiServer, source: Kubernetes) -> None:
    node(api)
    assert reports(await pull(source, 0)) == {}
    node(api, "Unknown", "DiskPressure", cordoned=True)
    batches = await pull(source, 15)
    told = reports(batches)
    assert set(told) == {"NodeNotReady", "DiskPressure"}
    assert told["NodeNotReady"].severity is Severity.CRITICAL
    assert dict(told["NodeNotReady"].labels)["host"] == "n1"
    assert changes(batches) == ["cordon: Node n1: open -> cordoned"]
    assert values(source, batches)["kubernetes_node_ready", "n1"] == 0


def deployment(
    api: ApiServer, revision: int, replicas: int = 3, reason: str = "NewReplicaSetAvailable"
) -> None:
    progress = {"type": "Progressing", "status": "True", "reason": reason, "lastUpdateTime": at(20)}
    api.put(
        "deployments",
        "web",
        creationTimestamp=at(-9000),
        annotations={"deployment.kubernetes.io/revision": str(revision)},
        spec={
            "replicas": replicas,
            "template": {"spec": {"containers": [{"name": "app", "image": f"web:{revision}"}]}},
        },
        status={"readyReplicas": 2, "conditions": [progress]},
    )


async def test_rollouts_and_scaling_are_changes_once(api: ApiServer, source: Kubernetes) -> None:
    deployment(api, 3)
    first = await pull(source, 0)
    assert changes(first) == []
    assert values(source, first)["kubernetes_workload_replicas_wanted", "web"] == 3
    assert values(source, first)["kubernetes_workload_replicas_ready", "web"] == 2
    deployment(api, 4, replicas=5)
    batches = await pull(source, 30)
    assert changes(batches) == [
        "rollout: Deployment shop/web: revision 3 -> revision 4",
        "scale: Deployment shop/web: 3 replicas -> 5 replicas",
    ]
    (rollout, _) = (batch for batch in batches if isinstance(batch, Change))
    assert rollout.time == T0 + 20  # when the deployment says that it was
    assert rollout.detail == {"app": "web:4"}
    assert dict(rollout.labels)["service"] == "web"
    api.compact()
    assert changes(await pull(source, 45)) == []
    deployment(api, 4, replicas=5, reason="ProgressDeadlineExceeded")
    assert list(reports(await pull(source, 60))) == ["RolloutStuck"]


async def test_other_workloads_and_autoscalers(api: ApiServer, source: Kubernetes) -> None:
    api.put("statefulsets", "db", spec={"replicas": 2}, status={"updateRevision": "a", "readyReplicas": 2})
    api.put("daemonsets", "log", generation=1, status={"desiredNumberScheduled": 4, "numberReady": 3})
    limited = {
        "type": "ScalingLimited",
        "status": "True",
        "reason": "TooManyReplicas",
        "lastTransitionTime": at(-9),
    }
    target = {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "maxReplicas": 6}
    api.put(
        "horizontalpodautoscalers", "web", spec=target, status={"currentReplicas": 6, "conditions": [limited]}
    )
    batches = await pull(source, 0)
    found = values(source, batches)
    assert found["kubernetes_workload_replicas_wanted", "log"] == 4
    assert found["kubernetes_workload_replicas_ready", "log"] == 3
    assert found["kubernetes_autoscaler_replicas_most", "web"] == 6
    assert list(reports(batches)) == ["AutoscalerAtLimit"]
    api.put("statefulsets", "db", spec={"replicas": 2}, status={"updateRevision": "b", "readyReplicas": 1})
    api.put("daemonsets", "log", generation=2, status={"desiredNumberScheduled": 5, "numberReady": 5})
    assert changes(await pull(source, 15)) == [
        "rollout: StatefulSet shop/db: a -> b",
        "rollout: DaemonSet shop/log: generation 1 -> generation 2",
    ]


def event(api: ApiServer, name: str, count: int, seconds: float, kind: str = "Warning") -> None:
    about = {"kind": "Pod", "name": "web-5d9-abc", "namespace": "shop", "uid": "uid-pods-web-5d9-abc"}
    body = {"type": kind, "reason": "BackOff", "message": f"restarting, {count}", "involvedObject": about}
    api.put("events", name, body=body | {"count": count, "lastTimestamp": at(seconds)})


async def test_events_are_lines_once_and_again_when_they_repeat(api: ApiServer, source: Kubernetes) -> None:
    pod(api)
    event(api, "old", 1, -5000)
    event(api, "a", 1, -3)
    event(api, "calm", 1, -3, kind="Normal")
    batches = await pull(source, 0)
    assert lines(batches) == ["WARN Pod BackOff: restarting, 1"]
    (stream,) = (batch for batch in batches if isinstance(batch, Lines))
    assert dict(stream.labels)["service"] == "web"
    assert stream.times.tolist() == [T0 - 3]
    assert lines(await pull(source, 15)) == []
    event(api, "a", 2, 16)
    assert lines(await pull(source, 30)) == ["WARN Pod BackOff: restarting, 2"]
    api.compact()
    assert lines(await pull(source, 45)) == []


@pytest.mark.parametrize("in_stream", [True, False])
async def test_an_expired_version_is_listed_anew_and_nothing_is_doubled(
    api: ApiServer, source: Kubernetes, in_stream: bool
) -> None:
    api.gone_in_stream = in_stream
    pod(api, container=waiting("CrashLoopBackOff"))
    pod(api, "web-5d9-gone", container=waiting("CrashLoopBackOff"))
    event(api, "a", 1, -3)
    deployment(api, 3)
    first = [r for b in await pull(source, 0) if isinstance(b, Reports) for r in b.reports]
    assert len(first) == 2
    lists = api.lists()
    api.delete("pods", "web-5d9-gone")
    api.compact()  # the deletion was never streamed
    batches = await pull(source, 15)
    assert api.lists() > lists
    told = [r for b in batches if isinstance(b, Reports) for r in b.reports]
    assert [(r.firing, r.ident.split("/")[0]) for r in told] == [
        (True, "uid-pods-web-5d9-abc"),
        (False, "uid-pods-web-5d9-gone"),
    ]
    assert told[0].at == first[0].at
    assert changes(batches) == lines(batches) == []


async def test_a_watch_goes_on_from_its_version(api: ApiServer, source: Kubernetes) -> None:
    pod(api)
    await pull(source, 0)
    lists = api.lists()
    for step in range(1, 4):
        pod(api, container=running(0, step))
        batches = await pull(source, 15 * step)
        assert values(source, batches)["kubernetes_pod_restarts", "web-5d9-abc"] == 1
    assert api.lists() == lists
    watched = [int(one.split()[2]) for one in api.asked if one.startswith("watch /api/v1/pods")]
    assert watched == sorted(watched)
    assert watched[0] < watched[-1]


async def test_a_watch_that_breaks_off_loses_nothing(api: ApiServer, source: Kubernetes) -> None:
    pod(api)
    await pull(source, 0)
    pod(api, container=waiting("CrashLoopBackOff"))
    pod(api, "other", container=waiting("CrashLoopBackOff"))
    api.faults.append(Fault(cut=True, path="/pods"))
    with pytest.raises(NotConnected):
        await pull(source, 15)
    lists = api.lists()
    told = [r for b in await pull(source, 30) if isinstance(b, Reports) for r in b.reports]
    assert len(told) == 2
    assert api.lists() == lists


async def test_long_lists_come_in_pages_and_a_page_that_expired_begins_again(
    api: ApiServer, source: Kubernetes
) -> None:
    api.page = 10
    for number in range(35):
        pod(api, f"web-5d9-{number:02}")
    found = values(source, await pull(source, 0))
    assert sum(name == "kubernetes_pod_ready" for name, _ in found) == 35
    api.compact()
    api.faults.append(Fault(410, path="/pods"))
    api.faults.append(Fault(410, path="/pods"))
    found = values(source, await pull(source, 15))
    assert sum(name == "kubernetes_pod_ready" for name, _ in found) == 35


async def test_refusals_are_classified(api: ApiServer, source: Kubernetes) -> None:
    api.faults.append(Fault(403, path="/nodes"))
    with pytest.raises(Fatal, match=r"nodes: 403 .*rbac.read"):
        await pull(source, 0)
    api.faults.append(Fault(429, {"Retry-After": "7"}, path="/pods"))
    with pytest.raises(Retryable) as caught:
        await pull(source, 15)
    assert caught.value.after == 7
    api.faults.append(Fault(500, path="/events"))
    with pytest.raises(Retryable, match="events: 500"):
        await pull(source, 30)
    api.token = "changed"
    with pytest.raises(Fatal, match="is the token right"):
        await pull(source, 45)


async def test_what_is_not_taken_comes_again(api: ApiServer, source: Kubernetes) -> None:
    pod(api)
    await pull(source, 0)
    deployment(api, 3)
    await pull(source, 15)
    deployment(api, 4)
    event(api, "a", 1, 20)
    stream = source.pull(T0 + 15, T0 + 30)
    await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]
    batches = await pull(source, 45)
    assert changes(batches) == ["rollout: Deployment shop/web: revision 3 -> revision 4"]
    assert len(lines(batches)) == 1


async def test_a_restart_tells_what_happened_meanwhile_and_repeats_nothing(
    api: ApiServer, tmp_path: Path
) -> None:
    first = connector(api, tmp_path)
    pod(api, container=waiting("CrashLoopBackOff"))
    deployment(api, 3)
    event(api, "a", 1, -3)
    before = reports(await pull(first, 0))
    kept = json.loads(json.dumps(first.snapshot()))
    await first.close()
    api.delete("pods", "web-5d9-abc")
    deployment(api, 4)
    event(api, "b", 1, 40)
    second = connector(api, tmp_path)
    second.restore(kept)
    batches = await pull(second, 60, since=0)
    assert changes(batches) == ["rollout: Deployment shop/web: revision 3 -> revision 4"]
    assert len(lines(batches)) == 1
    told = reports(batches)
    assert list(told) == ["over CrashLoopBackOff"]
    assert told["over CrashLoopBackOff"].ident == before["CrashLoopBackOff"].ident
    await second.close()


async def test_namespaces_and_selectors_bound_what_is_asked_for(api: ApiServer, tmp_path: Path) -> None:
    api.put("pods", "a", labels={"app": "api"}, status={"phase": "Running"})
    api.put("pods", "b", labels={"app": "web"}, status={"phase": "Running"})
    api.put("pods", "c", space="other", labels={"app": "api"}, status={"phase": "Running"})
    api.put("nodes", "n1")
    some = connector(api, tmp_path, namespaces=["shop", "pay"], selector="app=api", watch=["pods", "nodes"])
    found = values(some, await pull(some, 0))
    assert {name for _, name in found} == {"a"}
    assert sorted(one.split()[1] for one in api.asked) == [
        "/api/v1/namespaces/pay/pods",
        "/api/v1/namespaces/shop/pods",
    ]
    await some.close()


async def test_nobody_there(tmp_path: Path) -> None:
    with api_server() as api:
        made = connector(api, tmp_path)
    with pytest.raises(NotConnected, match=r"127\.0\.0\.1"):
        await pull(made, 0)
    await made.close()


async def test_no_pod_and_no_address_is_a_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    made = Kubernetes.model_validate({"name": "k"})
    made.open(SeriesIndex())
    with pytest.raises(Fatal, match="this is no pod"):
        await pull(made, 0)


async def test_a_time_that_nobody_told_is_not_a_fault(api: ApiServer, source: Kubernetes) -> None:
    api.put("pods", "odd", status={"phase": "Pending"})
    api.put("events", "odd", body={"type": "Warning", "involvedObject": {}, "message": "x"})
    batches = await pull(source, 0)
    assert reports(batches) == {}
    assert all(math.isfinite(v) for v in values(source, batches).values())
