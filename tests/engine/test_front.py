"""The process's front: the names it answers to, its own TLS, and a first token that was given to it."""

import http.client
import json
import os
import shutil
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aiops.store import tokens
from aiops.store.database import Database
from aiops.web.security import Guard
from tests.database import free_port
from tests.e2e.servers import until

COMMAND = str(Path(sys.executable).with_name("forewarn"))
GIVEN = "fw_" + "x7" * 20


class Served:
    """``forewarn run`` over HTTPS, asked as a client would that knows the certificate."""

    def __init__(self, folder: Path, **web: Any) -> None:
        self.port = free_port()
        self.folder = folder
        self.cert, self.key = folder / "cert.pem", folder / "key.pem"
        tls = {"cert": str(self.cert), "key": str(self.key)}
        (folder / "token").write_text(GIVEN + "\n")
        whole = {
            "store": f"sqlite:///{folder}/forewarn.db",
            "data": str(folder),
            "sources": [{"kind": "host"}],
            "web": {"listen": f"127.0.0.1:{self.port}", "tls": tls, "token": {"file": str(folder / "token")}}
            | web,
        }
        (folder / "forewarn.yaml").write_text(json.dumps(whole))

    def certify(self) -> None:
        subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
        out = ["-keyout", str(self.key), "-out", str(self.cert), "-days", "2", "-nodes"]
        kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        subprocess.run(["openssl", "req", "-x509", *kind, *subject, *out], check=True, capture_output=True)

    def begin(self) -> "subprocess.Popen[bytes]":
        argv = [COMMAND, "run", "--config", "forewarn.yaml"]
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(argv, cwd=self.folder, stdout=log, stderr=log)

    def ask(self, method: str, path: str, host: str = "localhost", token: str = "") -> int:
        context = ssl.create_default_context(cafile=str(self.cert))
        link = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=5, context=context)
        headers = {"Host": host} | ({"Authorization": f"Bearer {token}"} if token else {})
        try:
            link.request(method, path, headers=headers)
            return link.getresponse().status
        finally:
            link.close()

    def ask_plainly(self, path: str) -> int:
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            link.request("GET", path)
            return link.getresponse().status
        finally:
            link.close()

    def ready(self) -> bool:
        try:
            return self.ask("GET", "/-/ready") == 200
        except OSError:
            return False

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()


@pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl to make a certificate with")
def test_https_given_token_and_further_names(tmp_path: Path) -> None:
    served = Served(tmp_path, hosts=["forewarn.watch.svc"])
    served.certify()
    process = served.begin()
    try:
        until(lambda: served.ready() or process.poll() is not None, 60, "Forewarn to be ready")
        assert served.ready(), served.log
        assert served.ask("GET", "/-/healthy", host="Forewarn.watch.svc:443") == 200
        assert served.ask("GET", "/-/healthy", host="evil.example") == 421
        assert served.ask("POST", "/-/reload") == 401
        assert served.ask("POST", "/-/reload", token=GIVEN) == 204
        with pytest.raises((http.client.HTTPException, OSError)):
            served.ask_plainly("/-/healthy")
        # the command finds the engine by the same file, and trusts the certificate by its own
        env = os.environ | {"FOREWARN_TOKEN": GIVEN}
        argv = [COMMAND, "status", "--config", "forewarn.yaml"]
        done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)
        assert "open problems" in done.stdout, done.stderr
    finally:
        process.terminate()
        assert process.wait(60) == 0
    assert GIVEN not in served.log
    assert "fw_" not in served.log
    assert f"https://127.0.0.1:{served.port}/" in served.log
    assert GIVEN.encode() not in b"".join(path.read_bytes() for path in tmp_path.glob("forewarn.db*"))


def test_a_missing_certificate_is_one_clear_line(tmp_path: Path) -> None:
    served = Served(tmp_path)
    process = served.begin()
    assert process.wait(60) == 1
    assert "cannot start" in served.log
    assert "Traceback" not in served.log


def test_a_token_that_could_be_guessed_is_refused(tmp_path: Path) -> None:
    served = Served(tmp_path, tls=None)
    (tmp_path / "token").write_text("letmein")
    process = served.begin()
    assert process.wait(60) == 1
    assert "at least 32" in served.log
    assert "letmein" not in served.log
    assert "Traceback" not in served.log


def test_a_given_token_replaces_the_one_before_and_no_other(db: Database) -> None:
    with db.begin() as conn:
        made = tokens.create(conn, "ci", 1.0)
        tokens.give(conn, "configuration", GIVEN, 2.0)
        tokens.give(conn, "configuration", GIVEN, 3.0)
        assert len(tokens.listed(conn)) == 2
        tokens.give(conn, "configuration", GIVEN + "new", 4.0)
    with db.begin() as conn:
        assert tokens.verify(conn, GIVEN, 5.0) is None
        found = tokens.verify(conn, GIVEN + "new", 5.0)
        assert found
        assert found.role == "admin"
        assert tokens.verify(conn, made, 5.0)


async def test_names_are_compared_without_case_and_none_is_empty() -> None:
    guard = Guard(None, "0.0.0.0", hosts=["Fw.Example", ""])  # type: ignore[arg-type]
    assert guard._known("fw.example:8750")
    assert not guard._known("")
    assert not guard._known("other.example")
