"""Requests while the store cannot be used: they are asked to come again, each in its own way."""

import logging
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from aiops.engine.engine import Engine
from aiops.web.app import create_app
from tests.world import token_of

pytestmark = pytest.mark.asyncio(loop_scope="module")
BASE = "http://127.0.0.1:8750"


def _named(conn: Connection, now: str, then: str) -> None:
    conn.execute(sa.text(f"ALTER TABLE {now} RENAME TO {then}"))


@pytest_asyncio.fixture(loop_scope="module")
async def client(engine: Engine) -> AsyncIterator[httpx.AsyncClient]:
    """With a token, of an engine whose store misses what every list of problems needs."""
    token = await token_of(engine)
    transport = httpx.ASGITransport(create_app(engine))
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(transport=transport, base_url=BASE, headers=headers) as made:
        await engine.db.run(_named, "problem", "problem_gone")
        try:
            yield made
        finally:
            await engine.db.run(_named, "problem_gone", "problem")


async def test_the_api_answers_503_and_when_to_try_again(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "aiops.web"):
        answer = await client.get("/api/v1/problems")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"] == "the store cannot be reached just now; try again"
    assert "GET /api/v1/problems: the store cannot be used: no such table: problem" in caplog.text


async def test_people_get_a_page_in_their_language(client: httpx.AsyncClient) -> None:
    headers = {"accept": "text/html", "accept-language": "zh"}
    answer = await client.get("/problems", headers=headers)
    assert answer.status_code == 503
    assert "暂时无法访问存储" in answer.text


async def test_a_repeat_is_not_held_to_the_answer_that_there_was_none(
    engine: Engine, client: httpx.AsyncClient
) -> None:
    headers, path, text = {"Idempotency-Key": "again"}, "/api/v1/problems/1/comment", {"text": "seen"}
    refused = await client.post(path, json=text, headers=headers)
    assert refused.status_code == 503
    await engine.db.run(_named, "problem_gone", "problem")
    try:
        assert (await client.post(path, json=text, headers=headers)).status_code < 300
    finally:
        await engine.db.run(_named, "problem", "problem_gone")
