"""A real Prometheus Alertmanager and a whole Forewarn: alerts come in, problems go out, none goes round."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.database import free_port
from tests.e2e.forewarn import Forewarn
from tests.e2e.servers import Server, need

pytestmark = pytest.mark.e2e

WITHIN = 30.0
TOKEN = "a-token-of-the-test"


def alertmanager(folder: Path, hook: str) -> Server:
    """It tells `hook` of everything, at once."""
    port, binary = free_port(), need("prometheus-alertmanager")
    bearer = {"authorization": {"type": "Bearer", "credentials": TOKEN}}
    receiver = {"name": "forewarn", "webhook_configs": [{"url": hook, "http_config": bearer}]}
    quick = {"group_wait": "100ms", "group_interval": "1s", "repeat_interval": "1h", "group_by": ["..."]}
    config = folder / "alertmanager.json"
    config.write_text(json.dumps({"route": {"receiver": "forewarn", **quick}, "receivers": [receiver]}))
    flags = [f"--config.file={config}", f"--storage.path={folder / 'am'}", "--cluster.listen-address="]
    return Server(
        "alertmanager", [binary, *flags, f"--web.listen-address=127.0.0.1:{port}"], folder, port, "/-/ready"
    )


class Worlds:
    def __init__(self, am: Server, forewarn: Forewarn) -> None:
        self.am, self.forewarn = am, forewarn

    def post(self, over: bool = False, **labels: str) -> None:
        """As Prometheus does."""
        now = datetime.now(UTC).isoformat()
        alert = {"labels": {"alertname": "QueueGrows", "severity": "critical", **labels}}
        notes = {"annotations": {"summary": "The queue of checkout grows"}}
        ends = {"endsAt": now} if over else {}
        url = f"{self.am.url}/api/v2/alerts"
        httpx.post(url, json=[{**alert, **notes, **ends}], trust_env=False).raise_for_status()

    def ours(self) -> list[dict[str, Any]]:
        """The alerts in Alertmanager that Forewarn made."""
        found = httpx.get(f"{self.am.url}/api/v2/alerts", trust_env=False).raise_for_status().json()
        return [one for one in found if one["labels"]["alertname"] == "ForewarnProblem"]


@pytest.fixture
def world(folder: Path) -> Iterator[Worlds]:
    port = free_port()
    (folder / "bearer").write_text(TOKEN)
    with alertmanager(folder, f"http://127.0.0.1:{port}/receive/am") as am:
        bearer = {"file": str(folder / "bearer")}
        forewarn = Forewarn(
            folder,
            {
                "web": {"listen": f"127.0.0.1:{port}"},
                "sources": [
                    {"kind": "host", "every": "5s"},
                    {"kind": "alertmanager_alerts", "name": "am", "bearer": bearer},
                ],
                "sinks": [{"kind": "alertmanager", "url": am.url}],
            },
        )
        forewarn.port, forewarn.url = port, f"http://127.0.0.1:{port}"
        with forewarn:
            yield Worlds(am, forewarn)


def eventually(look: Callable[[], Any]) -> Any:
    end = time.monotonic() + WITHIN
    while not (found := look()):
        assert time.monotonic() < end, f"not within {WITHIN} s"
        time.sleep(0.2)
    return found


def test_an_alert_becomes_a_problem_that_alertmanager_hears_of_until_both_are_over(world: Worlds) -> None:
    world.post(service="checkout")
    problem = world.forewarn.wait_for("open", WITHIN)
    assert "The queue of checkout grows" in problem["title"]
    (alert,) = eventually(world.ours)
    assert alert["labels"]["forewarn_key"] == problem["key"]
    assert alert["status"]["state"] == "active"
    time.sleep(2)
    assert len(world.forewarn.problems()) == 1, "our own alert came back and is no news"
    world.post(over=True, service="checkout")
    over = world.forewarn.wait_for("resolved", WITHIN)
    assert over["key"] == problem["key"]
    eventually(lambda: not world.ours())
