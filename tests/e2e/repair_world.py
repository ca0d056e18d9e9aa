"""The world of the repair tests: a supervised nginx, probed and scraped, watched and repaired by Forewarn."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.forewarn import Forewarn
from tests.e2e.servers import (
    Server,
    blackbox_exporter,
    get_json,
    node_exporter,
    probe_job,
    prometheus,
    scrape_job,
    until,
)
from tests.e2e.supervised import SupervisedNginx
from tests.receiver import SECRET, Receiver

NODE = (
    '{job="node",__name__=~"node_load1|node_memory_MemAvailable_bytes|'
    'node_filesystem_avail_bytes|node_context_switches_total"}'
)


@dataclass
class World:
    folder: Path
    nginx: SupervisedNginx
    receiver: Receiver
    forewarn: Forewarn


@asynccontextmanager
async def world(folder: Path, store: str) -> AsyncIterator[World]:
    """Everything running; Prometheus and Forewarn look once a second. `store`: the database's URL."""
    (folder / "secret").write_text(SECRET)
    with (
        SupervisedNginx(folder) as nginx,
        node_exporter(folder) as node,
        blackbox_exporter(folder) as blackbox,
    ):
        jobs = [
            probe_job("web", blackbox, nginx.url, labels={"service": "web"}),
            scrape_job("node", node.address),
        ]
        with prometheus(folder, jobs) as prom:
            until(lambda: _probed(prom), what="the first good probe in Prometheus")
            async with Receiver().serve() as receiver:
                forewarn = Forewarn(folder, _config(folder, prom, nginx, receiver) | {"store": store})
                await asyncio.to_thread(forewarn.start)
                try:
                    yield World(folder, nginx, receiver, forewarn)
                finally:
                    await asyncio.to_thread(forewarn.__exit__)


def _probed(prom: Server) -> bool:
    found = get_json(f"{prom.url}/api/v1/query?query=probe_success")["data"]["result"]
    return bool(found) and found[0]["value"][1] == "1"


def _config(folder: Path, prom: Server, nginx: SupervisedNginx, receiver: Receiver) -> dict[str, Any]:
    playbook = folder / "restart-nginx.yaml"
    playbook.write_text(json.dumps(_playbook(nginx)))
    probe = 'probe_success{service="web"}'
    return {
        "sources": [
            {
                "kind": "prometheus",
                "name": "prod",
                "url": prom.url,
                "select": ['{job="web"}', NODE],
                "every": "1s",
                "history": "5m",
            }
        ],
        "slis": [
            {
                "name": "web answers",
                "of": {"match": probe},
                "breach": {"below": 1},
                "labels": {"service": "web"},
            }
        ],
        "alerting": {"resolve_after": "4s"},
        "sinks": [
            {
                "kind": "webhook",
                "name": "itsm",
                "url": receiver.url,
                "secret": {"file": str(folder / "secret")},
            }
        ],
        "routes": [{"to": "itsm"}],
        "playbooks": [str(playbook)],
        "remediation": {"enabled": True},
    }


def _playbook(nginx: SupervisedNginx) -> dict[str, Any]:
    restart = {
        "action": "service",
        "manager": "supervisor",
        "url": nginx.server,
        "name": "nginx",
        "verb": "restart",
        "idempotent": True,
    }
    return {
        "playbook": "restart-nginx",
        "match": 'problem.evidence.exists(e, e.metric == "probe_success" && e.observed == 0)',
        "target": "service/web",
        "autonomy": "auto",
        "guards": {"cooldown": "0s", "max_runs": {"count": 100, "per": "1h"}},
        "precheck": {"http": {"url": nginx.url, "expect": "status != 200", "timeout": "2s"}},
        "steps": [{"restart": restart}],
        "verify": {"http": {"url": nginx.url, "timeout": "2s"}, "times": 3, "every": "1s", "within": "10s"},
        "escalate": {"note": "nginx did not come back after a restart"},
    }


@contextmanager
def stolen_port(nginx: SupervisedNginx) -> Any:
    """nginx is killed and another process takes its port: a fault that a restart cannot mend."""
    nginx.kill()
    code = (
        "import socket, sys\n"
        "s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
        "s.bind(('127.0.0.1', int(sys.argv[1]))); s.listen(64)\n"
        "while True:\n"
        "    c, _ = s.accept(); c.close()\n"
    )
    thief = subprocess.Popen([sys.executable, "-c", code, str(nginx.port)])
    try:
        until(lambda: _open(nginx.port), what="the port to be stolen")
        yield
    finally:
        thief.send_signal(signal.SIGKILL)
        thief.wait()


def _open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
