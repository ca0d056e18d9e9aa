"""Pages of metrics over HTTP: which targets, what a target gives, and what makes it count as down."""

import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from aiops.model.series import NAME, SeriesIndex
from connectors.scrape import Scrape
from tests.database import free_port
from tests.metrics_page import MetricsPage

NOW = 1_760_000_000.0


@pytest.fixture
def page() -> Iterator[MetricsPage]:
    with MetricsPage() as made:
        made.say("# TYPE a gauge\na 1\nb_total 5\n")
        yield made


@pytest.fixture
async def make() -> AsyncIterator[Callable[..., Scrape]]:
    made: list[Scrape] = []

    def build(**keys: Any) -> Scrape:
        made.append(Scrape.model_validate({"name": "shop", **keys}))
        made[-1].open(SeriesIndex())
        return made[-1]

    yield build
    for one in made:
        await one.close()


async def seen(one: Scrape, at: float = NOW) -> dict[str, float]:
    """Name with pod (or instance) -> value."""
    found = {}
    async for frame in one.pull(at - 15, at):
        assert frame.times.tolist() == [at]
        for slot, value in zip(frame.slots.tolist(), frame.values[0].tolist(), strict=True):
            labels = dict(one._index.labels(slot))
            found[f"{labels[NAME]} {labels.get('pod') or labels['instance']}"] = value
    return found


def series(one: Scrape) -> list[dict[str, str]]:
    return [dict(labels) for _, labels in one._index.items()]


async def test_a_target_gives_its_page_and_what_we_say_of_it(
    page: MetricsPage, make: Callable[..., Scrape]
) -> None:
    one, at = make(targets=[page.address], job="api", labels={"team": "web"}), page.address
    first = await seen(one)
    assert first.pop(f"scrape_duration_seconds {at}") < 5
    assert first == {f"up {at}": 1.0, f"scrape_samples_scraped {at}": 2.0, f"a {at}": 1.0}
    page.say("a 1\nb_total 35\n")
    assert (await seen(one, NOW + 15))[f"b_total {at}"] == 2.0
    ours = {"job": "api", "team": "web", "instance": at}
    assert all(ours.items() <= labels.items() for labels in series(one))
    headers = page.seen[0][1]
    assert headers["accept-encoding"] == "gzip"
    assert headers["accept"].startswith("application/openmetrics-text")


async def test_openmetrics_is_told_by_its_content_type(
    page: MetricsPage, make: Callable[..., Scrape]
) -> None:
    one, kind = make(targets=[page.address]), "application/openmetrics-text; version=1.0.0; charset=utf-8"
    page.say("a 1 1760000000.0\n# EOF\n", kind)
    assert (await seen(one))[f"a {page.address}"] == 1.0
    page.say("a 1\n", kind)
    assert await seen(one, NOW + 15) == {f"up {page.address}": 0.0}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((500, "text/plain", b"a 1\n"), "answered 500"),
        ((200, "text/html", b"<html>"), "neither text/plain"),
        ((200, "text/plain", b"a 1\nb"), "byte 5: the last line is cut off"),
        ((200, "text/plain", b"<p> 1\n"), "byte 0: no metric name"),
        ((200, "text/plain", b"a 1\n" * 200), "200 samples, more than 100"),
        ((200, "text/plain", b"#" * 5000 + b"\n"), "more than 1000 bytes"),
    ],
)
async def test_what_is_no_page_makes_its_target_down_and_says_why_once(
    page: MetricsPage,
    make: Callable[..., Scrape],
    caplog: pytest.LogCaptureFixture,
    answer: tuple[int, str, bytes],
    words: str,
) -> None:
    with MetricsPage() as other:
        other.say("a 2\n")
        one = make(targets=[page.address, other.address], sample_limit=100, max_body=1000)
        await seen(one)
        page.pages["/metrics"] = answer
        for tick in range(1, 3):
            got = await seen(one, NOW + 15 * tick)
            assert got[f"up {page.address}"] == 0.0
            assert f"a {page.address}" not in got
            assert got[f"a {other.address}"] == 2.0
        warned = [r.message for r in caplog.records if r.levelno == logging.WARNING]
        assert len(warned) == 1
        assert words in warned[0]
        page.say("a 1\n")
        assert (await seen(one, NOW + 60))[f"up {page.address}"] == 1.0


async def test_who_does_not_answer_is_down(page: MetricsPage, make: Callable[..., Scrape]) -> None:
    page.delay = 0.3
    away = f"127.0.0.1:{free_port()}"
    one = make(targets=[page.address, away], timeout=0.1)
    assert await seen(one) == {f"up {page.address}": 0.0, f"up {away}": 0.0}


async def test_labels_that_clash_are_renamed_or_honoured(
    page: MetricsPage, make: Callable[..., Scrape]
) -> None:
    page.say('a{job="theirs",instance="x"} 1\n')
    ours = {"job": "shop", "instance": page.address}
    renamed = ours | {"exported_job": "theirs", "exported_instance": "x"}
    for honor, expected in ((False, renamed), (True, {"job": "theirs", "instance": "x"})):
        one = make(targets=[page.address], honor_labels=honor)
        await seen(one)
        assert {NAME: "a"} | expected in series(one)


async def test_files_are_followed(
    page: MetricsPage, make: Callable[..., Scrape], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    page.say("b 2\n", path="/other")
    file = tmp_path / "one.yml"
    file.write_text(f"- targets: ['{page.address}']\n  labels: {{env: test, __metrics_path__: /other}}\n")
    (tmp_path / "two.json").write_text(json.dumps([{"targets": ["ftp://nowhere"]}, {"targets": []}]))
    one = make(files=[str(tmp_path / "*.yml"), str(tmp_path / "*.json")])
    assert (await seen(one))[f"b {page.address}"] == 2.0
    assert any(labels.get("env") == "test" for labels in series(one))
    assert "ftp://nowhere" in caplog.text
    file.write_text("- targets: 5\n")
    assert f"b {page.address}" in await seen(one, NOW + 15), "a broken file leaves things as they were"
    assert "expected a list of groups" in caplog.text
    file.unlink()
    assert await seen(one, NOW + 30) == {}


async def test_the_source_has_a_cap_of_series(page: MetricsPage, make: Callable[..., Scrape]) -> None:
    page.say("".join(f"m{k} 1\n" for k in range(10)))
    with MetricsPage() as other:
        other.say("".join(f"m{k} 1\n" for k in range(10)))
        one = make(targets=[page.address, other.address], max_series=15)
        got = await seen(one)
        tally = one.tally()
    assert sum(name.startswith("m") for name in got) == 15
    assert (tally["series"], tally["over_cap"]) == (15, 5)


def meta(name: str, **annotations: str) -> dict[str, Any]:
    said = {f"prometheus.io/{key}": text for key, text in annotations.items()}
    return {"name": name, "namespace": "web", "annotations": said, "labels": {"app": "api", "hash": "1"}}


async def test_pods_are_found_by_the_kubernetes_api(
    page: MetricsPage, make: Callable[..., Scrape], tmp_path: Path
) -> None:
    port = page.address.split(":")[1]
    wanted = {"scrape": "true", "port": port}
    status = {"podIP": "127.0.0.1", "phase": "Running"}
    page.list(
        "/api/v1/namespaces/web/pods",
        {"metadata": meta("a", **wanted), "status": status, "spec": {"nodeName": "n1"}},
        {"metadata": meta("quiet"), "status": status},
        {"metadata": meta("done", **wanted), "status": status | {"phase": "Succeeded"}},
        {"metadata": meta("z", **wanted, path="/other"), "status": status},
    )
    page.say("z 9\n", path="/other")
    (tmp_path / "token").write_text("s3cret")
    token = {"file": str(tmp_path / "token")}
    one = make(kubernetes={"api": page.url, "namespaces": ["web"], "token": token, "selector": "app"})
    got = await seen(one)
    assert {name for name in got if not name.startswith("scrape_")} == {"up a", "a a", "up z", "z z"}
    assert page.seen[0][1]["authorization"] == "Bearer s3cret"
    assert page.seen[0][0] == "/api/v1/namespaces/web/pods?limit=500&labelSelector=app"
    where = {"app": "api", "namespace": "web", "node": "n1"}
    assert any(where.items() <= labels.items() for labels in series(one))
    del page.pages["/api/v1/namespaces/web/pods"]
    assert "up a" in await seen(one, NOW + 60), "an API server that is away leaves things as they were"


async def test_ready_endpoints_of_services_and_nodes(page: MetricsPage, make: Callable[..., Scrape]) -> None:
    port = int(page.address.split(":")[1])
    page.list("/api/v1/services", {"metadata": meta("api", scrape="true")}, {"metadata": meta("other")})
    endpoints = [
        {"addresses": ["127.0.0.1"], "targetRef": {"name": "p1"}, "conditions": {"ready": True}},
        {"addresses": ["127.0.0.1"], "targetRef": {"name": "p2"}, "conditions": {"ready": False}},
    ]
    place = {"namespace": "web", "labels": {"kubernetes.io/service-name": "api"}}
    piece = {"metadata": place, "ports": [{"port": port}], "endpoints": endpoints}
    page.list("/apis/discovery.k8s.io/v1/endpointslices", piece)
    got = await seen(make(kubernetes={"api": page.url, "role": "service"}))
    assert got["up p1"] == 1.0
    assert "up p2" not in got
    address = {"addresses": [{"type": "InternalIP", "address": "127.0.0.1"}]}
    kubelet = {"daemonEndpoints": {"kubeletEndpoint": {"Port": port}}}
    page.list("/api/v1/nodes", {"metadata": {"name": "n1"}, "status": address | kubelet})
    one = make(kubernetes={"api": page.url, "role": "node", "annotated": False})
    assert await seen(one) == {f"up {page.address}": 0.0}, "kubelets speak TLS"


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({}, "give targets, files or kubernetes"),
        ({"targets": ["http://user:pw@host"]}, "is no address"),
        ({"targets": ["ftp://host"]}, "is no address"),
        ({"kubernetes": {"api": "10.0.0.1"}}, "expected an address such as"),
    ],
)
def test_what_names_no_target_is_refused(keys: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Scrape.model_validate({"name": "x", **keys})
