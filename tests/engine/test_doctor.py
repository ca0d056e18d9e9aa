"""`forewarn doctor`: every finding has its cause here, and says what to do."""

import json
import os
import resource
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from aiops.cli import doctor_engine, doctor_here, doctor_there
from aiops.cli.doctor import look
from aiops.cli.finding import Finding, Health
from aiops.config.read import read
from aiops.store.database import Database
from aiops.store.migrate import upgrade
from tests.database import free_port
from tests.engine.test_cli import forewarn

ACTING_AS_ROOT = os.geteuid() == 0


def config_of(folder: Path, **keys: Any) -> Path:
    file = folder / "forewarn.yaml"
    whole = {
        "store": f"sqlite:///{folder}/data/forewarn.db",
        "data": str(folder / "data"),
        "web": {"listen": f"127.0.0.1:{free_port()}"},
        "sources": [{"kind": "file", "path": str(folder / "*.log")}],
        **keys,
    }
    file.write_text(json.dumps(whole))
    return file


def bad(findings: list[Finding]) -> list[Finding]:
    found = [one for one in findings if one.health is not Health.OK]
    assert all(one.do for one in found), "whatever is not well says what to do"
    return found


@contextmanager
def web(body: bytes, ahead: float = 0.0, status: int = 200) -> Iterator[str]:
    """A server whose clock is `ahead` seconds ahead of ours."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_POST = do_GET

        def date_time_string(self, timestamp: float | None = None) -> str:
            return formatdate(time.time() + ahead, usegmt=True)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_sound_installation_has_nothing_wrong(tmp_path: Path) -> None:
    findings = look(config_of(tmp_path), None)
    assert [one.line for one in bad(findings) if one.health is Health.FAIL] == []
    assert {"python", "packages", "open files", "config", "data folder", "disk", "store", "engine"} <= {
        one.what for one in findings
    }
    assert not (tmp_path / "data").exists(), "a look makes nothing"


def test_the_command_prints_lines_or_json_and_its_code_says_which(tmp_path: Path) -> None:
    file = config_of(tmp_path)
    well = forewarn("doctor", "--config", file, "--json")
    told = json.loads(well.stdout)
    assert (well.returncode, told["fail"]) == (0, 0)
    assert {"what", "health", "said", "do"} == set(told["findings"][0])
    file.write_text("sources: [{kind: host, evry: 2s}]\n")
    wrong = forewarn("doctor", "--config", file)
    assert wrong.returncode == 1
    assert "fail  config: " in wrong.stdout
    assert "did you mean `every`?" in wrong.stdout


def test_packages_that_are_missing_or_old_are_named() -> None:
    found = doctor_here.packages(
        ["numpy>=1", "numpy>=999", "no-such-package>=1", "apprise>=99; extra == 'x'"]
    )
    assert [one.do for one in bad(found)] == ["pip install 'numpy>=999'", "pip install 'no-such-package>=1'"]
    assert doctor_here.packages(["numpy>=1,<999"])[0].health is Health.OK


def test_few_open_files_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for soft, health in ((4096, Health.OK), (512, Health.WARN), (64, Health.FAIL)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, soft=soft: (soft, 1 << 20))
        assert doctor_here.files().health is health


def test_secrets_that_lead_nowhere_or_lie_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_SECRET", raising=False)
    open_one = tmp_path / "open.secret"
    open_one.write_text("s3cret")
    open_one.chmod(0o644)
    sink = {"kind": "webhook", "url": "http://127.0.0.1:9/"}
    secrets = [{"env": "NO_SUCH_SECRET"}, {"file": str(tmp_path / "gone")}, {"file": str(open_one)}]
    sinks = [sink | {"name": f"s{place}", "secret": secret} for place, secret in enumerate(secrets)]
    found = bad(doctor_here.secrets(read(config_of(tmp_path, sinks=sinks))))
    assert [one.health for one in found] == [Health.FAIL, Health.FAIL, Health.WARN]
    assert "NO_SUCH_SECRET is not set" in found[0].said
    assert "s3cret" not in repr(found)


def test_a_password_in_a_file_that_all_may_read(tmp_path: Path) -> None:
    file = config_of(tmp_path, store="postgresql+psycopg://me:hunter2@127.0.0.1:9/x")
    file.chmod(0o666)
    found = bad(doctor_here.config_file(file, read(file)))
    assert [one.health for one in found] == [Health.FAIL, Health.WARN]
    assert "hunter2" not in repr(found)


def test_generated_secrets_are_ours_only(tmp_path: Path) -> None:
    config = read(config_of(tmp_path))
    config.data.mkdir()
    (config.data / "itsm.secret").write_text("x")
    (config.data / "itsm.secret").chmod(0o640)
    (found,) = bad(doctor_here.folder(config))
    assert found.do == f"chmod 600 {config.data / 'itsm.secret'}"


@pytest.mark.skipif(ACTING_AS_ROOT, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    config = read(config_of(tmp_path))
    tmp_path.chmod(0o500)
    assert bad(doctor_here.folder(config))[0].health is Health.FAIL


def test_little_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"total": 100 << 30, "free": 0})
    config = read(config_of(tmp_path))
    for free, health in ((50 << 30, Health.OK), (1 << 29, Health.WARN), (1 << 20, Health.FAIL)):
        usage.free = free
        monkeypatch.setattr(doctor_here.shutil, "disk_usage", lambda _: usage)
        assert [one.health for one in doctor_here.space(config)] == [health]


def test_the_store_is_asked_for_its_schema(tmp_path: Path) -> None:
    file = config_of(tmp_path)
    db = Database(read(file).store)
    upgrade(db)
    assert {one.health for one in look(file, None) if one.what in ("store", "schema")} == {Health.OK}
    with db.begin() as conn:
        conn.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    db.close()
    (newer,) = [one for one in look(file, None) if one.what == "schema"]
    assert newer.health is Health.FAIL
    assert "newer" in newer.said


def test_a_damaged_store_leads_to_restore(tmp_path: Path) -> None:
    file = config_of(tmp_path)
    db = Database(read(file).store)
    upgrade(db)
    db.close()
    path = tmp_path / "data" / "forewarn.db"
    content = bytearray(path.read_bytes())
    content[4096:12288] = os.urandom(8192)
    path.write_bytes(content)
    (found, *_) = [one for one in look(file, None) if one.what == "store"]
    assert found.health is Health.FAIL
    assert "forewarn restore" in found.do


def test_a_server_that_is_away(tmp_path: Path) -> None:
    url = f"postgresql+psycopg://me:hunter2@127.0.0.1:{free_port()}/x"
    (found,) = [one for one in look(config_of(tmp_path, store=url), None) if one.what == "store"]
    assert found.health is Health.FAIL
    assert "hunter2" not in repr(found)


def test_an_address_that_is_taken(tmp_path: Path) -> None:
    with web(b"", status=404) as url:
        listen = url.removeprefix("http://")
        config = read(config_of(tmp_path, web={"listen": listen}))
        (found,) = bad(doctor_engine.findings(config, None, 0.0))
    assert "Address already in use" in found.said


async def test_sources_and_sinks_are_asked_and_their_clocks_read(tmp_path: Path) -> None:
    with web(b"up 1\n", ahead=-90.0) as slow, web(b"{}", ahead=20.0) as quick:
        config = read(
            config_of(
                tmp_path,
                sources=[
                    {"kind": "scrape", "name": "page", "targets": [slow + "/metrics"]},
                    {"kind": "remote_write", "name": "pushed"},
                ],
                sinks=[
                    {"kind": "alertmanager", "name": "quick", "url": quick},
                    {"kind": "alertmanager", "name": "away", "url": f"http://127.0.0.1:{free_port()}"},
                ],
            )
        )
        found = await doctor_there.outside(config, None, time.time())
    lines = {(one.what, one.health): one for one in found}
    assert ("source page", Health.OK) in lines
    assert "/receive/pushed" in lines["source pushed", Health.OK].said
    assert ("sink quick", Health.OK) in lines
    assert lines["sink away", Health.FAIL].do
    assert "ahead" in lines["clock", Health.WARN].said


async def test_a_source_that_refuses_and_one_that_is_late(tmp_path: Path) -> None:
    with web(b"no", status=401) as url:
        sources = [{"kind": "prometheus", "name": "prod", "url": url, "select": ["up"]}]
        found = await doctor_there.outside(read(config_of(tmp_path, sources=sources)), None, time.time())
    assert [one.health for one in found if one.what == "source prod"] == [Health.FAIL]
    told = {"error": "", "lag": 500.0, "series": 3}
    assert doctor_there._told("source prod", told).health is Health.WARN
    assert doctor_there._told("source prod", told | {"error": "401"}).health is Health.FAIL


def test_how_wrong_a_clock_is() -> None:
    assert doctor_there.skew("x", 100.0, 99.0, 1.0).health is Health.OK
    assert doctor_there.skew("x", 100.0, 80.0, 1.0).health is Health.WARN
    late = doctor_there.skew("x", 100.0, 3700.0, 1.0)
    assert (late.health, "3600.0 s behind" in late.said) == (Health.FAIL, True)
