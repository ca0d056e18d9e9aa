"""`sql`: values stay values, the server keeps the time limit, and read-only means so to the database."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from aiops.config.playbooks import PlaybookError, read_playbook
from aiops.plugin import Action, Fatal, NotConnected, Retryable
from tests.acting import action, secret
from tests.database import free_port


def sql(url: str, statement: str, **values: Any) -> Action:
    if url.startswith("postgresql://"):
        url = url.replace("postgresql://", "postgresql+psycopg://")
    return action("sql", url=url, statement=statement, **values)


@pytest.fixture
def url(db_url: str) -> str:
    return db_url


async def test_rows_parameters_and_changes(url: str) -> None:
    await sql(url, "CREATE TABLE pot (name TEXT, level FLOAT)").run("1:a")
    evil = "x'); DROP TABLE pot; --"
    made = await sql(
        url, "INSERT INTO pot VALUES (:name, :level)", parameters={"name": evil, "level": 2.5}
    ).run("1:b")
    assert made.data["count"] == 1
    found = await sql(url, "SELECT name, level FROM pot WHERE name = :name", parameters={"name": evil}).run(
        "1:c"
    )
    assert found.data["row"] == {"name": evil, "level": 2.5}
    assert found.data["rows"] == [found.data["row"]]
    none = await sql(url, "SELECT name FROM pot WHERE name = 'no'").run("1:d")
    assert (none.data["row"], none.data["count"]) == ({}, 0)


async def test_read_only_is_kept_by_the_database(url: str) -> None:
    await sql(url, "CREATE TABLE pot (name TEXT)").run("1:a")
    with pytest.raises((Fatal, NotConnected), match=r"(?i)read-?only"):
        await sql(url, "INSERT INTO pot VALUES ('x')", read_only=True).run("1:b")
    assert (await sql(url, "SELECT * FROM pot").run("1:c")).data["count"] == 0


async def test_a_statement_that_is_none(url: str) -> None:
    with pytest.raises((Fatal, NotConnected), match="SELEKT"):
        await sql(url, "SELEKT 1").run("1:a")


async def test_rows_are_capped(url: str) -> None:
    statement = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) SELECT i FROM n"
    )
    outcome = await sql(url, statement).run("1:a")
    assert len(outcome.data["rows"]) == 100
    assert "or more" in outcome.output


async def test_the_server_gives_up_when_we_do(db_url: str) -> None:
    if not db_url.startswith("postgresql"):
        pytest.skip("SQLite has no sleep")
    with pytest.raises(Retryable, match=r"0\.4 s|statement timeout"):
        await sql(db_url, "SELECT pg_sleep(20)", timeout="400ms").run("1:a")
    left = (
        "SELECT count(*) AS n FROM pg_stat_activity WHERE query LIKE '%pg_sleep(20)%' AND state = 'active' "
    )

    async def still_there() -> bool:
        outcome = await sql(db_url, left + "AND pid <> pg_backend_pid()").run("1:b")
        return bool(outcome.data["row"]["n"])

    for _ in range(40):  # 2 s at most: far less than the 20 s that it would sleep
        if not await still_there():
            return
        await asyncio.sleep(0.05)
    pytest.fail("the server still works on a statement that we gave up")


async def test_nobody_there() -> None:
    with pytest.raises(NotConnected, match=r"(?i)refused"):
        await sql(f"postgresql+psycopg://u@127.0.0.1:{free_port()}/db", "SELECT 1").run("1:a")


def test_a_password_is_never_in_the_plan(tmp_path: Path) -> None:
    made = sql("postgresql+psycopg://u@h/db", "SELECT :a", password=secret(tmp_path), parameters={"a": 1})
    assert made.plan() == "run on h/db: SELECT :a with a=1"
    with pytest.raises(ValidationError, match="no password in the address"):
        sql("postgresql+psycopg://u:p@h/db", "SELECT 1")


def test_a_statement_may_be_no_template() -> None:
    text = """
playbook: evil
match: 'true'
steps:
  - look:
      action: sql
      url: sqlite:///x
      statement: "SELECT '{{ problem.title }}'"
"""
    with pytest.raises(PlaybookError, match="`statement` of `sql` may not be a template"):
        read_playbook(text, "evil.yaml")
