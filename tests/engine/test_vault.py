"""What is sealed in the store: kinds of columns, on both databases."""

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from aiops.store import backup, spool, vault
from aiops.store.database import Database
from aiops.store.spool import Entry
from aiops.store.tables import playbook_revision

PLAIN = "steps: [{ask: {headers: {X-Api-Key: open-sesame}}}]"


@pytest.fixture(autouse=True)
def _without() -> Iterator[None]:
    yield
    vault.use([])


def put(db: Database, revision: str = "r1", text: str = PLAIN) -> None:
    with db.begin() as conn:
        row = {"revision": revision, "playbook": "p", "text": text, "seen": 1.0}
        conn.execute(playbook_revision.insert().values(row))
        spool.append(conn, [Entry(int(revision[1:]), "app", "/push", {}, b"line with open-sesame")])


def text_of(db: Database, revision: str = "r1") -> str:
    with db.read_only() as conn:
        query = sa.select(playbook_revision.c.text).where(playbook_revision.c.revision == revision)
        return str(conn.execute(query).scalar_one())


def bodies(db: Database) -> list[bytes]:
    with db.read_only() as conn:
        return [one.body for one in spool.some_after(conn, 0)]


def raw(db: Database) -> bytes:
    """As it lies there."""
    with db.read_only() as conn:
        texts = conn.execute(sa.text("SELECT text FROM playbook_revision")).scalars()
        found = conn.execute(sa.text("SELECT body FROM spool")).scalars()
        return "".join(texts).encode() + b"".join(bytes(one) for one in found)


def test_without_a_key_nothing_changes(db: Database) -> None:
    put(db)
    assert b"open-sesame" in raw(db)
    assert (text_of(db), bodies(db)) == (PLAIN, [b"line with open-sesame"])


def test_with_a_key_only_who_has_it_reads(db: Database) -> None:
    vault.use(["first"])
    put(db)
    assert b"sesame" not in raw(db)
    assert (text_of(db), bodies(db)) == (PLAIN, [b"line with open-sesame"])
    for keys in ([], ["other"]):
        vault.use(keys)
        with pytest.raises(vault.Locked, match="store_keys"):
            text_of(db)
        with pytest.raises(vault.Locked):
            bodies(db)


def test_a_key_can_be_added_and_changed(db: Database) -> None:
    put(db, "r1")
    vault.use(["first"])
    put(db, "r2")
    vault.use(["second", "first"])
    put(db, "r3")
    assert [text_of(db, one) for one in ("r1", "r2", "r3")] == [PLAIN] * 3
    vault.use(["second"])
    assert [text_of(db, one) for one in ("r1", "r3")] == [PLAIN] * 2
    with pytest.raises(vault.Locked):
        text_of(db, "r2")


def test_what_was_changed_does_not_open(db: Database) -> None:
    vault.use(["first"])
    put(db)
    with db.begin() as conn:
        cut = "UPDATE playbook_revision SET text = substr(text, 1, 40) || 'AAAA' || substr(text, 45)"
        conn.execute(sa.text(cut))
    with pytest.raises(vault.Locked):
        text_of(db)


def test_equal_values_do_not_look_equal(db: Database) -> None:
    vault.use(["first"])
    put(db, "r1")
    put(db, "r2")
    with db.read_only() as conn:
        texts = list(conn.execute(sa.text("SELECT text FROM playbook_revision")).scalars())
    assert len(set(texts)) == 2


@pytest.mark.parametrize("value", [None, {}, {"json": {"token": "x"}, "n": [1, 2.5, None, True]}, {"fw": 1}])
def test_json_comes_back_as_it_was(value: Any) -> None:
    kind, dialect = vault.SealedJson(), sa.create_engine("sqlite://").dialect
    vault.use(["first"])
    sealed = kind.process_bind_param(value, dialect)
    assert value is None or list(sealed) == ["fw-sealed-1"]
    assert kind.process_result_value(sealed, dialect) == value
    assert kind.process_result_value(value, dialect) == value, "written before there was a key"


def test_a_backup_holds_what_is_sealed_as_it_is(db: Database, tmp_path: Path) -> None:
    vault.use(["first"])
    put(db)
    backup.save(db, tmp_path, tmp_path / "b.tar.gz", 1.0, "x")
    with tarfile.open(tmp_path / "b.tar.gz") as tar:
        for one in tar:
            content = tar.extractfile(one)
            assert content is None or b"sesame" not in content.read(), one.name
    backup.load(db, tmp_path, tmp_path / "b.tar.gz", replace=True)
    assert text_of(db) == PLAIN
