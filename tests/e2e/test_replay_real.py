"""``forewarn replay`` over the history of a real VictoriaMetrics."""

import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.e2e.servers import get_json, until, victoria_metrics

pytestmark = pytest.mark.e2e

ROWS = 480
STEP = 15

CONFIG = """\
sources:
  - {kind: prometheus, name: prod, url: "http://%s", select: ['disk_free_ratio'], every: 1m}
limits:
  - {name: disk, match: disk_free_ratio, breach: {below: 0.05}, horizon: 1h}
slis:
  - name: writes fail
    of: {source: prod, query: 'min(disk_free_ratio)'}
    breach: {below: 0.01}
    labels: {host: a}
"""


def test_the_history_of_a_source_is_replayed_with_its_slis(tmp_path: Path) -> None:
    start = int(time.time()) - (ROWS + 8) * STEP
    free = [0.5 if i < 240 else max(0.0, 0.5 - 0.0025 * (i - 240)) for i in range(ROWS)]
    lines = [f'disk_free_ratio{{host="a"}} {v} {(start + STEP * i) * 1000}' for i, v in enumerate(free)]
    config = tmp_path / "forewarn.yaml"
    with victoria_metrics(tmp_path, []) as server:
        url = f"http://{server.address}"
        httpx.post(f"{url}/api/v1/import/prometheus", content="\n".join(lines)).raise_for_status()
        count = f"{url}/api/v1/query?query=count_over_time(disk_free_ratio[3h])"
        until(lambda: get_json(count)["data"]["result"], within=60, what="the imported history")
        config.write_text(CONFIG % server.address)
        command = str(Path(sys.executable).with_name("forewarn"))
        argv = [
            command,
            "replay",
            "--config",
            str(config),
            "--source",
            "prod",
            "--from",
            "3h",
            "--step",
            "15s",
        ]
        found = subprocess.run(argv, capture_output=True, text=True, timeout=120)
    assert found.returncode == 1, found.stdout + found.stderr
    assert "1 problem(s)" in found.stdout, found.stdout
    assert "SLI breached" in found.stdout
    lead = found.stdout.partition("lead time ")[2].split(";")[0].split("\n")[0]
    assert "m" in lead, found.stdout
