"""Secrets that were planted everywhere, looked for in what lies in the database after a real run."""

import base64
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from aiops.engine.engine import Engine
from aiops.plugin import Sink
from aiops.plugin.load import load
from aiops.store import vault, views
from aiops.web.app import create_app
from tests.json_server import Asked, serving
from tests.world import config_in, running, token_of

PLANTED = {
    "hook": "whsec_" + base64.b64encode(b"PLANTEDhook" * 3).decode(),
    "gateway": "PLANTEDgateway10token",
    "step": "PLANTEDstep11bearer",
    "output": "PLANTEDoutput12",
    "account": "PLANTEDaccount13password",
    "issued": "PLANTEDissued14",
    "header": "PLANTEDheader15",
}
PLAYBOOK = """
playbook: warm-cache
match: 'problem.labels.service == "catalog"'
autonomy: auto
steps:
  - ask:
      {{action: http, method: POST, url: "{url}/warm", bearer: {{env: PLANT_STEP}}, expect: "status == 401",
        headers: {{X-Api-Key: {header}}}, register: said}}
  - use:
      {{action: command, argv: [/bin/sh, -c, 'echo "token=$TOKEN of $(printf %s "$TOKEN" | wc -c) bytes"'],
        env: {{TOKEN: "{{{{ said.json.access_token }}}}"}}}}
  - tell: {{action: command, argv: [/bin/sh, -c, 'echo "logged in with password=$(cat {output})"']}}
verify: {{command: {{argv: [/bin/true]}}, times: 1, every: 1s, within: 30s}}
"""


def rude(asked: Asked) -> tuple[int, object]:
    """A server that repeats what it was told, and gives a token."""
    said = {name: value for name, value in asked.headers.items() if name != "X-Api-Key"}
    return 401, {"you said": said | {"body": str(asked.body)}, "access_token": PLANTED["issued"]}


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("hook", "gateway", "step"):
        monkeypatch.setenv(f"PLANT_{name.upper()}", PLANTED[name])
    vault.use(["the key of this store"])
    yield
    vault.use([])


@pytest_asyncio.fixture
async def world(tmp_path: Path, db_url: str, planted: None) -> AsyncIterator[Engine]:
    """An engine on that database whose sink, playbook and people had to do with secrets."""
    with serving(rude) as server:
        shelf = tmp_path / "rude"
        shelf.mkdir()
        (tmp_path / "output").write_text(PLANTED["output"])
        about = {"url": server.url, "output": tmp_path / "output", "header": PLANTED["header"]}
        (shelf / "warm.yaml").write_text(PLAYBOOK.format(**about))
        kind = load("connectors", "webhook", Sink)  # type: ignore[type-abstract]
        itsm = {"name": "itsm", "url": server.url, "secret": {"env": "PLANT_HOOK"}}
        sink = kind.model_validate(itsm | {"token": {"env": "PLANT_GATEWAY"}})
        more: dict[str, Any] = {"sinks": [sink], "routes": [{"to": "itsm"}], "playbooks": [shelf]}
        async with running(config_in(tmp_path, store=db_url, **more), live=1500) as engine:
            yield engine


async def people(engine: Engine) -> list[str]:
    """What they do that brings secrets in; those that only came about then."""
    token = await token_of(engine)
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "an account"}
    transport = httpx.ASGITransport(create_app(engine))
    async with httpx.AsyncClient(
        transport=transport, base_url="http://127.0.0.1:8750", headers=headers
    ) as api:
        account = {"name": "eve", "password": PLANTED["account"], "role": "viewer"}
        assert (await api.post("/api/v1/accounts", json=account)).status_code == 201
        asked = {"headers": headers | {"Idempotency-Key": "a token"}, "json": {"name": "job"}}
        made = [(await api.post("/api/v1/tokens", **asked)).json()["token"] for _ in range(2)]
        assert made[0] == made[1], "a repeat shows it again"
        signed = await api.post("/sign-in", data={"token": token})
        return [token, made[0], signed.cookies["forewarn_session"]]


def content_of(url: str, folder: Path) -> bytes:
    """All that the database holds, as whoever steals its files or its dump reads it."""
    if url.startswith("sqlite"):
        return b"".join(path.read_bytes() for path in folder.glob("forewarn.db*"))
    plain = url.replace("postgresql+psycopg", "postgresql")
    return subprocess.run([pg_dump(), "--inserts", plain], check=True, capture_output=True).stdout


def pg_dump() -> str:
    return str(sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_dump"))[-1])


async def test_no_secret_lies_in_the_database(world: Engine, db_url: str, tmp_path: Path) -> None:
    fresh = await people(world)
    runs = await world.db.read(views.runs, views.RunFilter(playbook="warm-cache"), None, 9)
    assert runs, "the playbook ran"
    steps = (await world.db.read(views.steps_of, [runs[-1]["id"]]))[runs[-1]["id"]]
    assert [one["ok"] for one in steps[:3]] == [True, True, True]
    assert steps[0]["data"]["json"]["access_token"] == PLANTED["issued"], "who may read it can"
    assert f"token=*** of {len(PLANTED['issued'])} bytes" in steps[1]["output"]
    assert "logged in with password=***" in steps[2]["output"]
    assert "Bearer ***" in steps[0]["output"]
    dead = await world.db.read(views.deliveries, views.DeliveryFilter("dead"), None, 9)
    assert "401" in dead[0]["error"]
    content = content_of(db_url, tmp_path)
    assert b"warm-cache" in content
    secrets = PLANTED | {f"fresh {place}": one for place, one in enumerate(fresh)}
    found = [name for name, one in secrets.items() if one.removeprefix("whsec_").encode() in content]
    assert found == []
