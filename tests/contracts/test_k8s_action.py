"""The closed verbs of `k8s` on a simulated API: each change once by its key, never over somebody else's."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiops.plugin import Action, Fatal, NotConnected, Retryable
from tests.acting import action
from tests.database import free_port
from tests.kubernetes_api import Cluster, cluster, kubeconfig

World = tuple[Cluster, Path]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with cluster(tmp_path) as made:
        yield made


def k8s(world: World, verb: str, object_: str = "deployment", name: str = "web", **values: Any) -> Action:
    return action("k8s", verb=verb, object=object_, name=name, kubeconfig=str(world[1]), **values)


def template(image: str) -> dict[str, Any]:
    return {
        "metadata": {"labels": {"app": "web", "pod-template-hash": image}},
        "spec": {"containers": [{"image": image}]},
    }


async def test_a_restart_is_one_by_its_key(world: World) -> None:
    path = world[0].add("Deployment", "web", {"replicas": 2, "template": template("v1")})
    restart = k8s(world, "restart")
    assert await restart.probe("5:restart") is False
    await restart.run("5:restart")
    first = world[0].objects[path]["spec"]["template"]["metadata"]["annotations"]
    assert list(first) == ["kubectl.kubernetes.io/restartedAt"]
    await restart.run("5:restart")
    assert world[0].changes == [f"PATCH {path}"], "the same key does nothing again"
    assert await restart.probe("5:restart") is True
    await restart.run("6:restart")
    assert len(world[0].changes) == 2


async def test_scaling_is_relative_and_bounded(world: World) -> None:
    path = world[0].add("Deployment", "web", {"replicas": 3, "template": {}})
    more = k8s(world, "scale", by=2, at_most=4)
    await more.run("1:more")
    await more.run("1:more")
    assert world[0].objects[path]["spec"]["replicas"] == 4
    with pytest.raises(Fatal, match="has 4 replicas already, and may have 1 to 4"):
        await more.run("2:more")
    await k8s(world, "scale", replicas=0, at_least=2).run("3:less")
    assert world[0].objects[path]["spec"]["replicas"] == 2


async def test_a_rollback_takes_the_last_template_but_one(world: World) -> None:
    path = world[0].add("Deployment", "web", {"replicas": 1, "template": template("v3")})
    owner = {"ownerReferences": [{"uid": "uid-web"}]}
    for revision, image in ((9, "v2"), (10, "v3"), (2, "v1")):
        marks = {"deployment.kubernetes.io/revision": str(revision)}
        world[0].add("ReplicaSet", f"web-{image}", {"template": template(image)}, annotations=marks, **owner)
    world[0].add("ReplicaSet", "other", {"template": template("x")}, annotations={})
    back = k8s(world, "rollback")
    await back.run("1:back")
    await back.run("1:back")
    made = world[0].objects[path]["spec"]["template"]
    assert made["spec"]["containers"] == [{"image": "v2"}]
    assert made["metadata"]["labels"] == {"app": "web"}
    assert world[0].changes == [f"PATCH {path}"]


async def test_there_is_nothing_to_go_back_to(world: World) -> None:
    world[0].add("Deployment", "web", {"template": template("v1")})
    world[0].add("ReplicaSet", "other", {"template": template("x")})
    with pytest.raises(Fatal, match="no earlier revision"):
        await k8s(world, "rollback").run("1:back")


async def test_a_node_is_cordoned_and_a_pod_deleted(world: World) -> None:
    node = world[0].add("Node", "n1", status={"conditions": [{"type": "Ready", "status": "True"}]})
    pod = world[0].add("Pod", "web-0", status={"phase": "Running"})
    cordon = k8s(world, "cordon", "node", "n1")
    assert await cordon.probe("1:c") is False
    assert (await cordon.run("1:c")).data["unschedulable"] is True
    assert await cordon.probe("1:c") is True
    await k8s(world, "uncordon", "node", "n1").run("2:u")
    assert world[0].objects[node]["spec"] == {"unschedulable": False}
    delete = k8s(world, "delete_pod", "pod", "web-0")
    assert await delete.probe("3:d") is None
    await delete.run("3:d")
    assert pod not in world[0].objects
    with pytest.raises(Fatal, match="does not exist"):
        await delete.run("4:d")


@pytest.mark.parametrize(
    ("status", "settled"),
    [
        ({"readyReplicas": 2, "updatedReplicas": 2, "observedGeneration": 1}, True),
        ({"readyReplicas": 1, "updatedReplicas": 2, "observedGeneration": 1}, False),
        ({"readyReplicas": 2, "updatedReplicas": 1, "observedGeneration": 1}, False),
        ({"readyReplicas": 2, "updatedReplicas": 2, "observedGeneration": 0}, False),
        ({}, False),
    ],
)
async def test_a_rollout_has_settled_when_all_replicas_are_new_and_ready(
    world: World, status: dict[str, int], settled: bool
) -> None:
    world[0].add("Deployment", "web", {"replicas": 2}, status)
    outcome = await k8s(world, "status").run("1:look")
    assert outcome.ok is settled
    assert world[0].changes == []


async def test_refusals_of_the_server(world: World) -> None:
    world[0].add("Deployment", "web", {"replicas": 2, "template": {}})
    cases: list[tuple[list[int], type[Exception], str]] = [
        ([403], Fatal, "role"),
        ([429], Retryable, "429"),
        ([503], Retryable, "503"),
        ([409], Retryable, "somebody else"),
    ]
    for codes, kind, words in cases:
        world[0].refuse = codes * 4
        with pytest.raises(kind, match=words):
            await k8s(world, "restart").run("1:r")
    assert world[0].changes == []


async def test_somebody_elses_change_is_not_overwritten(world: World) -> None:
    path = world[0].add("Deployment", "web", {"replicas": 2, "template": {}})
    plain, world[0].refuse = world[0]._patch, []

    def raced(at: str, patch: Any) -> tuple[int, Any]:
        world[0].objects[at]["metadata"]["resourceVersion"] = "77"
        return plain(at, patch)

    world[0]._patch = raced  # type: ignore[method-assign]
    with pytest.raises(Retryable, match="somebody else"):
        await k8s(world, "scale", by=1).run("1:s")
    assert world[0].objects[path]["spec"]["replicas"] == 2


async def test_nobody_there(tmp_path: Path) -> None:
    config = kubeconfig(tmp_path, f"http://127.0.0.1:{free_port()}")
    with pytest.raises(NotConnected):
        await action("k8s", verb="restart", name="web", kubeconfig=str(config)).run("1:r")
    with pytest.raises(Fatal, match="there is no file"):
        await action("k8s", verb="restart", name="web", kubeconfig=str(tmp_path / "none")).run("1:r")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"verb": "drain"}, "restart"),
        ({"verb": "cordon"}, "not for a deployment"),
        ({"verb": "scale"}, "replicas or by"),
        ({"verb": "restart", "name": "../nodes/n1"}, "pattern"),
        ({"verb": "restart", "namespace": "a/b"}, "pattern"),
    ],
)
def test_what_is_refused_when_read(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        action("k8s", **{"name": "web", **values})
