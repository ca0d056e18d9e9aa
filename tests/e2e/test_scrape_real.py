"""A whole Forewarn pulls a real node_exporter and itself, without a Prometheus in between."""

import json
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from tests.e2e.forewarn import Forewarn
from tests.e2e.servers import Server, until

pytestmark = pytest.mark.e2e


def observed(forewarn: Forewarn, selector: str) -> list[float]:
    found = forewarn.get(f"/series?limit=5&match={urllib.parse.quote(selector)}")["items"]
    return forewarn.get(f"/series/{found[0]['id']}/points")["observed"] if found else []


def said(page: str, name: str) -> float:
    with urllib.request.urlopen(f"http://{page}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return float(next(line for line in lines if line.startswith(name + " ")).split()[1])


def test_a_real_exporter(folder: Path, node: Server) -> None:
    (folder / "targets.json").write_text(json.dumps([{"targets": [node.address], "labels": {"env": "test"}}]))
    source = {"kind": "scrape", "name": "nodes", "every": "1s", "files": [str(folder / "targets.json")]}
    with Forewarn(folder, {"sources": [source]}) as forewarn:
        up = f'up{{job="nodes",instance="{node.address}",env="test"}}'
        until(lambda: len(observed(forewarn, up)) >= 3, 20, "scrapes")
        assert set(observed(forewarn, up)) == {1.0}
        memory = observed(forewarn, 'node_memory_MemTotal_bytes{env="test"}')
        assert memory[-1] == pytest.approx(said(node.address, "node_memory_MemTotal_bytes"), rel=1e-6)
        idle = 'node_cpu_seconds_total{cpu="0",mode="idle"}'
        until(lambda: len(observed(forewarn, idle)) >= 3, 20, "rates")
        assert 0 <= observed(forewarn, idle)[-1] < 1.5
        scraped = observed(forewarn, 'scrape_samples_scraped{env="test"}')[-1]
        known = len(forewarn.get("/series?limit=500")["items"])
        assert scraped > 300
        assert known >= min(500, 0.8 * scraped)
        node.stop()
        until(lambda: observed(forewarn, up)[-1] == 0.0, 10, "the target to be down")
        node.start()
        until(lambda: observed(forewarn, up)[-1] == 1.0, 10, "the target to be up")
        assert "Traceback" not in forewarn.log.read_text()
