"""Services of a cluster (simulated API): what stands behind them, as links, series, changes and alerts."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from aiops.core.links import Links
from aiops.core.topology import GAP, Topology
from aiops.model.frame import Frame
from aiops.model.series import NAME
from connectors.kubernetes import Kubernetes
from tests.engine.test_kubernetes_connector import T0, at, changes, connector, pull, reports
from tests.kubernetes_server import ApiServer, api_server
from tests.walk import config_of


@pytest.fixture
def api() -> Iterator[ApiServer]:
    with api_server() as made:
        yield made


@pytest.fixture
async def source(api: ApiServer, tmp_path: Path) -> AsyncIterator[Kubernetes]:
    made = connector(api, tmp_path)
    yield made
    await made.close()


def pod(api: ApiServer, workload: str, number: int = 1, ready: bool = True, since: float = -900) -> str:
    """One of a Deployment's; its uid."""
    name = f"{workload}-5d9-{number}"
    owner = {"kind": "ReplicaSet", "name": f"{workload}-5d9", "uid": "rs", "controller": True}
    condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": at(since)}
    made = api.put(
        "pods",
        name,
        labels={"pod-template-hash": "5d9", "app": workload.partition("-")[0], "tier": "back"},
        ownerReferences=[owner],
        creationTimestamp=at(-1000),
        spec={"nodeName": "n1"},
        status={"phase": "Running", "conditions": [condition]},
    )
    return str(made["metadata"]["uid"])


def service(api: ApiServer, name: str = "checkout", port: int = 80, **selector: str) -> None:
    ports = [{"port": port, "targetPort": 8080}]
    api.put("services", name, creationTimestamp=at(-9000), spec={"selector": selector, "ports": ports})


def sliced(api: ApiServer, name: str, **endpoints: bool | None) -> None:
    """An endpoint slice of service `name`: uid of a pod (_ for -) -> ready, None where it does not say."""
    api.put(
        "endpointslices",
        f"{name}-x7",
        labels={"kubernetes.io/service-name": name},
        body={
            "endpoints": [
                {
                    "targetRef": {"kind": "Pod", "uid": uid.replace("_", "-")},
                    "conditions": {} if ready is None else {"ready": ready},
                }
                for uid, ready in endpoints.items()
            ]
            + [{"addresses": ["10.0.0.9"]}]
        },
    )


class Seen:
    """The links that the engine makes of a source's frames, with its own default pairs of labels."""

    def __init__(self, source: Kubernetes) -> None:
        grouping = config_of().grouping
        self.topology = Topology()
        self.links = Links(source._index, self.topology, grouping.need_labels)

    def take(self, batches: list[Any]) -> None:
        for frame in (one for one in batches if isinstance(one, Frame)):
            self.links.welcome(frame.slots)
            self.links.see(frame)


def endpoints(source: Kubernetes, batches: list[Any]) -> dict[tuple[str, str], tuple[float, float]]:
    """(service, workload) -> (endpoints, ready ones)."""
    found: dict[tuple[str, str], dict[str, float]] = {}
    for frame in (one for one in batches if isinstance(one, Frame)):
        for slot, value in zip(frame.slots, frame.values[0], strict=True):
            named = dict(source._index.labels(int(slot)))
            if "workload" in named:
                found.setdefault((named["service"], named["workload"]), {})[named[NAME]] = float(value)
    names = ("kubernetes_service_endpoints", "kubernetes_service_endpoints_ready")
    return {ends: (values[names[0]], values[names[1]]) for ends, values in found.items()}


async def test_a_selector_leads_to_workloads_pods_and_nodes(api: ApiServer, source: Kubernetes) -> None:
    for workload, number in (("checkout-v1", 1), ("checkout-v1", 2), ("checkout-v2", 1), ("basket-v1", 1)):
        pod(api, workload, number, ready=(workload, number) != ("checkout-v1", 2))
    service(api, app="checkout", tier="back")
    service(api, "by-hand")
    batches = await pull(source, 0)
    assert endpoints(source, batches) == {
        ("checkout", "checkout-v1"): (2, 1),
        ("checkout", "checkout-v2"): (1, 1),
    }
    assert reports(batches) == {}
    seen = Seen(source)
    seen.take(batches)
    callees = seen.topology.callees
    assert set(callees["checkout"]) == {"checkout-v1", "checkout-v2"}
    assert set(callees["checkout-v1"]) >= {"checkout-v1-5d9-1"}
    assert set(callees["checkout-v1-5d9-1"]) == {"n1"}
    assert "by-hand" not in callees


async def test_slices_count_where_there_are_any(api: ApiServer, source: Kubernetes) -> None:
    """Readiness is theirs, and so is what a service without a selector sends to."""
    one, two, other = pod(api, "api"), pod(api, "api", 2), pod(api, "legacy")
    service(api, "api", app="api")
    service(api, "by-hand")
    sliced(api, "api", **{one.replace("-", "_"): None, two.replace("-", "_"): False})
    sliced(api, "by-hand", **{other.replace("-", "_"): True, "uid_elsewhere": True})
    assert endpoints(source, await pull(source, 0)) == {
        ("api", "api"): (2, 1),
        ("by-hand", "legacy"): (1, 1),
    }


async def test_links_follow_the_selector_and_remember_when(api: ApiServer, source: Kubernetes) -> None:
    pod(api, "blue-v1")
    pod(api, "green-v1")
    service(api, app="blue")
    seen = Seen(source)
    seen.take(await pull(source, 0))
    seen.take(await pull(source, 3600))
    service(api, app="green")
    batches = await pull(source, 7200)
    seen.take(batches)
    assert changes(batches) == [
        "config: Service shop/checkout: app=blue 80:8080 -> app=green 80:8080",
    ]
    then, now = (
        {callee for caller, callee in seen.topology.links(T0 + when) if caller == "checkout"}
        for when in (1800, 7200 + GAP)
    )
    assert (then, now) == ({"blue-v1"}, {"green-v1"})
    seen.topology.forget(T0 + 3600 + 86400 + 1)
    assert set(seen.topology.callees["checkout"]) == {"green-v1"}


@pytest.mark.parametrize("with_slices", [False, True])
async def test_a_service_of_which_no_pod_is_ready_is_an_alert(
    api: ApiServer, source: Kubernetes, with_slices: bool
) -> None:
    uid = pod(api, "checkout-v1", ready=False, since=0)
    service(api, app="checkout")
    if with_slices:
        sliced(api, "checkout", **{uid.replace("-", "_"): False})
    assert reports(await pull(source, 50)) == {}
    told = reports(await pull(source, 65))
    assert told["NoEndpoints"].text == "Service shop/checkout: NoEndpoints: its only pod is not ready"
    assert dict(told["NoEndpoints"].labels)["service"] == "checkout"
    pod(api, "checkout-v1", since=80)
    if with_slices:
        sliced(api, "checkout", **{uid.replace("-", "_"): True})
    assert list(reports(await pull(source, 80))) == ["over NoEndpoints"]


async def test_of_pods_that_are_not_watched_nothing_is_said(api: ApiServer, tmp_path: Path) -> None:
    pod(api, "checkout-v1", ready=False)
    service(api, app="checkout")
    some = connector(api, tmp_path, selector="app=checkout")
    assert reports(await pull(some, 300)) == {}
    await some.close()
