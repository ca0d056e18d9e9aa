"""Signing in through OpenID Connect, with a provider that runs as a process of its own."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import pytest_asyncio
from pydantic import ValidationError

from aiops.config import Oidc
from aiops.engine.engine import Engine
from aiops.model.role import Role
from aiops.plugin import Secret
from aiops.store import accounts, trail
from aiops.testing import eventually
from aiops.web.app import create_app
from tests.world import config_in, running

pytestmark = pytest.mark.asyncio(loop_scope="module")
BASE = "http://127.0.0.1:8750"
PEOPLE = [
    {"sub": "u-1", "preferred_username": "mia", "groups": ["staff", "sre", "platform"]},
    {"sub": "u-2", "preferred_username": "noa", "groups": ["staff"]},
    {"sub": "u-3", "preferred_username": "oli"},
    {"sub": "u-4", "preferred_username": "local", "groups": ["sre"]},
    {"sub": "u-5", "preferred_username": "pia", "groups": ["sre", "payments-dev", "search-dev"]},
    {"sub": "u-6", "preferred_username": "quin", "groups": ["sre", "on-leave"]},
    {"sub": "u-7", "preferred_username": "rui", "groups": ["sre", "payments-dev", "all-of-it"]},
]


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    """Its issuer's address."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    users = [part for one in PEOPLE for part in ("--user-claims", json.dumps(one))]
    command = [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(port), *users]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ}
    ) as process:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(10)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(tmp_path_factory: pytest.TempPathFactory, provider: str) -> AsyncIterator[Engine]:
    folder = tmp_path_factory.mktemp("single")
    (folder / "client").write_text("it is %41 secret+\n")
    oidc = Oidc(
        secret=Secret(file=folder / "client"),
        issuer=provider,
        client_id="forewarn",
        name="Corp",
        scopes=["openid", "profile"],
        roles={"sre": Role.RESPONDER, "platform": Role.ADMIN, "staff": Role.VIEWER},
    )
    async with running(config_in(folder, web={"oidc": oidc}), live=120) as made:
        await eventually(lambda: _up(provider), 60)
        yield made


def _up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/.well-known/openid-configuration").status_code == 200
    except httpx.TransportError:
        return False


@pytest_asyncio.fixture(loop_scope="module")
async def browser(engine: Engine) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(engine))
    async with httpx.AsyncClient(transport=transport, base_url=BASE, headers={"Accept": "text/html"}) as made:
        yield made


async def way_back(browser: httpx.AsyncClient, subject: str, next: str = "/runs") -> dict[str, str]:
    """To the provider, in there as `subject`, and what it sends back with the person."""
    answer = await browser.get("/sign-in/single", params={"next": next})
    assert answer.status_code == 303
    url = answer.headers["location"]
    asked = parse_qs(urlsplit(url).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["nonce"]
    async with httpx.AsyncClient() as outside:
        agreed = await outside.post(url, data={"sub": subject, "action": "authorize"})
    assert agreed.status_code == 302, agreed.text
    back = urlsplit(agreed.headers["location"])
    assert back.path == "/sign-in/single/back"
    return {name: values[0] for name, values in parse_qs(back.query).items()}


async def test_the_groups_decide_on_the_role(engine: Engine, browser: httpx.AsyncClient) -> None:
    assert "Sign in with Corp" in (await browser.get("/sign-in")).text
    answer = await browser.get("/sign-in/single/back", params=await way_back(browser, "u-1"))
    assert answer.status_code == 200, answer.text
    assert 'content="0; url=/runs"' in answer.text
    assert "HttpOnly" in answer.headers["set-cookie"]
    page = (await browser.get("/access")).text
    assert "mia: admin" in page
    browser.cookies.clear()
    await browser.get("/sign-in/single/back", params=await way_back(browser, "u-2"))
    assert "noa: viewer" in (await browser.get("/access")).text
    rows = {one["name"]: one for one in await engine.db.read(accounts.listed)}
    assert rows["mia"]["issuer"] == engine.config.web.oidc.issuer  # type: ignore[union-attr]


async def test_who_comes_again_has_the_role_of_now(engine: Engine, browser: httpx.AsyncClient) -> None:
    await browser.get("/sign-in/single/back", params=await way_back(browser, "u-1"))
    mine = next(one for one in await engine.db.read(accounts.listed) if one["name"] == "mia")
    await engine.db.run(accounts.set_role, mine["id"], Role.VIEWER, 1.0, "ana")
    await browser.get("/sign-in/single/back", params=await way_back(browser, "u-1"))
    assert "mia: admin" in (await browser.get("/access")).text
    again = [one for one in await engine.db.read(accounts.listed) if one["name"] == "mia"]
    assert [one["id"] for one in again] == [mine["id"]]


@pytest.mark.parametrize(
    ("subject", "said"), [("u-3", "none of your groups has a role here"), ("u-4", "another account")]
)
async def test_who_has_no_role_or_anothers_name_stays_out(
    engine: Engine, browser: httpx.AsyncClient, subject: str, said: str
) -> None:
    if "local" not in {one["name"] for one in await engine.db.read(accounts.listed)}:
        await engine.db.run(accounts.create, "local", Role.ADMIN, "x", 1.0)
    answer = await browser.get("/sign-in/single/back", params=await way_back(browser, subject))
    assert answer.status_code == 403
    assert said in answer.text
    assert "forewarn_session" not in browser.cookies


@contextmanager
def teams_by(engine: Engine, teams: dict[str, list[str]]) -> Iterator[None]:
    """The configuration with these teams of groups, as a reload would take it up."""
    before = engine.config
    values = before.web.oidc.model_dump() | {"teams": teams}  # type: ignore[union-attr]
    web = before.web.model_copy(update={"oidc": Oidc.model_validate(values)})
    engine.config = before.model_copy(update={"web": web})
    try:
        yield
    finally:
        engine.config = before


async def come_in(browser: httpx.AsyncClient, subject: str) -> httpx.Response:
    browser.cookies.clear()
    return await browser.get("/sign-in/single/back", params=await way_back(browser, subject))


async def their_teams(engine: Engine, name: str) -> list[str]:
    found: list[str] = next(
        one["teams"] for one in await engine.db.read(accounts.listed) if one["name"] == name
    )
    return found


async def test_the_groups_decide_on_the_teams(engine: Engine, browser: httpx.AsyncClient) -> None:
    given = {"payments-dev": ["payments"], "search-dev": ["search", "index"], "all-of-it": ["*"]}
    with teams_by(engine, given):
        assert (await come_in(browser, "u-5")).status_code == 200
        assert await their_teams(engine, "pia") == ["index", "payments", "search"]
        theirs = (await browser.get("/api/v1/sources")).json()["items"]
        assert (await browser.get("/api/v1/topology")).status_code == 403, "that is everybody's"
        assert (await come_in(browser, "u-7")).status_code == 200
        assert await their_teams(engine, "rui") == []
        every = (await browser.get("/api/v1/sources")).json()["items"]
        assert (theirs, [one["name"] for one in every]) == ([], ["prod"])
        assert (await browser.get("/api/v1/topology")).status_code == 200
        refused = await come_in(browser, "u-6")
    assert refused.status_code == 403
    assert "none of your groups has a team here" in refused.text
    assert "forewarn_session" not in browser.cookies
    assert "quin" not in {one["name"] for one in await engine.db.read(accounts.listed)}


async def test_teams_follow_the_groups_or_stay_as_an_admin_gave_them(
    engine: Engine, browser: httpx.AsyncClient
) -> None:
    with teams_by(engine, {"payments-dev": ["payments"]}):
        await come_in(browser, "u-5")
        assert await their_teams(engine, "pia") == ["payments"]
    with teams_by(engine, {"search-dev": ["default"]}):
        await come_in(browser, "u-5")
        assert await their_teams(engine, "pia") == ["default"]
        assert [one["name"] for one in (await browser.get("/api/v1/sources")).json()["items"]] == ["prod"]
    mine = next(one for one in await engine.db.read(accounts.listed) if one["name"] == "pia")
    rows = await engine.db.read(trail.page, trail.TrailFilter("account", text="by its groups"), None, 9)
    told = next(row["reason"] for row in rows if row["entity_id"] == str(mine["id"]))
    assert told == "pia: of default, by its groups"
    await engine.db.run(accounts.set_teams, mine["id"], ["billing"], 1.0, "ana")
    await come_in(browser, "u-5")
    assert await their_teams(engine, "pia") == ["billing"], "without `teams` they are an admin's to give"


@pytest.mark.parametrize("teams", [{"dev": []}, {"dev": ["two words"]}, {"dev": ["pay*"]}, {"dev": [""]}])
async def test_a_group_gives_teams_that_can_be(engine: Engine, teams: dict[str, list[str]]) -> None:
    with pytest.raises(ValidationError, match="teams"), teams_by(engine, teams):
        raise AssertionError


async def test_a_closed_account_stays_out(engine: Engine, browser: httpx.AsyncClient) -> None:
    await browser.get("/sign-in/single/back", params=await way_back(browser, "u-2"))
    mine = next(one for one in await engine.db.read(accounts.listed) if one["name"] == "noa")
    await engine.db.run(accounts.close, mine["id"], 1.0, "ana")
    answer = await browser.get("/sign-in/single/back", params=await way_back(browser, "u-2"))
    assert answer.status_code == 403
    assert "closed" in answer.text


async def test_what_was_not_begun_here_is_refused(browser: httpx.AsyncClient) -> None:
    back = await way_back(browser, "u-1")
    wrong: list[dict[str, Any]] = [{"state": "x"}, {"code": "x"}, {"code": "", "error": "access_denied"}]
    for change in wrong:
        answer = await browser.get("/sign-in/single/back", params=back | change)
        assert answer.status_code in (400, 403), change
        assert 'role="alert"' in answer.text
        assert "forewarn_session" not in browser.cookies
        back = await way_back(browser, "u-1")
    browser.cookies.clear()
    assert (await browser.get("/sign-in/single/back", params=back)).status_code == 400


async def test_another_nonce_does_not_hold(engine: Engine, browser: httpx.AsyncClient) -> None:
    """A code of another sign-in, put into this one: its ID token answers another nonce."""
    theirs = await way_back(browser, "u-1")
    browser.cookies.clear()
    mine = await way_back(browser, "u-1")
    answer = await browser.get("/sign-in/single/back", params=mine | {"code": theirs["code"]})
    assert answer.status_code == 403
    assert "forewarn_session" not in browser.cookies


async def test_a_provider_that_is_away_is_said(engine: Engine, browser: httpx.AsyncClient) -> None:
    before = engine.config
    oidc = before.web.oidc.model_copy(update={"issuer": "http://127.0.0.1:9"})  # type: ignore[union-attr]
    engine.config = before.model_copy(update={"web": before.web.model_copy(update={"oidc": oidc})})
    try:
        answer = await browser.get("/sign-in/single")
        assert answer.status_code == 502
        assert "does not answer" in answer.text
    finally:
        engine.config = before
