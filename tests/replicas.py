"""Several Forewarn processes on one PostgreSQL, and a small world that breaks, is mended and keeps count."""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any

from tests.database import free_port


@dataclass
class Services:
    """Services that are up or down, as a page of metrics shows; an HTTP call with a key repairs one.

    Tickets are webhooks; one that comes again under its ``webhook-id`` is the same, as the specification asks
    of receivers.
    """

    filler: int = 0
    """Further series on the page."""
    url: str = ""
    down: dict[str, float] = field(default_factory=dict)
    """Service -> since when."""
    repaired: dict[str, float] = field(default_factory=dict)
    keys: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Service -> the idempotency keys of the repairs that were asked for."""
    messages: dict[str, dict[str, Any]] = field(default_factory=dict)
    pages: int = 0
    lock: Lock = field(default_factory=Lock)

    def fell(self, service: str) -> None:
        with self.lock:
            self.down[service] = time.time()

    def opened(self) -> dict[str, set[str]]:
        """Service -> the tickets that were opened for it."""
        found: dict[str, set[str]] = defaultdict(set)
        with self.lock:
            for event in self.messages.values():
                if event["type"].endswith("opened"):
                    found[event["data"]["labels"].get("service", "?")].add(event["subject"])
        return found

    def closed(self) -> set[str]:
        """Tickets that were told of their end."""
        with self.lock:
            return {e["subject"] for e in self.messages.values() if e["type"].endswith("resolved")}

    def page(self) -> str:
        with self.lock:
            self.pages += 1
            names = {*self.down, *self.repaired, *self.idle}
            lines = [f'service_up{{service="{n}"}} {0 if n in self.down else 1}' for n in sorted(names)]
        wave = time.time() % 60
        lines += [f'filler{{n="{n}"}} {100 + (n * 7 + wave) % 13:.3f}' for n in range(self.filler)]
        return "\n".join(lines) + "\n"

    idle: set[str] = field(default_factory=set)

    def repair(self, service: str, key: str) -> None:
        with self.lock:
            self.keys[service].add(key)
            if self.down.pop(service, None) is not None:
                self.repaired[service] = time.time()

    @contextmanager
    def serve(self) -> Iterator["Services"]:
        world = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                if self.path == "/metrics":
                    return self._answer(200, world.page())
                up = self.path.rpartition("/")[2] not in world.down
                self._answer(200 if up else 503, "up" if up else "down")

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if self.path.startswith("/repair/"):
                    world.repair(self.path.rpartition("/")[2], self.headers["Idempotency-Key"])
                else:
                    with world.lock:
                        world.messages.setdefault(self.headers["webhook-id"], json.loads(body))
                self._answer(200, "{}")

            def _answer(self, status: int, text: str) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                with suppress(ConnectionError):
                    self.wfile.write(text.encode())

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        self.url = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


class Replica:
    """``forewarn run`` on its own port, restarted by its caller as a supervisor would."""

    def __init__(self, folder: Path, name: str, config: dict[str, Any]) -> None:
        self.name = name
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / f"{name}.log"
        self._config = folder / f"{name}.yaml"
        self._config.write_text(json.dumps({**config, "web": {"listen": f"127.0.0.1:{self.port}"}}))
        self._folder = folder
        self.process: subprocess.Popen[bytes] | None = None
        self.starts: Counter[str] = Counter()

    def start(self) -> None:
        prefix = ["setpriv", "--pdeathsig=KILL"] if shutil.which("setpriv") else []
        argv = [
            *prefix,
            str(Path(sys.executable).with_name("forewarn")),
            "run",
            "--config",
            str(self._config),
        ]
        env = {**os.environ, "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
        # as installed: to compile every module anew costs each start 1.4 s of a processor
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(argv, cwd=self._folder, stdout=out, stderr=out, env=env)

    @property
    def live(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """``kill -9``."""
        assert self.process
        assert self.process.pid > 1
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM, as a rolling upgrade sends it; the exit code."""
        assert self.process
        if self.live:
            self.process.terminate()
        try:
            return self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.kill()
            return -9

    def role(self) -> str:
        """leader, standby, or empty while it is not ready."""
        status, text = ask(f"{self.url}/-/ready", 2.0)
        return text.partition("(")[2].rstrip(")\n") if status == 200 else ""


def ask(url: str, timeout: float = 5.0) -> tuple[int, str]:
    """(status, body); status 0 when nobody answered."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as why:
        return why.code, why.read().decode()
    except (OSError, ValueError):
        return 0, ""


def configured(folder: Path, store: str, world: Services) -> dict[str, Any]:
    """The configuration that all replicas share: also the folder of learnt state, as on a shared volume."""
    (folder / "secret").write_text("whsec_" + "Zm9yZXdhcm4tdGVzdC1zZWNyZXQtMzItYnl0ZXMhISE=")
    playbook = folder / "repair.yaml"
    playbook.write_text(json.dumps(_playbook(world)))
    return {
        "store": store,
        "data": str(folder / "data"),
        "checkpoint_every": "3s",
        "sources": [{"kind": "scrape", "name": "page", "targets": [f"{world.url}/metrics"], "every": "1s"}],
        "limits": [{"name": "up", "match": "service_up", "breach": {"below": 0.5}}],
        "grouping": {"by": ["service"]},
        "alerting": {"resolve_after": "3s"},
        "sinks": [
            {
                "kind": "webhook",
                "name": "itsm",
                "url": f"{world.url}/hook",
                "secret": {"file": str(folder / "secret")},
            }
        ],
        "routes": [{"to": "itsm"}],
        "storm": {"most": 1_000_000},
        "playbooks": [str(playbook)],
        "egress": {"allow": ["127.0.0.1/32"]},
        "remediation": {
            "enabled": True,
            "parallel": 8,
            "brakes": {
                "blast_radius": {"targets": 100000, "per": "1s"},
                "storm": {"problems": 100000, "within": "1s"},
            },
        },
    }


def _playbook(world: Services) -> dict[str, Any]:
    service = "{{ problem.labels.service }}"
    repair = {"action": "http", "method": "POST", "url": f"{world.url}/repair/{service}", "idempotent": True}
    look = {"url": f"{world.url}/up/{service}", "expect": "status == 200"}
    return {
        "playbook": "repair",
        "match": "has(problem.labels.service)",
        "target": f"service/{service}",
        "autonomy": "auto",
        "guards": {
            "cooldown": "0s",
            "max_runs": {"count": 100000, "per": "1h"},
            "breaker": {"count": 100000, "per": "1h"},
        },
        "steps": [{"settle": {"action": "wait", "seconds": "500ms"}}, {"repair": repair}],
        "verify": {"http": look, "times": 2, "every": "300ms", "within": "20s"},
    }
