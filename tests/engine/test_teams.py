"""Who is of a team sees and acts on what is its own: every route of API and console is asked."""

import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
import sqlalchemy as sa
from fastapi.routing import APIRoute
from sqlalchemy.engine import Connection

from aiops.core.silence import Silence, Silences
from aiops.engine.engine import Engine
from aiops.model.role import Role
from aiops.model.selector import Selector
from aiops.model.series import fingerprint
from aiops.store import silences, tokens
from aiops.store.columns import metadata
from aiops.store.database import Database
from aiops.store.scope import BELONGS, ScopedDatabase, Unscoped
from aiops.store.tables import alert, audit, delivery, problem, run
from aiops.testing import eventually
from aiops.web.app import create_app
from aiops.web.teams import INSTALLATION
from tests.making import labels
from tests.world import NOW, config_in, running

loop = pytest.mark.asyncio(loop_scope="module")
BASE = "http://127.0.0.1:8750"
HTML = {"Accept": "text/html"}
THEIRS = re.compile(r"checkout|cache_hit|web-[23]|fw-[0-9a-f]{20}|scripted", re.IGNORECASE)
"""What the world of team `default` is full of, and nobody else may read. Names of sinks are everybody's."""
PUBLIC = ("/api/v1/openapi.json", "/metrics", "/-/", "/static", "/sign-in", "/language", "/times", "/approve")
"""What shows nothing of problems to anybody, or is opened by a link of its own."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Engine]:
    async with running(config_in(tmp_path_factory.mktemp("teams"))) as made:
        wish: dict[str, Any] = {"match": '{service="checkout"}', "starts": NOW, "ends": None, "by": "a"}
        await made.db.run(lambda conn: silences.create(conn, reason="checkout", at=NOW, **wish))
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def client(engine: Engine) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(engine), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as made:
        yield made


async def bearer(engine: Engine, *teams: str, role: Role = Role.ADMIN) -> dict[str, str]:
    plain = await engine.db.run(lambda conn: tokens.create(conn, "t", NOW, role=role, teams=teams))
    return {"Authorization": f"Bearer {plain}"}


async def idents(engine: Engine) -> dict[str, str]:
    """Of something that there is, by the names that paths have for it."""

    def first(table: sa.Table) -> int:
        with engine.db.read_only() as conn:
            return int(conn.execute(sa.select(sa.func.min(table.c.id))).scalar_one())

    slot = int(engine.index.live()[0])
    rows = {"problem_id": problem, "alert_id": alert, "run_id": run, "delivery_id": delivery}
    found = {name: str(first(table)) for name, table in rows.items()}
    return found | {"series_id": fingerprint(engine.index.labels(slot)), "silence_id": "1"}


def filled(path: str, known: dict[str, str]) -> str:
    return re.sub(r"{(\w+)(?::\w+)?}", lambda part: known.get(part[1], "1"), path)


def console(app: Any) -> Iterator[APIRoute]:
    """Every route of the console."""
    for route in app.routes:
        nested = getattr(route, "original_router", None)
        if nested is not None:
            yield from console(nested)
        elif isinstance(route, APIRoute) and route.endpoint.__module__.startswith("aiops.web.console"):
            yield route


def body_of(schema: dict[str, Any], document: dict[str, Any], known: dict[str, str]) -> Any:
    """Something that fits the schema."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return body_of(document["components"]["schemas"][name], document, known)
    if schema.get("examples"):
        return schema["examples"][0]
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return body_of(schema["anyOf"][0], document, known)
    if schema.get("type") == "object":
        wanted = schema.get("required", [])
        return {n: body_of(s, document, known) for n, s in schema["properties"].items() if n in wanted}
    if schema.get("type") == "array":
        return [body_of(schema["items"], document, known)]
    if schema.get("type") in ("integer", "number"):
        return 1
    return "x" * max(1, schema.get("minLength", 1))


# -- the API


@loop
async def test_no_get_of_the_api_shows_another_team_s(engine: Engine, client: httpx.AsyncClient) -> None:
    other, ours, known = await bearer(engine, "other"), await bearer(engine, "default"), await idents(engine)
    document = (await client.get("/api/v1/openapi.json")).json()
    paths = [path for path, methods in document["paths"].items() if "get" in methods]
    shown = set()
    for path in paths:
        if path.startswith(PUBLIC) or path == "/api/v1/events":
            continue
        url = filled(path, known)
        seen, mine = await client.get(url, headers=other), await client.get(url, headers=ours)
        assert seen.status_code in (200, 403, 404), (path, seen.text)
        assert not THEIRS.search(seen.text), (path, seen.text[:500])
        if path.startswith(INSTALLATION):
            assert (seen.status_code, mine.status_code) == (403, 403), path
        elif "{" in path:
            assert (seen.status_code, mine.status_code) == (404, 200), (path, seen.text, mine.text)
        if THEIRS.search(mine.text):
            shown.add(path)
    # the same routes do show it to whom it belongs: the above cannot hold by their being empty
    assert {"/api/v1/problems", "/api/v1/alerts", "/api/v1/runs", "/api/v1/series"} <= shown
    assert {"/api/v1/audit", "/api/v1/problems/{problem_id}"} <= shown


@loop
async def test_no_change_by_the_api_touches_another_team_s(engine: Engine, client: httpx.AsyncClient) -> None:
    other, known = await bearer(engine, "other"), await idents(engine)
    document = (await client.get("/api/v1/openapi.json")).json()
    before, asked = trail(engine), 0
    for path, methods in document["paths"].items():
        for method in methods.keys() & {"post", "put", "patch", "delete"}:
            if "/inbound/" in path or path == "/api/v1/silences":
                continue
            content = methods[method].get("requestBody", {}).get("content", {}).get("application/json", {})
            sent = body_of(content["schema"], document, known) if content else None
            sent = {"duration": "1h"} if path.endswith("/snooze") else sent  # of two ways, one
            answer = await client.request(method, filled(path, known), headers=other, json=sent)
            want = 403 if path.startswith(INSTALLATION) else 404
            if path == "/api/v1/deliveries/replay":  # of all letters, those of another team are none
                assert answer.json() == {"revived": 0, "overtaken": 0}
                continue
            assert answer.status_code == want, (path, sent, answer.text)
            asked += 1
    assert asked >= 25
    assert trail(engine) == before


@loop
async def test_a_team_silences_its_own_alerts_only(engine: Engine, client: httpx.AsyncClient) -> None:
    other, both = await bearer(engine, "other"), await bearer(engine, "other", "third")
    wish = {"match": '{service="billing"}', "reason": "moving", "duration": "1h"}
    made = await client.post("/api/v1/silences", headers=other, json=wish)
    assert made.status_code == 201, made.text
    stored = {one.id: one.team for one in await engine.db.read(silences.active, NOW)}
    assert stored[made.json()["id"]] == "other"
    assert (await client.post("/api/v1/silences", headers=both, json=wish)).status_code == 422
    named = await client.post("/api/v1/silences", headers=both, json=wish | {"team": "third"})
    assert named.status_code == 201
    foreign = await client.post("/api/v1/silences", headers=other, json=wish | {"team": "default"})
    assert foreign.status_code == 422
    listed = (await client.get("/api/v1/silences", headers=other)).json()["items"]
    assert [one["id"] for one in listed] == [made.json()["id"]]


def test_a_silence_of_a_team_holds_nothing_of_another_back() -> None:
    held = Silences()
    held.asked([Silence(Selector(), 0.0, 10.0, "ours", "payments"), Silence(Selector(), 0.0, 1.0, "all")])
    up = labels("up", job="api")
    assert [held.why(up, 5.0, team) for team in ("payments", "web")] == ["ours", ""]
    assert held.why(up, 0.5, "web") == "all"


@loop
async def test_events_are_a_team_s_own(engine: Engine, client: httpx.AsyncClient) -> None:
    app = create_app(engine)
    heard = {}
    for team in ("default", "other"):
        stream = app.state.events.listen(0, "", frozenset({team}))
        heard[team] = [await anext(stream)]
        if team == "default":
            heard[team].append(await anext(stream))
        await stream.aclose()
    assert THEIRS.search(heard["default"][-1])
    assert not THEIRS.search("".join(heard["other"]))


# -- the console


async def signed_in(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    client.cookies.clear()
    plain = headers["Authorization"].removeprefix("Bearer ")
    assert (await client.post("/sign-in", data={"token": plain}, headers=HTML)).status_code == 303


@loop
async def test_no_page_of_the_console_shows_another_team_s(engine: Engine, client: httpx.AsyncClient) -> None:
    known, routes = (
        await idents(engine),
        [r for r in console(create_app(engine)) if "GET" in (r.methods or ())],
    )
    texts: dict[str, dict[str, str]] = {"other": {}, "default": {}}
    for team, found in texts.items():
        await signed_in(client, await bearer(engine, team))
        for route in routes:
            if not route.path.startswith(PUBLIC):
                answer = await client.get(filled(route.path, known), headers=HTML)
                assert answer.status_code in (200, 303, 403, 404), (route.path, answer.status_code)
                found[route.path] = re.sub(r"placeholder=('[^']*'|\"[^\"]*\")", "", answer.text)
                if route.path.startswith(INSTALLATION):
                    assert answer.status_code == 403, route.path
    for path, text in texts["other"].items():
        assert not THEIRS.search(text), (path, THEIRS.findall(text)[:5])
    assert sum(bool(THEIRS.search(text)) for text in texts["default"].values()) >= 8
    client.cookies.clear()


@loop
async def test_no_form_of_the_console_touches_another_team_s(
    engine: Engine, client: httpx.AsyncClient
) -> None:
    known, before = await idents(engine), trail(engine)
    await signed_in(client, await bearer(engine, "other"))
    csrf = re.search(r'name="csrf" value="([0-9a-f]{64})"', (await client.get("/access")).text)
    assert csrf
    for route in console(create_app(engine)):
        if "POST" not in (route.methods or ()) or route.path.startswith((*PUBLIC, "/sign-out")):
            continue
        form = {"csrf": csrf[1], "text": "x", "reason": "x", "note": "x", "other": "2", "into": "2"}
        answer = await client.post(filled(route.path, known), data=form, headers=HTML)
        assert answer.status_code in (303, 403, 404, 422), (route.path, answer.status_code)
    assert trail(engine) == before
    client.cookies.clear()


def trail(engine: Engine) -> int:
    """Rows of the audit trail of team `default`, but for tokens."""
    with engine.db.read_only() as conn:
        mine = (audit.c.team == "default") & audit.c.entity.not_in(("token", "session"))
        return int(conn.execute(sa.select(sa.func.count()).where(mine)).scalar_one())


@loop
async def test_an_admin_says_whose_a_token_and_an_account_are(
    engine: Engine, client: httpx.AsyncClient
) -> None:
    admin = await bearer(engine)
    wish = {"name": "robot", "role": "responder", "teams": ["payments", "web"]}
    assert (await client.post("/api/v1/tokens", headers=admin, json=wish)).status_code == 201
    rows = (await client.get("/api/v1/tokens", headers=admin)).json()["items"]
    assert [one["teams"] for one in rows if one["name"] == "robot"] == [["payments", "web"]]
    person = {"name": "zoe", "password": "correct horse battery", "teams": ["web"]}
    made = await client.post("/api/v1/accounts", headers=admin, json=person)
    assert made.json()["teams"] == ["web"]
    url = f"/api/v1/accounts/{made.json()['id']}"
    assert (await client.post(url, headers=admin, json={"teams": []})).json()["teams"] == []
    wrong = await client.post("/api/v1/tokens", headers=admin, json=wish | {"teams": ["two words"]})
    assert wrong.status_code == 422


@loop
async def test_series_belong_to_the_team_of_their_source(engine: Engine) -> None:
    await eventually(lambda: len(engine.index) > 0)
    assert engine.team_of(int(engine.index.live()[0])) == "default"


# -- statements


def answered(conn: Connection, asking: Any) -> int:
    return len(conn.execute(asking).all())


def done(conn: Connection, changing: Any) -> int:
    return conn.execute(changing).rowcount


async def test_statements_of_every_table_are_narrowed(db: Database) -> None:
    """Whatever is asked, and whoever wrote it."""
    mine = ScopedDatabase(db, frozenset({"a"}))
    for table in metadata.sorted_tables:
        if table.name in BELONGS:
            continue
        asked: list[str] = []

        def look(_c: Any, _cur: Any, text: str, *_: Any, into: list[str] = asked) -> None:
            into.append(text)

        sa.event.listen(db.engine, "before_cursor_execute", look)
        nested = sa.select(sa.func.count()).select_from(sa.select(table).subquery())
        for asking in (sa.select(table), nested):
            await mine.read(answered, asking)
        for changing in (table.delete(), table.update().values(team="a")):
            await mine.run(done, changing)
        sa.event.remove(db.engine, "before_cursor_execute", look)
        narrowed = [text for text in asked if f"{table.name}.team IN" in text]
        assert len(narrowed) == 4, (table.name, asked)
    with pytest.raises(Unscoped):
        await mine.read(lambda conn: conn.execute(sa.text("SELECT 1")).all())


async def test_what_a_team_stores_is_its_own(db: Database) -> None:
    mine, other = (ScopedDatabase(db, frozenset({team})) for team in ("a", "b"))
    values: dict[str, Any] = {"match": "up", "starts": 0.0, "ends": None, "reason": "r", "by": "x", "at": 0.0}
    made = await mine.run(lambda conn: silences.create(conn, **values))
    assert await other.read(silences.get, made.id) is None
    assert await other.run(lambda conn: silences.expire(conn, made.id, by="x", at=1.0)) is None
    found = await mine.read(silences.get, made.id)
    assert found
    assert (found.team, found.ends) == ("a", None)
