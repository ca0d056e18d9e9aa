"""The Helm chart: linted and rendered by the real helm over a matrix of values.

Every manifest is held to the API's own schema, every pod to the Pod Security Standard `restricted`, and every
configuration to our own check.
"""

import os
from pathlib import Path
from typing import Any

import pytest

from aiops.config.read import check
from tests.chart import CHART, GOLDENS, MATRIX, documents, helm, missing_helm, pod_specs, render, unrestricted

pytestmark = pytest.mark.skipif(bool(missing_helm()), reason=missing_helm() or "-")

ABOUT_CUSTOM = {"RayCluster", "ServiceMonitor", "PrometheusRule"}
"""Kinds of which the API server itself has no schema."""
VERSIONS = ("1.27", "1.31", "1.37")


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return {name: render(values, tmp_path_factory.mktemp("helm")) for name, values in MATRIX.items()}


def _of_kind(rendered: dict[str, str], name: str, kind: str) -> list[dict[str, Any]]:
    return [one for one in documents(rendered[name]) if one["kind"] == kind]


def _store_of(name: str) -> str:
    return str(MATRIX[name].get("store", {}).get("mode", "sqlite"))


def test_lint_finds_nothing(tmp_path: Path) -> None:
    done = helm("lint", str(CHART), "--strict", values=None, folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 chart(s) failed" in done.stdout


@pytest.mark.parametrize("name", MATRIX)
def test_the_render_is_the_golden_one(rendered: dict[str, str], name: str) -> None:
    golden = GOLDENS / f"{name}.yaml"
    if os.environ.get("FOREWARN_GOLDENS"):
        golden.write_text(rendered[name], "utf-8")
    assert rendered[name] == golden.read_text("utf-8"), "FOREWARN_GOLDENS=1 writes them anew; read the diff"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", MATRIX)
def test_every_manifest_is_strictly_what_the_api_takes(
    rendered: dict[str, str], name: str, version: str
) -> None:
    validator = pytest.importorskip("kubernetes_validate")
    found = documents(rendered[name])
    assert len(found) >= 7
    for document in found:
        if document["kind"] in ABOUT_CUSTOM:
            for pod in pod_specs(document):
                plain = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": pod}
                validator.validate(plain, version, strict=True)
            continue
        validator.validate(document, version, strict=True)


def test_the_validator_would_refuse_a_misspelt_key(rendered: dict[str, str]) -> None:
    validator = pytest.importorskip("kubernetes_validate")
    (engine,) = _of_kind(rendered, "default", "StatefulSet")
    engine["spec"]["replicsa"] = 1
    with pytest.raises(validator.ValidationError):
        validator.validate(engine, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("name", MATRIX)
def test_every_pod_is_restricted(rendered: dict[str, str], name: str) -> None:
    pods = [pod for document in documents(rendered[name]) for pod in pod_specs(document)]
    assert len(pods) >= 2
    assert [fault for pod in pods for fault in unrestricted(pod)] == []


@pytest.mark.parametrize("name", MATRIX)
def test_names_are_not_given_twice_and_selectors_meet_their_pods(rendered: dict[str, str], name: str) -> None:
    found = documents(rendered[name])
    names = [(d["kind"], d["metadata"].get("namespace"), d["metadata"]["name"]) for d in found]
    assert len(names) == len(set(names))
    sets = [d["spec"] for d in found if d["kind"] == "StatefulSet"]
    labels = [one["template"]["metadata"]["labels"] for one in sets]
    for spec, own in zip(sets, labels, strict=True):
        assert spec["selector"]["matchLabels"].items() <= own.items()
        assert spec["serviceName"] in [d["metadata"]["name"] for d in found if d["kind"] == "Service"]
    for service in (d for d in found if d["kind"] == "Service"):
        assert sum(service["spec"]["selector"].items() <= own.items() for own in labels) == 1


@pytest.mark.parametrize("name", MATRIX)
def test_the_configuration_is_one_that_forewarn_takes(
    rendered: dict[str, str], name: str, tmp_path: Path
) -> None:
    maps = {d["metadata"]["name"]: d["data"] for d in _of_kind(rendered, name, "ConfigMap")}
    text = maps["fw-forewarn"]["forewarn.yaml"]
    assert maps["fw-forewarn-migrate"]["forewarn.yaml"] == text
    for file, playbook in maps.get("fw-forewarn-playbooks", {}).items():
        (tmp_path / file).write_text(playbook)
    config, complaints = check(text.replace("/etc/forewarn-playbooks", str(tmp_path)), "forewarn.yaml")
    assert complaints == []
    assert config
    assert config.web.host == "0.0.0.0"
    assert "fw-forewarn.watch.svc" in config.web.hosts
    assert config.store.startswith("sqlite" if _store_of(name) == "sqlite" else "postgresql")


def test_no_secret_is_in_anything_but_secrets(tmp_path: Path) -> None:
    """What helm makes up itself stands in the one secret, and is at least 256 bits."""
    made = helm("template", "fw", str(CHART), values={"store": {"mode": "bundled"}}, folder=tmp_path)
    secrets = [d for d in documents(made.stdout) if d["kind"] == "Secret"]
    assert len(secrets) == 2
    for secret in secrets:
        for value in secret["data"].values():
            assert len(value) >= 56
            assert made.stdout.count(value) == 1
    config = [d for d in documents(made.stdout) if d["kind"] == "ConfigMap"]
    assert all("password" not in str(d["data"]).lower() for d in config)


def test_acting_is_off_unless_asked_for(rendered: dict[str, str]) -> None:
    def verbs(name: str) -> set[str]:
        roles = _of_kind(rendered, name, "Role") + _of_kind(rendered, name, "ClusterRole")
        return {verb for role in roles for rule in role["rules"] for verb in rule["verbs"]}

    assert verbs("default") == {"get", "list", "watch"}
    assert verbs("memory_only") == set()
    assert {"patch", "delete"} <= verbs("everything")
    acting = [
        r for r in _of_kind(rendered, "namespaced_acting", "Role") if r["metadata"]["name"].endswith("act")
    ]
    assert [r["metadata"]["namespace"] for r in acting] == ["shop"]
    (cluster,) = [
        r for r in _of_kind(rendered, "everything", "ClusterRole") if r["metadata"]["name"].endswith("act")
    ]
    assert any("nodes" in rule["resources"] for rule in cluster["rules"])
    (engine,) = _of_kind(rendered, "memory_only", "StatefulSet")
    assert engine["spec"]["template"]["spec"]["automountServiceAccountToken"] is False


def test_many_replicas_are_spread_and_not_all_taken_at_once(rendered: dict[str, str]) -> None:
    for name in ("bundled_three", "external_scaled"):
        engine = _of_kind(rendered, name, "StatefulSet")[0]
        spread = engine["spec"]["template"]["spec"]["topologySpreadConstraints"]
        assert [one["topologyKey"] for one in spread] == [
            "topology.kubernetes.io/zone",
            "kubernetes.io/hostname",
        ]
        assert _of_kind(rendered, name, "PodDisruptionBudget")[0]["spec"]["maxUnavailable"] == 1
    assert _of_kind(rendered, "default", "PodDisruptionBudget") == []
    (scaled,) = _of_kind(rendered, "external_scaled", "StatefulSet")
    assert "replicas" not in scaled["spec"]
    assert _of_kind(rendered, "external_scaled", "HorizontalPodAutoscaler")


def test_replicas_may_share_one_volume(rendered: dict[str, str], tmp_path: Path) -> None:
    (own,) = _of_kind(rendered, "external_scaled", "StatefulSet")
    assert [one["metadata"]["name"] for one in own["spec"]["volumeClaimTemplates"]] == ["data"]
    (engine,) = _of_kind(rendered, "external_shared", "StatefulSet")
    (claim,) = _of_kind(rendered, "external_shared", "PersistentVolumeClaim")
    assert "volumeClaimTemplates" not in engine["spec"]
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    pod = engine["spec"]["template"]["spec"]
    named = claim["metadata"]["name"]
    assert {"name": "data", "persistentVolumeClaim": {"claimName": named}} in pod["volumes"]
    names = [one["name"] for one in pod["containers"][0]["env"]]
    assert names.index("POD_NAME") < names.index("NUMBA_CACHE_DIR")  # else it is not filled in
    given = MATRIX["external_shared"] | {
        "persistence": {"shared": {"enabled": True, "existingClaim": "theirs"}}
    }
    text = render(given, tmp_path)
    assert "claimName: theirs" in text
    assert "PersistentVolumeClaim" not in [one["kind"] for one in documents(text)]


def test_keys_of_the_store_are_files_of_secrets_in_their_order(rendered: dict[str, str]) -> None:
    maps = {d["metadata"]["name"]: d["data"] for d in _of_kind(rendered, "everything", "ConfigMap")}
    config, _ = check(maps["fw-forewarn"]["forewarn.yaml"], "forewarn.yaml")
    assert config
    (engine,) = [
        d for d in _of_kind(rendered, "everything", "StatefulSet") if d["metadata"]["name"] == "fw-forewarn"
    ]
    pod = engine["spec"]["template"]["spec"]
    (volume,) = [one for one in pod["volumes"] if one["name"] == "store-keys"]
    (mount,) = [one for one in pod["containers"][0]["volumeMounts"] if one["name"] == "store-keys"]
    given = {
        f"{mount['mountPath']}/{item['path']}": (one["secret"]["name"], item["key"])
        for one in volume["projected"]["sources"]
        for item in one["secret"]["items"]
    }
    asked = [given[str(key.file)] for key in config.store_keys]
    assert asked == [("sealing", "2026"), ("sealing-old", "key")]
    assert mount["readOnly"] is True


def test_limits_that_are_ready_hold_by_default(rendered: dict[str, str]) -> None:
    (text,) = [
        one["data"]["forewarn.yaml"]
        for one in _of_kind(rendered, "default", "ConfigMap")
        if one["metadata"]["name"] == "fw-forewarn"
    ]
    config, _ = check(text, "forewarn.yaml")
    assert config
    assert config.ready_limits == ["kubernetes", "node_exporter"]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "misspelt": ({"replcas": 2}, "replcas"),
    "misspelt_inside": ({"persistence": {"enable": False}}, "enable"),
    "two_on_sqlite": ({"replicas": 2}, "SQLite is one file of one process"),
    "scaled_sqlite": ({"autoscaling": {"enabled": True}}, "SQLite is one file of one process"),
    "shared_sqlite": ({"persistence": {"shared": {"enabled": True}}}, "SQLite loses its locks"),
    "shared_nothing": (
        {"store": {"mode": "bundled"}, "persistence": {"enabled": False, "shared": {"enabled": True}}},
        "no volume to share",
    ),
    "external_nowhere": ({"store": {"mode": "external"}}, "host"),
    "key_of_no_secret": ({"store": {"keys": [{"name": "", "key": "k"}]}}, "keys"),
    "key_by_value": ({"store": {"keys": ["open-sesame"]}}, "keys"),
    "keys_twice": (
        {
            "store": {"keys": [{"name": "s", "key": "k"}]},
            "config": {"sources": [{"kind": "host"}], "store_keys": [{"env": "K"}]},
        },
        "in one place",
    ),
    "own_store": ({"config": {"store": "sqlite:///x.db"}}, "store"),
    "no_sources": ({"config": {"sources": []}}, "sources"),
    "ingress_nowhere": ({"ingress": {"enabled": True}}, "hosts"),
    "bad_digest": ({"image": {"digest": "latest"}}, "digest"),
    "bad_log": ({"log": {"format": "xml"}}, "format"),
    "bad_duration": ({"reloadEvery": "10 seconds"}, "reloadEvery"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_values_are_refused_by_name(name: str, tmp_path: Path) -> None:
    values, said = REFUSED[name]
    done = helm("template", "fw", str(CHART), values=values, folder=tmp_path)
    assert done.returncode != 0
    assert said in done.stderr
