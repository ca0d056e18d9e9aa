"""A real Prometheus pushes to a whole Forewarn, which pulls a real VictoriaMetrics at the same time."""

import json
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.forewarn import Forewarn
from tests.e2e.servers import Server, get_json, prometheus, scrape_job, until, victoria_metrics

pytestmark = pytest.mark.e2e


def pushing(folder: Path, to: str, node: Server) -> Server:
    """A Prometheus that scrapes the node and itself each second, and pushes to `to`."""
    folder.mkdir()
    server = prometheus(folder, [scrape_job("node", node.address)])
    config = json.loads((folder / "scrape.json").read_text())
    config["scrape_configs"].append(scrape_job("self", server.address))
    config["remote_write"] = [{"url": to, "queue_config": {"batch_send_deadline": "1s"}}]
    (folder / "scrape.json").write_text(json.dumps(config))
    return server


def series(forewarn: Forewarn, selector: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = forewarn.get(f"/series?limit=200&match={urllib.parse.quote(selector)}")[
        "items"
    ]
    return found


def observed(forewarn: Forewarn, selector: str) -> list[float]:
    """What was lately seen of the one series that matches."""
    found = series(forewarn, selector)
    return forewarn.get(f"/series/{found[0]['id']}/points")["observed"] if found else []


def fates(forewarn: Forewarn) -> dict[str, float]:
    """What became of pushed samples, from our own metrics."""
    with urllib.request.urlopen(forewarn.url + "/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    start = 'forewarn_received_samples_total{fate="'
    return {
        line[len(start) :].split('"')[0]: float(line.rsplit(" ", 1)[1])
        for line in lines
        if line.startswith(start)
    }


def test_both_at_once(folder: Path, node: Server) -> None:
    (folder / "vm").mkdir()
    with victoria_metrics(folder / "vm", [scrape_job("vm", node.address)]) as vm:
        config = {
            "sources": [
                {"kind": "remote_write", "name": "pushed", "labels": {"via": "push"}},
                {
                    "kind": "prometheus",
                    "name": "pulled",
                    "url": vm.url,
                    "every": "1s",
                    "select": ['{job="vm"}'],
                    "labels": {"via": "pull"},
                },
            ]
        }
        with Forewarn(folder, config) as forewarn:
            to = f"{forewarn.url}/receive/pushed/api/v1/write"
            with pushing(folder / "prom", to, node) as sender:
                compare(forewarn, sender, vm)
                stale_and_back(forewarn, node)
                log = (sender.folder / "prometheus.log").read_text()
                assert "non-recoverable error" not in log


def compare(forewarn: Forewarn, sender: Server, vm: Server) -> None:
    """The same node through both ways."""
    memory = 'node_memory_MemTotal_bytes{via="%s"}'
    until(
        lambda: all(observed(forewarn, memory % via) for via in ("push", "pull")), 60, "series of both ways"
    )
    seen = [observed(forewarn, memory % via)[-1] for via in ("push", "pull")]
    assert seen[0] == seen[1] > 1e6
    query = urllib.parse.quote("count({job=~'node|self'})")
    known = int(float(get_json(f"{sender.url}/api/v1/query?query={query}")["data"]["result"][0]["value"][1]))
    until(lambda: fates(forewarn).get("series", 0) >= 0.95 * known, 30, f"all of {known} series")
    # newer releases tell floats and histograms apart here
    rate = 'prometheus_tsdb_head_samples_appended_total{type=~"|float",via="push"}'
    until(lambda: len(observed(forewarn, rate)) > 12, 30, "rates")
    query = urllib.parse.quote("rate(prometheus_tsdb_head_samples_appended_total[10s])")
    theirs = float(get_json(f"{sender.url}/api/v1/query?query={query}")["data"]["result"][0]["value"][1])
    ours = observed(forewarn, rate)[-10:]
    assert sum(ours) / len(ours) == pytest.approx(theirs, rel=0.2)
    latency = 'prometheus_http_request_duration_seconds{handler="/api/v1/query",quantile="0.99",via="push"}'
    until(lambda: series(forewarn, latency), 30, "a quantile of a histogram")
    counted = fates(forewarn)
    assert counted.get("late", 0) == counted.get("duplicate", 0) == 0


def stale_and_back(forewarn: Forewarn, node: Server) -> None:
    """A target that goes sends staleness markers; when it is back, its series go on."""
    before = fates(forewarn).get("stale", 0)
    node.stop()
    until(lambda: fates(forewarn).get("stale", 0) > before + 100, 30, "staleness markers")
    count = fates(forewarn)["samples"]
    node.start()
    until(lambda: fates(forewarn)["samples"] > count + 2000, 30, "samples of the target that is back")
