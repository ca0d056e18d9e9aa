"""Who may come in and what they may do: roles, scopes, accounts, sessions, and guessing made slow."""

import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from fastapi.routing import APIRoute

from aiops.engine.engine import Engine
from aiops.model.role import Role
from aiops.store import accounts, sessions, tokens
from aiops.web.api.access import SCOPES
from aiops.web.app import create_app
from aiops.web.attempts import FREE, LONGEST, Attempts
from aiops.web.console.access import Acts
from aiops.web.passwords import Passwords
from aiops.web.security import Needs
from tests.world import NOW, config_in, running

pytestmark = pytest.mark.asyncio(loop_scope="module")
BASE = "http://127.0.0.1:8750"
HTML = {"Accept": "text/html"}
SECRET = "correct horse battery"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Engine]:
    async with running(config_in(tmp_path_factory.mktemp("access")), live=120) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def client(engine: Engine) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(engine), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as made:
        yield made


async def bearer(engine: Engine, role: Role, **more: Any) -> dict[str, str]:
    now = engine.clock.now()
    plain = await engine.db.run(lambda conn: tokens.create(conn, f"a {role.value}", now, role=role, **more))
    return {"Authorization": f"Bearer {plain}"}


async def account(engine: Engine, name: str, role: Role) -> int:
    """With `SECRET` for its password; one that is there keeps its number."""
    known = {one["name"]: one["id"] for one in await engine.db.read(accounts.listed)}
    if name in known:
        return int(known[name])
    stored = await Passwords().hashed(SECRET)
    return await engine.db.run(accounts.create, name, role, stored, NOW)


async def sign_in(client: httpx.AsyncClient, name: str, password: str = SECRET) -> httpx.Response:
    return await client.post("/sign-in", data={"name": name, "password": password}, headers=HTML)


async def csrf_of(client: httpx.AsyncClient) -> str:
    found = re.search(r'name="csrf" value="([0-9a-f]{64})"', (await client.get("/access")).text)
    assert found
    return found[1]


def changing(app: Any) -> Iterator[APIRoute]:
    """Every route of the app that is not only read."""
    for route in app.routes:
        nested = getattr(route, "original_router", None)
        if nested is not None:
            yield from changing(nested)
        elif isinstance(route, APIRoute) and route.methods - {"GET", "HEAD", "OPTIONS"}:
            yield route


def role_of(route: APIRoute) -> Role | None:
    """The role that the route asks for; None when it asks for none."""
    asked = [one.call.role for one in route.dependant.dependencies if isinstance(one.call, Needs | Acts)]
    return asked[0] if asked else None


async def test_every_route_that_changes_something_has_a_role(engine: Engine) -> None:
    routes = list(changing(create_app(engine)))
    assert len(routes) >= 50
    without = {route.path for route in routes if role_of(route) is None}
    # the door itself; what ticket systems prove in their own way; approval by a signed link
    assert without == {"/sign-in", "/inbound/{sink}", "/approve/{text}"}
    assert {role_of(route) for route in routes} == {None, *Role}


async def test_every_route_of_the_api_refuses_the_roles_below_its_own(
    engine: Engine, client: httpx.AsyncClient
) -> None:
    headers = {role: await bearer(engine, role) for role in Role}
    asked = {}
    for route in changing(create_app(engine)):
        role = role_of(route)
        if role is None or any(isinstance(one.call, Acts) for one in route.dependant.dependencies):
            continue
        asked[route.path] = role
    document = (await client.get("/api/v1/openapi.json")).json()
    seen = set()
    for path, methods in document["paths"].items():
        (role,) = {role for end, role in asked.items() if path.endswith(end)} or {None}
        if "post" not in methods or role is None:
            continue
        seen.add(path)
        assert "403" in methods["post"]["responses"], path
        url = re.sub(r"{\w+}", "1", path)
        for lower in (one for one in Role if not one.covers(role)):
            answer = await client.post(url, headers=headers[lower], json={})
            assert answer.status_code == 403, (path, lower)
            assert answer.headers["content-type"] == "application/problem+json"
            assert role.value in answer.json()["detail"]
    assert len(seen) >= 25


async def test_the_console_refuses_the_roles_below(engine: Engine, client: httpx.AsyncClient) -> None:
    for role in Role:
        await account(engine, f"only-{role.value}", role)
        assert (await sign_in(client, f"only-{role.value}")).status_code == 303
        csrf = await csrf_of(client)
        for route in changing(create_app(engine)):
            guards = [one.call for one in route.dependant.dependencies if isinstance(one.call, Acts)]
            if not guards or role.covers(guards[0].role):
                continue
            answer = await client.post(re.sub(r"{\w+}", "1", route.path), data={"csrf": csrf})
            assert answer.status_code == 403, (route.path, role)
        page = (await client.get("/silences", headers=HTML)).text
        assert ('action="/silences"' in page) == role.covers(Role.RESPONDER)
        client.cookies.clear()


async def test_a_token_opens_only_the_rooms_it_was_made_for(
    engine: Engine, client: httpx.AsyncClient
) -> None:
    mine = await bearer(engine, Role.ADMIN, scopes=["silences"])
    wish = {"match": '{host="web-9"}', "reason": "moving", "duration": "1h"}
    assert (await client.post("/api/v1/silences", headers=mine, json=wish)).status_code == 201
    answer = await client.post("/api/v1/holds", headers=mine, json={"reason": "x"})
    assert answer.status_code == 403
    assert "silences only" in answer.json()["detail"]
    plain = mine["Authorization"].removeprefix("Bearer ")
    assert (await client.post("/sign-in", data={"token": plain})).status_code == 401
    document = (await client.get("/api/v1/openapi.json")).json()
    tags = {tag for methods in document["paths"].values() for one in methods.values() for tag in one["tags"]}
    assert tags == {*SCOPES, "inbound"}


async def test_a_token_ends_when_it_was_to_end(engine: Engine, client: httpx.AsyncClient) -> None:
    admin = await bearer(engine, Role.ADMIN)
    wish = {"name": "for the night", "role": "responder", "duration": "8h", "scopes": ["holds"]}
    plain = (await client.post("/api/v1/tokens", headers=admin, json=wish)).json()["token"]
    (row,) = [
        one
        for one in (await client.get("/api/v1/tokens", headers=admin)).json()["items"]
        if one["name"] == wish["name"]
    ]
    assert (row["role"], row["scopes"], row["made_by"]) == ("responder", ["holds"], "a admin")
    with engine.db.read_only() as conn:
        made = engine.clock.now()
        assert tokens.verify(conn, plain, made + 8 * 3600 - 1)
        assert tokens.verify(conn, plain, made + 8 * 3600) is None
    for wrong in ({"scopes": ["cellar"]}, {"role": "king"}, {"duration": "0s"}, {"duration": "20000d"}):
        answer = await client.post("/api/v1/tokens", headers=admin, json=wish | wrong)
        assert answer.status_code == 422, wrong


async def test_an_account_is_made_used_and_closed(engine: Engine, client: httpx.AsyncClient) -> None:
    admin = await bearer(engine, Role.ADMIN)
    wish = {"name": "eve@corp", "role": "responder", "password": SECRET}
    made = await client.post("/api/v1/accounts", headers=admin, json=wish)
    assert made.status_code == 201, made.text
    assert SECRET not in made.text
    assert (await client.post("/api/v1/accounts", headers=admin, json=wish)).status_code == 409
    for wrong in ({"password": "short"}, {"name": "two words"}, {"name": ""}, {"role": "king"}):
        answer = await client.post("/api/v1/accounts", headers=admin, json=wish | {"name": "x"} | wrong)
        assert answer.status_code == 422, wrong
    with engine.db.read_only() as conn:
        stored = accounts.by_name(conn, "eve@corp")
    assert stored
    assert stored["password"].startswith("$argon2id$")

    assert (await sign_in(client, "eve@corp")).status_code == 303
    assert "eve@corp" in (await client.get("/")).text
    url = f"/api/v1/accounts/{made.json()['id']}"
    assert (await client.post(url, headers=admin, json={"role": "viewer"})).json()["role"] == "viewer"
    assert (await client.post("/silences", data={"csrf": await csrf_of(client)})).status_code == 403
    assert (await client.post(f"{url}/close", headers=admin)).status_code == 204
    assert (await client.post(f"{url}/close", headers=admin)).status_code == 404
    assert "eve@corp" not in (await client.get("/")).text
    assert (await sign_in(client, "eve@corp")).status_code == 401


async def test_a_new_password_ends_the_other_sessions(engine: Engine, client: httpx.AsyncClient) -> None:
    await account(engine, "finn", Role.RESPONDER)
    await sign_in(client, "finn")
    elsewhere = client.cookies["forewarn_session"]
    client.cookies.clear()
    await sign_in(client, "finn")
    csrf = await csrf_of(client)
    form = {"csrf": csrf, "old": "not it at all", "new": "another long one"}
    assert (await client.post("/access/password", data=form)).status_code == 422
    form["old"] = SECRET
    assert (await client.post("/access/password", data=form | {"new": "short"})).status_code == 422
    assert (await client.post("/access/password", data=form)).status_code == 303
    with engine.db.read_only() as conn:
        assert sessions.find(conn, elsewhere, NOW) is None
        assert sessions.find(conn, client.cookies["forewarn_session"], NOW)
    assert (await sign_in(client, "finn")).status_code == 401
    assert (await sign_in(client, "finn", "another long one")).status_code == 303


async def test_sessions_end_by_idleness_and_after_a_shift(engine: Engine) -> None:
    ident = await account(engine, "gus", Role.VIEWER)
    cookie = await engine.db.run(sessions.start, NOW, 0, ident)
    with engine.db.begin() as conn:
        signed = sessions.find(conn, cookie, NOW)
        assert signed
        assert not signed.stale
        assert sessions.find(conn, cookie, NOW + sessions.IDLE) is None
        for at in range(int(NOW), int(NOW + sessions.LIFETIME), int(sessions.IDLE / 2)):
            assert sessions.find(conn, cookie, at)
            sessions.seen(conn, signed.id, at)
        assert sessions.find(conn, cookie, NOW + sessions.LIFETIME) is None


async def test_signing_out_ends_the_session_itself(engine: Engine, client: httpx.AsyncClient) -> None:
    await account(engine, "hal", Role.VIEWER)
    await sign_in(client, "hal")
    cookie = client.cookies["forewarn_session"]
    assert (await client.post("/sign-out", data={"csrf": await csrf_of(client)})).status_code == 303
    client.cookies.set("forewarn_session", cookie)
    assert "hal" not in (await client.get("/")).text


async def test_guessing_is_made_slow_and_is_said(engine: Engine, client: httpx.AsyncClient) -> None:
    await account(engine, "ida", Role.VIEWER)
    for _ in range(FREE):
        assert (await sign_in(client, "ida", "wrong")).status_code == 401
    slow = await sign_in(client, "ida")
    assert slow.status_code == 429
    assert int(slow.headers["retry-after"]) >= 1
    assert "Wait" in slow.text
    assert (await sign_in(client, "nobody", "wrong")).status_code == 401


async def test_waits_grow_and_are_forgiven() -> None:
    attempts = Attempts()
    waits = []
    at = 0.0
    for _ in range(FREE + 12):
        attempts.failed("ann", "10.0.0.1", at)
        waits.append(attempts.wait("ann", "10.0.0.1", at))
        at += waits[-1]
    assert waits[: FREE - 1] == [0.0] * (FREE - 1)
    assert waits[FREE - 1 : FREE + 3] == [1.0, 2.0, 4.0, 8.0]
    assert max(waits) == LONGEST
    assert attempts.wait("ann", "10.0.0.2", at - 1) == 0.0
    assert attempts.wait("bob", "10.0.0.1", at - 1) == 0.0
    assert attempts.wait("ann", "10.0.0.1", at + LONGEST) == 0.0


async def test_where_others_reach_the_port_pages_need_a_login(engine: Engine) -> None:
    before = engine.config
    await account(engine, "jo", Role.VIEWER)
    for web in ({"listen": "0.0.0.0:8750"}, {"url": "https://forewarn.corp"}, {"login": True}):
        engine.config = before.model_copy(update={"web": before.web.model_copy(update=web)})
        try:
            base = web.get("url") or "http://127.0.0.1:8750"
            transport = httpx.ASGITransport(create_app(engine))
            async with httpx.AsyncClient(transport=transport, base_url=str(base)) as outside:
                assert (await outside.get("/problems")).status_code == 303
                assert (await outside.get("/api/v1/problems")).status_code == 401
                answer = await sign_in(outside, "jo")
                assert ("Secure" in answer.headers["set-cookie"]) == ("url" in web)
                assert (await outside.get("/problems")).status_code == 200
                assert (await outside.get("/api/v1/problems")).status_code == 200
        finally:
            engine.config = before
