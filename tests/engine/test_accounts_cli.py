"""``forewarn accounts`` and ``forewarn tokens``, on a store without an engine."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from aiops.cli.app import app
from aiops.cli.failure import Failure
from aiops.model.role import Role
from aiops.store import accounts, sessions, tokens
from aiops.store.database import Database
from aiops.store.tables import audit
from aiops.web.passwords import Passwords

PASSWORD = "correct horse battery"


@pytest.fixture
def config(db_url: str, tmp_path: Path) -> Path:
    path = tmp_path / "forewarn.yaml"
    path.write_text(f"store: {db_url}\nsources: [{{kind: host}}]\n")
    return path


def read(db: Database, query: Callable[..., Any], *args: Any) -> Any:
    with db.read_only() as conn:
        return query(conn, *args)


def write(db: Database, work: Callable[..., Any], *args: Any) -> Any:
    with db.begin() as conn:
        return work(conn, *args)


def ask(config: Path, *words: str, typed: str = "") -> Result:
    return CliRunner().invoke(app, [*words, "-c", str(config)], input=typed)


def done(config: Path, *words: str, typed: str = "") -> str:
    found = ask(config, *words, typed=typed)
    assert found.exit_code == 0, found.output + repr(found.exception)
    return found.output


def refused(config: Path, *words: str, typed: str = "") -> str:
    found = ask(config, *words, typed=typed)
    assert isinstance(found.exception, Failure), found.output
    return str(found.exception)


def test_an_account_is_made_changed_and_closed(config: Path, db: Database) -> None:
    assert "responder" in done(config, "accounts", "add", "ana", "--role", "responder", typed=f"{PASSWORD}\n")
    made = read(db, accounts.by_name, "ana")
    assert made is not None
    assert asyncio.run(Passwords().right(made["password"], PASSWORD))
    assert "another account" in refused(config, "accounts", "add", "ana", typed=f"{PASSWORD}\n")
    assert "12 to 200" in refused(config, "accounts", "add", "bob", typed="short\n")
    assert "no name" in refused(config, "accounts", "add", "a b", typed=f"{PASSWORD}\n")
    done(config, "accounts", "role", "ana", "admin")
    cookie = write(db, sessions.start, 100.0, 0, made["id"])
    assert read(db, sessions.find, cookie, 101.0) is not None
    done(config, "accounts", "password", "ana", typed="another horse altogether\n")
    assert read(db, sessions.find, cookie, 101.0) is None, "a new password signs out"
    assert "ana  admin, last in 1970-01-01 00:01 UTC" in done(config, "accounts", "list")
    done(config, "accounts", "disable", "ana")
    assert read(db, accounts.by_name, "ana") is None
    assert "closed already" in refused(config, "accounts", "disable", "ana")
    assert "no account 'eve'" in refused(config, "accounts", "role", "eve", "admin")
    with db.read_only() as conn:
        by = set(conn.scalars(audit.select().with_only_columns(audit.c.actor)))
    assert by == {"command line"}


def test_a_token_is_made_limited_and_revoked(config: Path, db: Database) -> None:
    plain = done(config, "tokens", "create", "job", "--scope", "silences", "--for", "90d").strip()
    who = read(db, tokens.verify, plain, 0.0)
    assert who is not None
    assert (who.role, who.scopes) == (Role.RESPONDER, {"silences"})
    shown = done(config, "tokens", "list")
    assert f"{who.token_id}  job  responder, only silences, until 2" in shown
    assert plain not in shown
    assert "no such scope: doors" in refused(config, "tokens", "create", "x", "--scope", "doors")
    assert "--for soon" in refused(config, "tokens", "create", "x", "--for", "soon")
    done(config, "tokens", "revoke", str(who.token_id))
    assert read(db, tokens.verify, plain, 0.0) is None
    assert "no token" in refused(config, "tokens", "revoke", "99")
