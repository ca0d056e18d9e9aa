"""Real servers for tests, on free loopback ports: started, stopped, killed, restarted.

Each is a context manager; leaving it stops the process. `need` skips where a binary is not installed.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import pytest

from tests.database import free_port

__all__ = [
    "Server",
    "blackbox_exporter",
    "free_port",
    "need",
    "node_exporter",
    "probe_job",
    "prometheus",
    "scrape_job",
    "until",
    "victoria_metrics",
]

_PACKAGES = {
    "prometheus": "prometheus",
    "prometheus-node-exporter": "prometheus-node-exporter",
    "prometheus-blackbox-exporter": "prometheus-blackbox-exporter",
    "victoria-metrics": "victoria-metrics",
    "nginx": "nginx-light",
    "rsyslogd": "rsyslog",
    "rt-setup-database-5": "request-tracker5",
    "plackup": "starman libplack-perl",
}
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Loopback is never asked through a proxy."""


def need(binary: str) -> str:
    """Its path; skips the test, saying what to install, where there is none."""
    found = shutil.which(binary, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    beside = Path(sys.executable).with_name(binary)
    if found or beside.exists():
        return found or str(beside)
    pytest.skip(
        f"{binary} is not installed (Debian package {_PACKAGES.get(binary, binary)}; make test-servers)"
    )


def until(true: Callable[[], object], within: float = 15.0, what: str = "") -> None:
    """Wait for `true()`; raises TimeoutError that says what was waited for."""
    end = time.monotonic() + within
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {within:g} s: {what or true}")
        time.sleep(0.05)


def answers(url: str) -> bool:
    """Whether a GET gives 2xx."""
    try:
        with _DIRECT.open(url, timeout=2) as response:
            return bool(response.status < 300)
    except (urllib.error.URLError, OSError):
        return False


def get_json(url: str) -> Any:
    with _DIRECT.open(url, timeout=5) as response:
        return json.load(response)


class Server:
    """One process that serves HTTP at `url`. Its output is in `folder`/`name`.log."""

    def __init__(self, name: str, argv: Sequence[object], folder: Path, port: int, ready: str = "/") -> None:
        self.name, self.folder, self.port = name, folder, port
        self.url = f"http://127.0.0.1:{port}"
        self._argv = [str(word) for word in argv]
        self._ready = ready
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """host:port, as a scrape target."""
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    def start(self) -> Self:
        log = self.folder / f"{self.name}.log"
        # a test run that is killed takes its servers with it
        prefix = ["setpriv", "--pdeathsig=KILL"] if shutil.which("setpriv") else []
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                prefix + self._argv, cwd=self.folder, stdout=out, stderr=out, start_new_session=True
            )
        try:
            until(lambda: answers(self.url + self._ready) or self._process.poll() is not None)
        except TimeoutError:
            self.stop()
            raise
        if self._process.poll() is not None:
            raise RuntimeError(f"{self.name} ended at once:\n{log.read_text(errors='replace')[-2000:]}")
        return self

    def stop(self, how: int = signal.SIGTERM) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    def __enter__(self) -> Self:
        return self.start() if self._process is None else self

    def __exit__(self, *_: object) -> None:
        self.stop()


def node_exporter(folder: Path) -> Server:
    """Metrics of this host; `*.prom` files in `folder`/textfiles are served as they are."""
    port = free_port()
    textfiles = folder / "textfiles"
    textfiles.mkdir(exist_ok=True)
    argv = [need("prometheus-node-exporter"), f"--web.listen-address=127.0.0.1:{port}"]
    return Server(
        "node_exporter", [*argv, f"--collector.textfile.directory={textfiles}"], folder, port, "/metrics"
    )


def blackbox_exporter(folder: Path) -> Server:
    """Probes by the modules http_2xx and tcp_connect, each within 2 s."""
    port = free_port()
    config = folder / "blackbox.json"
    modules = {
        "http_2xx": {"prober": "http", "timeout": "2s", "http": {"preferred_ip_protocol": "ip4"}},
        "tcp_connect": {"prober": "tcp", "timeout": "2s"},
    }
    config.write_text(json.dumps({"modules": modules}))
    argv = [need("prometheus-blackbox-exporter"), f"--config.file={config}"]
    return Server("blackbox", [*argv, f"--web.listen-address=127.0.0.1:{port}"], folder, port, "/metrics")


def scrape_job(name: str, *addresses: str, labels: Mapping[str, str] | None = None) -> dict[str, Any]:
    """A job that scrapes host:port addresses."""
    return {"job_name": name, "static_configs": [{"targets": list(addresses), "labels": dict(labels or {})}]}


def probe_job(
    name: str,
    blackbox: Server,
    *targets: str,
    module: str = "http_2xx",
    labels: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """A job that has `blackbox` probe the targets (URLs); `instance` is the target."""
    return scrape_job(name, *targets, labels=labels) | {
        "metrics_path": "/probe",
        "params": {"module": [module]},
        "relabel_configs": [
            {"source_labels": ["__address__"], "target_label": "__param_target"},
            {"source_labels": ["__param_target"], "target_label": "instance"},
            {"target_label": "__address__", "replacement": blackbox.address},
        ],
    }


def _scrape_config(folder: Path, jobs: Sequence[dict[str, Any]], interval: str) -> Path:
    path = folder / "scrape.json"  # JSON is YAML
    path.write_text(json.dumps({"global": {"scrape_interval": interval}, "scrape_configs": list(jobs)}))
    return path


def prometheus(folder: Path, jobs: Sequence[dict[str, Any]], interval: str = "1s", *flags: str) -> Server:
    """Scrapes `jobs`; its data outlives a restart."""
    port = free_port()
    config = _scrape_config(folder, jobs, interval)
    argv = [need("prometheus"), f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}"]
    return Server(
        "prometheus", [*argv, f"--web.listen-address=127.0.0.1:{port}", *flags], folder, port, "/-/ready"
    )


def victoria_metrics(
    folder: Path, jobs: Sequence[dict[str, Any]], interval: str = "1s", *flags: str
) -> Server:
    """Scrapes `jobs`, with its own default of hiding the newest 30 s left on."""
    port = free_port()
    config = _scrape_config(folder, jobs, interval)
    argv = [need("victoria-metrics"), f"-promscrape.config={config}", f"-storageDataPath={folder / 'vm'}"]
    return Server("victoria", [*argv, f"-httpListenAddr=127.0.0.1:{port}", *flags], folder, port, "/health")
