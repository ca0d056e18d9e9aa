"""Asking again: ETags, Idempotency-Keys, and the stream of events that can be taken up where it broke off."""

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from sqlalchemy.engine import Connection

from aiops.engine.engine import Engine
from aiops.store import answers, audit, trail
from aiops.store.tables import answer
from aiops.store.tables import audit as audit_table
from aiops.web.app import create_app
from aiops.web.events import Events
from aiops.web.sealed import Sealer
from tests.world import config_in, running, token_of

pytestmark = pytest.mark.asyncio(loop_scope="module")
SILENCE = {"match": '{service="search"}', "duration": "2h", "reason": "reindexing"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Engine]:
    async with running(config_in(tmp_path_factory.mktemp("again")), live=120) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def client(engine: Engine) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(engine), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8750") as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def ana(engine: Engine) -> dict[str, str]:
    return {"Authorization": f"Bearer {await token_of(engine)}"}


async def test_what_has_not_changed_is_not_sent_again(client: httpx.AsyncClient, ana: dict[str, str]) -> None:
    first = await client.get("/api/v1/silences")
    tag = {"If-None-Match": f'"other", W/{first.headers["etag"]}'}
    again = await client.get("/api/v1/silences", headers=tag)
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    await client.post("/api/v1/silences", json=SILENCE, headers=ana)
    changed = await client.get("/api/v1/silences", headers=tag)
    assert changed.status_code == 200
    assert changed.headers["etag"] != first.headers["etag"]
    assert "etag" not in (await client.get("/api/v1/problems/4242")).headers


async def test_a_repeat_gets_the_same_answer_and_does_nothing(
    client: httpx.AsyncClient, ana: dict[str, str]
) -> None:
    key = ana | {"Idempotency-Key": "one"}
    first = await client.post("/api/v1/silences", json=SILENCE, headers=key)
    again = await client.post("/api/v1/silences", json=SILENCE, headers=key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"
    other = await client.post("/api/v1/silences", json=SILENCE | {"reason": "x"}, headers=key)
    assert other.status_code == 422
    assert "another request" in other.json()["detail"]
    kept = (await client.get("/api/v1/silences")).json()["items"]
    assert [one["id"] for one in kept].count(first.json()["id"]) == 1
    wrong = ana | {"Idempotency-Key": "two"}
    assert (await client.post("/api/v1/silences", json={"match": "{"}, headers=wrong)).status_code == 422
    replayed = await client.post("/api/v1/silences", json={"match": "{"}, headers=wrong)
    assert (replayed.status_code, replayed.headers["content-type"]) == (422, "application/problem+json")


async def test_a_key_is_its_tokens_own_and_opens_no_door(
    client: httpx.AsyncClient, ana: dict[str, str], engine: Engine
) -> None:
    key = {"Idempotency-Key": "mine"}
    first = await client.post("/api/v1/silences", json=SILENCE, headers=ana | key)
    bob = {"Authorization": f"Bearer {await token_of(engine, 'bob')}"}
    his = await client.post("/api/v1/silences", json=SILENCE, headers=bob | key)
    assert his.json()["id"] != first.json()["id"]
    for nobody in ({}, {"Authorization": "Bearer fw_wrong"}):
        answer = await client.post("/api/v1/silences", json=SILENCE, headers=nobody | key)
        assert answer.status_code == 401
    long = await client.post("/api/v1/silences", json=SILENCE, headers=ana | {"Idempotency-Key": "k" * 256})
    assert long.status_code == 422


async def test_an_answer_that_is_kept_can_be_read_by_its_asker_only(
    client: httpx.AsyncClient, ana: dict[str, str], engine: Engine
) -> None:
    key = ana | {"Idempotency-Key": "a token"}
    first = await client.post("/api/v1/tokens", json={"name": "job"}, headers=key)
    again = await client.post("/api/v1/tokens", json={"name": "job"}, headers=key)
    assert first.json()["token"] == again.json()["token"]
    rows = await engine.db.read(lambda conn: conn.execute(sa.select(answer)).mappings().all())
    (kept,) = [row for row in rows if row["key"] == "a token"]
    assert first.json()["token"] not in base64.b64decode(kept["body"]).decode("latin-1")
    assert kept["asked"] != hashlib.sha256(b'/api/v1/tokens\0\0{"name":"job"}').hexdigest(), (
        "it can be guessed"
    )
    own = Sealer(ana["Authorization"].removeprefix("Bearer "), "a token")
    assert json.loads(own.unseal(kept["body"])) == first.json()
    for other in (Sealer("fw_other", "a token"), Sealer(ana["Authorization"].removeprefix("Bearer "), "b")):
        with pytest.raises(InvalidTag):
            other.unseal(kept["body"])


async def test_the_document_tells_where_keys_and_tags_count(
    client: httpx.AsyncClient, ana: dict[str, str]
) -> None:
    document = (await client.get("/api/v1/openapi.json")).json()
    key, known = ({"$ref": f"#/components/parameters/{name}"} for name in ("IdempotencyKey", "IfNoneMatch"))
    keyed = []
    for path, ways in document["paths"].items():
        for method, way in ways.items():
            taken = way.get("parameters", [])
            if key in taken:
                keyed.append((method, path))
                assert {"409", "413", "422"} <= way["responses"].keys(), path
            if method == "get" and "{" not in path and not path.endswith("/events"):
                answer = await client.get(path, headers=ana)
                assert ("etag" in answer.headers) == (known in taken), path
                assert ("304" in way["responses"]) == (known in taken), path
            for status, said in way["responses"].items():
                if status >= "400" and (path, status) != ("/-/ready", "503"):
                    assert list(said["content"]) == ["application/problem+json"], (path, status)
    posts = {path for path, ways in document["paths"].items() if "post" in ways}
    assert {path for _, path in keyed} == posts - {"/api/v1/inbound/{sink}", "/-/reload"}
    assert {method for method, _ in keyed} == {"post"}


async def test_of_many_at_once_only_one_is_done(client: httpx.AsyncClient, ana: dict[str, str]) -> None:
    key = ana | {"Idempotency-Key": "storm"}
    before = len((await client.get("/api/v1/silences")).json()["items"])
    found = await asyncio.gather(
        *(client.post("/api/v1/silences", json=SILENCE, headers=key) for _ in range(8))
    )
    assert {one.status_code for one in found} <= {201, 409}
    assert len({one.json()["id"] for one in found if one.status_code == 201}) == 1
    assert len((await client.get("/api/v1/silences")).json()["items"]) == before + 1


async def test_what_came_to_nothing_may_be_tried_again(engine: Engine) -> None:
    now = engine.clock.now()
    assert await engine.db.run(answers.claim, "k", "h", "asked", now) is None
    known = await engine.db.run(answers.claim, "k", "h", "asked", now + 59)
    assert known is not None
    assert known.status is None
    assert await engine.db.run(answers.claim, "k", "h", "asked", now + 61) is None, "the first one died"
    await engine.db.run(answers.release, "k", "h")
    assert await engine.db.run(answers.claim, "k", "h", "asked", now + 61) is None
    assert await engine.db.run(answers.purge, now + 61 + answers.KEEP + 1) >= 1


# -- events


def note(engine: Engine, ident: int) -> Any:
    at = engine.clock.now()
    return engine.db.run(
        lambda conn: audit.note(
            conn, at=at, entity="problem", entity_id=ident, current="a", to="b", reason=f"n{ident}\nx"
        )
    )


async def read(stream: AsyncIterator[str], count: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(10):
        async for text in stream:
            for part in text.strip().split("\n\n"):
                if part.startswith("id:"):
                    ident, name, data = part.split("\n")
                    found.append({"id": int(ident[4:]), "event": name[7:]} | json.loads(data[6:]))
            if len(found) >= count:
                break
    return found


async def test_every_listener_hears_everything_once_and_in_order(engine: Engine) -> None:
    events = Events(engine)
    streams = [events.listen(None, "problem") for _ in range(20)]
    tasks = [asyncio.create_task(read(stream, 50)) for stream in streams]
    await asyncio.sleep(0.3)
    for ident in range(50):
        await note(engine, ident)
    for found in await asyncio.gather(*tasks):
        assert [one["entity_id"] for one in found] == [str(n) for n in range(50)]
        assert [one["id"] for one in found] == sorted({one["id"] for one in found})
    for stream in streams:
        await stream.aclose()  # type: ignore[attr-defined]
    assert events._task is None, "nobody listens: nobody looks"


async def test_a_stream_is_taken_up_where_it_broke_off(engine: Engine) -> None:
    events = Events(engine)
    stream = events.listen(None, "problem")
    first = asyncio.create_task(read(stream, 1))
    await asyncio.sleep(0.3)
    await note(engine, 100)
    (seen,) = await first
    await stream.aclose()  # type: ignore[attr-defined]
    for ident in (101, 102):
        await note(engine, ident)
    again = events.listen(seen["id"], "problem")
    assert [one["entity_id"] for one in await read(again, 2)] == ["101", "102"]
    await again.aclose()  # type: ignore[attr-defined]


async def test_a_number_that_is_left_out_is_waited_for(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two transactions the later number may be committed first: who comes back with it misses nothing."""
    monkeypatch.setattr("aiops.web.events.PATIENCE", 60.0)
    stream = Events(engine).listen(None, "problem")
    both = asyncio.create_task(read(stream, 2))
    await asyncio.sleep(0.3)
    newest = await engine.db.read(trail.newest)
    for ident in (newest + 2, newest + 1):
        await engine.db.run(_numbered, ident)
        await asyncio.sleep(0.3)
    assert [one["id"] for one in await both] == [newest + 1, newest + 2]
    await stream.aclose()  # type: ignore[attr-defined]


async def test_a_number_that_never_comes_is_given_up(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiops.web.events.PATIENCE", 0.0)
    stream = Events(engine).listen(None, "problem")
    one = asyncio.create_task(read(stream, 1))
    await asyncio.sleep(0.3)
    wanted = await engine.db.read(trail.newest) + 5
    await engine.db.run(_numbered, wanted)
    assert [found["id"] for found in await one] == [wanted]
    await stream.aclose()  # type: ignore[attr-defined]


def _numbered(conn: Connection, ident: int) -> None:
    values = {"actor": "ana", "entity": "problem", "entity_id": "1", "from_state": "a", "to_state": "b"}
    conn.execute(audit_table.insert().values(id=ident, at=0.0, reason="", **values))
