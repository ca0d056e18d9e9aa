"""Backups: online, whole, checked, and good for either store."""

import asyncio
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from aiops.config.read import read
from aiops.engine.engine import Engine
from aiops.store import audit, backup, migrate, tables
from aiops.store.database import Database, StoreError
from aiops.testing import eventually


def rows(db: Database) -> dict[str, list[Any]]:
    with db.read_only() as conn:
        return {
            table.name: [
                tuple(row) for row in conn.execute(sa.select(table).order_by(*table.primary_key.columns))
            ]
            for table in tables.metadata.sorted_tables
        }


async def watching(folder: Path) -> Engine:
    """A running engine with a problem: the load of this host is above -1."""
    file = folder / "forewarn.yaml"
    text = "store: sqlite:///{0}/forewarn.db\ndata: {0}/data\nsources: [{{kind: host, every: 100ms}}]\n"
    limit = "limits: [{match: host_load1, breach: {above: -1}}]\n"
    await asyncio.to_thread(file.write_text, text.format(folder) + limit)
    made = Engine(read(file), file)
    await made.start()
    await eventually(lambda: made.pipeline.state.problems.known, within=60)
    # a turn of the pipeline ends when it is written
    await made.pipeline.call(lambda _: None)
    return made


@pytest.fixture
async def lived(tmp_path: Path) -> Path:
    """The folder of an installation with a problem, its alert and audit trail, and learnt models."""
    made = await watching(tmp_path)
    await made.stop()  # which writes a last checkpoint
    return tmp_path


def archive_of(folder: Path) -> tuple[Path, dict[str, list[Any]]]:
    db = Database(f"sqlite:///{folder / 'forewarn.db'}")
    out = folder / "backup.tar.gz"
    found = backup.save(db, folder / "data" / "checkpoints", out, 1e9, "0.1.0")
    assert found.checkpoint
    assert found.rows["problem"] > 0
    before = rows(db)
    db.close()
    return out, before


async def test_what_was_saved_is_what_is_restored_on_both_stores(lived: Path, empty_db: Database) -> None:
    out, before = archive_of(lived)
    learnt = lived / "learnt"
    found = backup.load(empty_db, learnt, out)
    assert rows(empty_db) == before
    assert found.rows["audit"] == len(before["audit"])
    assert migrate.current(empty_db) == migrate.head()
    kept = _files(lived / "data" / "checkpoints")
    assert _files(learnt).items() <= kept.items()
    assert {folder for folder, _ in _files(learnt)} == {max(folder for folder, _ in kept)}
    # and round again, from that store
    again = lived / "again.tar.gz"
    backup.save(empty_db, learnt, again, 1e9, "0.1.0")
    assert _digests(again) == _digests(out)


def _files(folder: Path) -> dict[tuple[str, str], bytes]:
    return {(path.parent.name, path.name): path.read_bytes() for path in folder.glob("*/*")}


def _digests(archive: Path) -> dict[str, Any]:
    with tarfile.open(archive) as tar:
        member = tar.extractfile("manifest.json")
        assert member
        found: dict[str, Any] = json.load(member)["tables"]
    return found


async def test_numbers_of_deleted_rows_are_not_given_again(lived: Path, empty_db: Database) -> None:
    source = Database(f"sqlite:///{lived / 'forewarn.db'}")
    with source.begin() as conn:
        last = conn.execute(sa.select(sa.func.max(tables.audit.c.id))).scalar_one()
        conn.execute(tables.audit.delete().where(tables.audit.c.id == last))
    source.close()
    out, _ = archive_of(lived)
    backup.load(empty_db, lived / "learnt", out)
    with empty_db.begin() as conn:
        audit.note(conn, at=1.0, entity="token", entity_id=1, current="", to="made", reason="test")
        assert conn.execute(sa.select(sa.func.max(tables.audit.c.id))).scalar_one() == last + 1


async def test_a_store_in_use_is_not_overwritten_by_accident(lived: Path) -> None:
    out, before = archive_of(lived)
    db = Database(f"sqlite:///{lived / 'forewarn.db'}")
    with pytest.raises(StoreError, match="--replace"):
        backup.load(db, lived / "learnt", out)
    assert rows(db) == before
    with db.begin() as conn:
        conn.execute(tables.problem.update().values(title="changed"))
    backup.load(db, lived / "learnt", out, replace=True)
    assert rows(db) == before
    db.close()


async def test_a_damaged_file_is_refused_before_anything_is_touched(lived: Path) -> None:
    out, before = archive_of(lived)
    db = Database(f"sqlite:///{lived / 'forewarn.db'}")
    whole = out.read_bytes()
    bad = lived / "bad.tar.gz"
    for broken in (whole[: len(whole) // 2], b"no archive", whole[:2000] + b"x" * 50 + whole[2050:]):
        bad.write_bytes(broken)
        with pytest.raises(StoreError, match=r"damaged|no backup"):
            backup.load(db, lived / "learnt", bad, replace=True)
        assert rows(db) == before
    changed = _with(out, bad, "tables/problem.jsonl", b'{"id": 1}\n')
    with pytest.raises(StoreError, match="checksum of table problem"):
        backup.load(db, lived / "learnt", changed, replace=True)
    assert rows(db) == before
    db.close()


def _lines(archive: Path, table: str) -> list[Any]:
    with tarfile.open(archive) as tar:
        member = tar.extractfile(f"tables/{table}.jsonl")
        assert member
        return [json.loads(line) for line in member]


def _with(archive: Path, out: Path, name: str, data: bytes) -> Path:
    with tarfile.open(archive) as old, tarfile.open(out, "w:gz") as new:
        for entry in old.getmembers():
            found = old.extractfile(entry)
            assert found
            backup._add(new, entry.name, data if entry.name == name else found.read())
    return out


async def test_an_older_schema_is_loaded_and_brought_to_ours(tmp_path: Path) -> None:
    old = Database(f"sqlite:///{tmp_path / 'old.db'}")
    migrate.upgrade(old, "0001")
    with old.begin() as conn:
        conn.execute(sa.text("INSERT INTO token (name, digest, created) VALUES ('ci', 'abc', 5.0)"))
    out = tmp_path / "old.tar.gz"
    backup.save(old, tmp_path / "none", out, 1e9, "0.0.1")
    old.close()
    new = Database(f"sqlite:///{tmp_path / 'new.db'}")
    assert not backup.load(new, tmp_path / "none", out).checkpoint
    assert migrate.current(new) == migrate.head()
    with new.read_only() as conn:
        assert conn.execute(sa.select(tables.token.c.name, tables.token.c.role)).one() == ("ci", "admin")
    new.close()


async def test_a_backup_of_a_newer_forewarn_is_refused(lived: Path) -> None:
    out, _ = archive_of(lived)
    with tarfile.open(out) as tar:
        member = tar.extractfile("manifest.json")
        assert member
        manifest = json.load(member)
    changed = json.dumps(manifest | {"schema": "9999"}).encode()
    with pytest.raises(StoreError, match="newer Forewarn"):
        backup.look(_with(out, lived / "newer.tar.gz", "manifest.json", changed))


async def test_a_backup_while_the_engine_writes_is_consistent(tmp_path: Path) -> None:
    made = await watching(tmp_path)
    try:
        for number in range(3):
            out = tmp_path / f"{number}.tar.gz"
            await asyncio.to_thread(backup.save, made.db, tmp_path / "none", out, 1e9, "0.1.0")
            parts = {name: _lines(out, name) for name in ("problem", "alert")}
            known = {row["id"] for row in parts["problem"]}
            assert known
            assert {row["problem_id"] for row in parts["alert"]} - {None} <= known
    finally:
        await made.stop()
