"""Secrets planted everywhere, looked for everywhere else: logs, support bundle, data folder, every answer."""

import json
import re
import tarfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.forewarn import Forewarn
from tests.e2e.servers import until
from tests.engine.test_cli import forewarn
from tests.json_server import Asked, serving

PLANTED = {
    "token": "fw_given0PLANTED1token2that3is4long5enough6",
    "hook": "whsec_UExBTlRFRGhvb2tQTEFOVEVEaG9va1BMQU5URURob29r",
    "password": "PLANTEDbasic77",
    "bearer": "PLANTEDbearer88xyz",
    "client": "PLANTEDoidc99client",
    "account": "PLANTEDaccount55password",
    "line": "PLANTEDline11",
    "userinfo": "PLANTEDuserinfo22",
    "header": "PLANTEDheader33",
    "query": "PLANTEDquery44",
    "plain": "PLANTEDplain00value",
    "environment": "PLANTEDenvironment66",
}


def echoing(asked: Asked) -> tuple[int, object]:
    """A server that is rude enough to say what it was told."""
    return 401, "you said " + json.dumps(asked.headers) + asked.path


def config(folder: Path, echo: str) -> dict[str, object]:
    hook, password = folder / "hook", folder / "password"
    hook.write_text(PLANTED["hook"])
    password.write_text(PLANTED["password"])
    for one in (hook, password):
        one.chmod(0o600)
    return {
        "sources": [
            {"kind": "file", "path": str(folder / "app.log"), "name": "app", "every": "200ms"},
            {
                "kind": "prometheus",
                "name": "basic",
                "url": echo,
                "select": ["up"],
                "every": "300ms",
                "basic": {"username": "me", "password": {"file": str(password)}},
            },
            {
                "kind": "prometheus",
                "name": "bearer",
                "url": echo,
                "select": ["up"],
                "every": "300ms",
                "bearer": {"env": "PLANT_BEARER"},
                "headers": {"X-Api-Key": PLANTED["plain"]},
            },
            {"kind": "host", "every": "200ms"},
        ],
        "logs": {"every": "1s", "warm_up_lines": 0, "warm_up_time": 0},
        "limits": [{"match": "host_load1", "breach": {"above": -1}}],
        "sinks": [{"kind": "webhook", "name": "itsm", "url": echo, "secret": {"file": str(hook)}}],
        "web": {
            "listen": "127.0.0.1:0",
            "token": {"env": "PLANT_TOKEN"},
            "oidc": {
                "issuer": echo,
                "client_id": "forewarn",
                "secret": {"env": "PLANT_CLIENT"},
                "others": "viewer",
            },
        },
    }


LINES = """\
login of bob with password={line} failed
{{"level":"error","msg":"refused","api_key":"{line}"}}
cloning https://bob:{userinfo}@git.example/x.git failed
GET /x?access_token={query}&y=1 500 error
Authorization: Bearer {header}.abc.def refused
"""


def request(url: str, token: str = "", body: dict[str, object] | None = None) -> str:
    sent = urllib.request.Request(url, json.dumps(body).encode() if body else None)
    sent.add_header("Content-Type", "application/json")
    if token:
        sent.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(sent, timeout=10) as reply:
            return f"{dict(reply.headers)}{reply.read().decode(errors='replace')}"
    except urllib.error.HTTPError as why:
        return f"{dict(why.headers)}{why.read().decode(errors='replace')}"


def answers(engine: Forewarn) -> Iterator[tuple[str, str]]:
    """Every GET of the API that needs no more than a number, the console's pages, and the metrics."""
    document = engine.get("/openapi.json")
    paths = [path for path, ways in document["paths"].items() if "get" in ways and "events" not in path]
    assert len(paths) > 25, paths
    pages = ["/", "/problems/1", "/deliveries", "/runs", "/sources", "/settings", "/access", "/series"]
    for path in [*paths, *pages]:
        for token in ("", PLANTED["token"]):
            yield path, request(engine.url + re.sub(r"\{[^}]+\}", "1", path), token)


def leaks(where: str, content: str | bytes) -> list[str]:
    raw = content.encode() if isinstance(content, str) else content
    found = []
    for name, secret in PLANTED.items():
        # what stands behind the prefix is the secret itself
        if secret.removeprefix("whsec_").encode() in raw:
            found.append(f"{name} in {where}")
    return found


def folder_leaks(folder: Path) -> list[str]:
    """In the data folder: database, its journal, checkpoints, the kept log; not what Forewarn made itself."""
    return [
        leak
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".secret"
        for leak in leaks(str(path.relative_to(folder)), path.read_bytes())
    ]


def read_lines(engine: Forewarn) -> float:
    found = re.search(r'forewarn_log_lines_total{source="app"} ([\d.]+)', request(f"{engine.url}/metrics"))
    return float(found[1]) if found else 0.0


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANT_TOKEN", PLANTED["token"])
    monkeypatch.setenv("PLANT_BEARER", PLANTED["bearer"])
    monkeypatch.setenv("PLANT_CLIENT", PLANTED["client"])
    monkeypatch.setenv("FOREWARN_TOKEN", PLANTED["token"])
    monkeypatch.setenv("FOREWARN_OTHER", PLANTED["environment"])
    monkeypatch.setenv("FOREWARN_LOG_LEVEL", "debug")


@pytest.mark.usefixtures("planted")
def test_no_planted_secret_is_found_anywhere(tmp_path: Path) -> None:
    with serving(echoing) as echo:
        made = config(tmp_path, echo.url)
        engine = Forewarn(tmp_path, made)
        whole = json.loads(engine.config.read_text())
        whole["web"]["listen"] = f"127.0.0.1:{engine.port}"
        engine.config.write_text(json.dumps(whole))
        (tmp_path / "app.log").write_text("started\n")
        with engine:
            with (tmp_path / "app.log").open("a") as log:
                log.write(LINES.format(**PLANTED) * 40)
            account = {"name": "eve", "password": PLANTED["account"], "role": "viewer"}
            request(f"{engine.url}/api/v1/accounts", PLANTED["token"], account)
            until(lambda: engine.get("/problems")["items"], 20, "a problem")
            until(lambda: any(asked.method == "POST" for asked in echo.asked), 20, "a delivery")
            until(lambda: read_lines(engine) >= 200, 20, "the lines to be read")
            found = [leak for path, text in answers(engine) for leak in leaks(path, text)]
            bundle = tmp_path / "bundle.tar.gz"
            run = forewarn("support-bundle", bundle, "--config", engine.config)
            assert run.returncode == 0, run.stderr
            found += leaks("the command's output", run.stdout + run.stderr)
        found += leaks("the log", engine.log.read_bytes()) + folder_leaks(tmp_path / "data")
    with tarfile.open(bundle) as tar:
        assert len(tar.getnames()) == 9
        for entry in tar:
            content = tar.extractfile(entry)
            assert content
            found += leaks(f"the bundle's {entry.name}", content.read())
    told = {value for asked in echo.asked for value in asked.headers.values()}
    assert {f"Bearer {PLANTED['bearer']}", PLANTED["plain"]} <= told, "they were really used"
    assert not found
