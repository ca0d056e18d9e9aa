"""What the ready limits are judged by is there, with a real node_exporter, and says what its parts say."""

import urllib.parse
from pathlib import Path

import pytest

from tests.e2e.forewarn import Forewarn
from tests.e2e.servers import Server, until

pytestmark = pytest.mark.e2e


def latest(forewarn: Forewarn, metric: str) -> dict[tuple[str, str], float]:
    """Newest value by mountpoint and job."""
    found = forewarn.get(f"/series?limit=50&match={urllib.parse.quote(metric)}")["items"]
    points = {one["id"]: forewarn.get(f"/series/{one['id']}/points")["observed"] for one in found}
    where = {one["id"]: (one["labels"].get("mountpoint", ""), one["labels"]["instance"]) for one in found}
    return {where[ident]: values[-1] for ident, values in points.items() if values and values[-1] is not None}


def test_shares_of_a_real_host(folder: Path, node: Server) -> None:
    source = {"kind": "scrape", "name": "nodes", "every": "1s", "targets": [node.address]}
    config = {"sources": [source], "ready_limits": ["node_exporter", "process"]}
    with Forewarn(folder, config) as forewarn:
        until(lambda: latest(forewarn, "node_memory_MemAvailable_ratio"), 20, "a share of the memory")
        (memory,) = latest(forewarn, "node_memory_MemAvailable_ratio").values()
        total = latest(forewarn, "node_memory_MemTotal_bytes")
        (available,) = latest(forewarn, "node_memory_MemAvailable_bytes").values()
        assert memory == pytest.approx(available / total["", node.address], abs=0.05)
        (files,) = latest(forewarn, "process_open_fds_ratio").values()
        assert 0 < files < 0.9
        free, space = (latest(forewarn, f"node_filesystem_{name}") for name in ("avail_bytes", "avail_ratio"))
        assert set(space) <= set(free)
        assert all(0 <= share <= 1 for share in space.values())
        assert "Traceback" not in forewarn.log.read_text()
