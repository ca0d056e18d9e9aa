"""Logs of real servers: nginx and PostgreSQL through `file`, a real rsyslog through `syslog`, a real
OpenTelemetry SDK through `otlp`."""

import json
import os
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psycopg
import pytest
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource

from aiops.store import checkpoints
from tests.database import Postgres, free_port, missing_postgres, postgres
from tests.e2e.forewarn import Forewarn
from tests.e2e.servers import need, until

pytestmark = pytest.mark.e2e

LOGS = {"every": "1s", "warm_up_lines": 30, "warm_up_time": "4s"}
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class _Backend(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def backend(port: int) -> Iterator[None]:
    server = ThreadingHTTPServer(("127.0.0.1", port), _Backend)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Proxy:
    """A real nginx before a backend, with its access and error logs in `folder`/logs."""

    def __init__(self, folder: Path, upstream: int) -> None:
        self.port, self.logs = free_port(), folder / "logs"
        self.logs.mkdir()
        self._conf = folder / "nginx.conf"
        user = "user root;" if os.geteuid() == 0 else ""
        kinds = ("proxy", "fastcgi", "uwsgi", "scgi", "client_body")
        temp = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
        self._conf.write_text(
            f"daemon off; worker_processes 1; pid {folder}/nginx.pid; {user}\n"
            f"error_log {self.logs}/error.log;\n"
            f"events {{}} http {{ access_log {self.logs}/access.log; {temp}\n"
            f"server {{ listen 127.0.0.1:{self.port};\n"
            f"location / {{ proxy_pass http://127.0.0.1:{upstream}; }} }} }}"
        )
        self.requests = 0

    def __enter__(self) -> "Proxy":
        self._process = subprocess.Popen([need("nginx"), "-c", self._conf, "-e", self.logs / "error.log"])
        until(lambda: listens(self.port), what="nginx")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(10)

    def get(self, times: int = 1) -> None:
        for _ in range(times):
            self.requests += 1
            try:
                url = f"http://127.0.0.1:{self.port}/item/{self.requests}?token=s3cr3t{self.requests}"
                _DIRECT.open(url, timeout=5).close()
            except urllib.error.HTTPError as refused:
                refused.close()

    def lines(self) -> int:
        return sum(len(path.read_text().splitlines()) for path in self.logs.iterdir())


def learnt(folder: Path, source: str) -> dict[str, Any]:
    """What the newest checkpoint holds of `source`."""
    while True:
        number = max(checkpoints.numbers(folder / "data/checkpoints"))
        try:
            facts = checkpoints.read(folder / "data/checkpoints", number)[1]
        except checkpoints.Damaged:
            continue  # removed meanwhile, as newer ones were written
        found: dict[str, Any] = facts["logs"]["sources"][source]
        return found


def lines_learnt(folder: Path, source: str) -> int:
    """How many lines of `source` count in the newest checkpoint."""
    saved = learnt(folder, source)
    waiting = sum(count for _, _, counts in saved["open"] for _, count in counts)
    return int(saved["novelty"]["lines"]) + int(waiting)


def shown(problem: dict[str, Any]) -> list[str]:
    return [line for alert in problem["alerts"] for line in alert["examples"]]


def test_an_error_never_seen_in_nginx_opens_a_problem_and_a_crash_loses_and_doubles_nothing(
    tmp_path: Path,
) -> None:
    upstream = free_port()
    with Proxy(tmp_path, upstream) as nginx:
        source = {
            "kind": "file",
            "name": "nginx",
            "path": f"{nginx.logs}/*.log",
            "every": "500ms",
            "from_start": True,
            "labels": {"service": "shop"},
        }
        forewarn = Forewarn(tmp_path, {"sources": [source], "logs": LOGS, "checkpoint_every": "1s"})
        with forewarn:
            with backend(upstream):
                end = time.monotonic() + 7
                while time.monotonic() < end:
                    nginx.get(5)
                    time.sleep(0.1)
            assert forewarn.problems() == []
            nginx.get(4)
            problem = forewarn.wait_for("open", within=15)
            lines = shown(problem)
            assert any("(111: Connection refused) while connecting to upstream" in line for line in lines)
            assert not any("s3cr3t" in line for line in lines)
            assert problem["labels"]["service"] == "shop"
            nginx.get(10)
            forewarn.kill()
            nginx.get(10)
            forewarn.start()
            nginx.get(10)
            until(lambda: lines_learnt(tmp_path, "nginx") == nginx.lines(), 20, "every line, once")
            time.sleep(2.5)
            assert lines_learnt(tmp_path, "nginx") == nginx.lines()
            again = forewarn.problems()
            assert [one["id"] for one in again] == [problem["id"]]
            firing = [(a["kind"], a["rule"], json.dumps(a["labels"])) for a in again[0]["alerts"]]
            assert len(firing) == len(set(firing))


@pytest.mark.skipif(bool(missing_postgres()), reason=missing_postgres())
def test_an_error_never_seen_in_a_postgresql_that_restarts_opens_a_problem_with_its_lines(
    tmp_path: Path,
) -> None:
    with postgres() as cluster:
        source = {"kind": "file", "name": "pg", "path": str(cluster.log), "every": "500ms"}
        source |= {"from_start": True, "labels": {"service": "db"}}
        config = {"sources": [source], "logs": LOGS, "checkpoint_every": "1s"}
        with Forewarn(tmp_path, config) as forewarn:
            end = time.monotonic() + 7
            while time.monotonic() < end:
                refused(cluster, f"SELECT * FROM missing_{int(time.time() * 10)}")
                time.sleep(0.1)
            cluster.stop()
            cluster.start()
            refused(cluster, "SELECT 1/0 AS it, 'password=hunter2'")
            problem = forewarn.wait_for("open", within=15)
            wanted = "ERROR: division by zero"
            until(lambda: any(wanted in " ".join(line.split()) for line in all_shown(forewarn)), what=wanted)
            assert problem["labels"]["service"] == "db"
            assert not any("hunter2" in line for line in all_shown(forewarn))
            written = sum(": " in line for line in cluster.log.read_text().splitlines())
            until(lambda: lines_learnt(tmp_path, "pg") == written, 20, "every line, once")


def refused(cluster: Postgres, statement: str) -> None:
    with pytest.raises(psycopg.Error):
        cluster.execute(statement)


def all_shown(forewarn: Forewarn) -> list[str]:
    return [line for problem in forewarn.problems() for line in shown(problem)]


class Rsyslog:
    """A real rsyslogd: takes datagrams on `port`, and forwards over TCP with a queue on disk."""

    def __init__(self, folder: Path, to: int) -> None:
        self.port, self._folder = free_port(), folder
        self._conf = folder / "rsyslog.conf"
        self._conf.write_text(
            f'global(workDirectory="{folder}")\nmodule(load="imudp")\n'
            f'input(type="imudp" address="127.0.0.1" port="{self.port}")\n'
            f'*.* action(type="omfwd" target="127.0.0.1" port="{to}" protocol="tcp"\n'
            ' template="RSYSLOG_SyslogProtocol23Format" TCP_Framing="octet-counted"\n'
            ' action.resumeRetryCount="-1" action.resumeInterval="1"\n'
            ' queue.type="linkedList" queue.filename="forward" queue.saveOnShutdown="on")\n'
        )

    def __enter__(self) -> "Rsyslog":
        argv = [str(need("rsyslogd")), "-n", "-f", str(self._conf), "-i", f"{self._folder}/rsyslogd.pid"]
        with (self._folder / "rsyslogd.out").open("ab") as out:
            self._process = subprocess.Popen(argv, stdout=out, stderr=out)
        until((self._folder / "rsyslogd.pid").exists, what="rsyslogd")
        time.sleep(0.5)
        assert self._process.poll() is None, (self._folder / "rsyslogd.out").read_text()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(15)

    def send(self, text: str, pri: int = 30) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            stamp = time.strftime("%b %e %H:%M:%S", time.gmtime())
            out.sendto(f"<{pri}>{stamp} web-1 shopd[77]: {text}".encode(), ("127.0.0.1", self.port))


def test_a_real_rsyslog_that_restarts_loses_and_doubles_nothing_and_its_new_error_opens_a_problem(
    tmp_path: Path,
) -> None:
    port = free_port()
    source = {"kind": "syslog", "name": "net", "tcp": f"127.0.0.1:{port}", "every": "500ms"}
    sent = 0
    config = {"sources": [source], "logs": LOGS, "checkpoint_every": "1s"}
    with Forewarn(tmp_path, config) as forewarn:
        rsyslog = Rsyslog(tmp_path, port)
        with rsyslog:
            end = time.monotonic() + 7
            while time.monotonic() < end:
                rsyslog.send(f"order {sent} taken in {sent % 7} ms")
                sent += 1
                time.sleep(0.05)
        with rsyslog:
            for _ in range(20):
                rsyslog.send(f"order {sent} taken in {sent % 7} ms")
                sent += 1
            rsyslog.send("cannot reach the payment service: no route to host, api_key=abcd1234efgh", pri=27)
            sent += 1
            problem = forewarn.wait_for("open", within=15)
            assert any("cannot reach the payment service" in line for line in shown(problem))
            assert not any("abcd1234efgh" in line for line in shown(problem))
            assert problem["labels"]["host"] == "web-1"
            known = sent
            until(lambda: own_lines(tmp_path) == known, 15, "every message, once")


def own_lines(folder: Path) -> int:
    """Messages of our program that count; rsyslogd reports its own starts and stops too."""
    saved = learnt(folder, "net")
    count = sum(n for labels, _, n in saved["lines"] if dict(labels).get("app") == "shopd")
    waiting = [counts for _, labels, counts in saved["open"] if dict(labels).get("app") == "shopd"]
    return int(count + sum(n for counts in waiting for _, n in counts))


class Shop:
    """A program that logs by the OpenTelemetry SDK, in batches."""

    def __init__(self, to: str) -> None:
        resource = Resource({"service.name": "shop", "host.name": "web-1"})
        self._provider = LoggerProvider(resource, shutdown_on_exit=False)
        exporter = OTLPLogExporter(f"{to}/v1/logs", headers={"Authorization": "Bearer s3cr3t"})
        self._provider.add_log_record_processor(BatchLogRecordProcessor(exporter, schedule_delay_millis=200))
        self.said = 0

    def say(self, text: str, severity: SeverityNumber = SeverityNumber.INFO) -> None:
        record = LogRecord(timestamp=time.time_ns(), severity_number=severity, body=text)
        self._provider.get_logger("shop.orders").emit(record)
        self.said += 1

    def orders(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.say(f"order {self.said} taken in {self.said % 7} ms")
            time.sleep(0.05)

    def stop(self) -> int:
        """Ends as a program does, saying all that it still has to say; how many records it sent."""
        self._provider.shutdown()
        return self.said


def test_a_new_error_of_an_opentelemetry_sdk_opens_a_problem_and_a_restart_of_the_program_doubles_nothing(
    tmp_path: Path,
) -> None:
    (tmp_path / "token").write_text("s3cr3t")
    source = {"kind": "otlp", "name": "otel", "bearer": {"file": str(tmp_path / "token")}}
    config = {"sources": [source], "logs": LOGS, "checkpoint_every": "1s"}
    with Forewarn(tmp_path, config) as forewarn:
        to = f"{forewarn.url}/receive/otel"
        first = Shop(to)
        first.orders(7)
        sent = first.stop()
        again = Shop(to)
        again.orders(1)
        assert forewarn.problems() == []
        again.say("cannot reach the payment service: api_key=abcd1234efgh", SeverityNumber.ERROR)
        again.orders(1)
        problem = forewarn.wait_for("open", within=15)
        assert any("cannot reach the payment service" in line for line in shown(problem))
        assert not any("abcd1234efgh" in line for line in shown(problem))
        assert problem["labels"]["job"] == "shop"
        sent += again.stop()
        until(lambda: lines_learnt(tmp_path, "otel") == sent, 20, "every record, once")
        time.sleep(2.5)
        assert lines_learnt(tmp_path, "otel") == sent
