"""A SQLite file that is damaged: found after a kill, told in one line, put aside by a restore."""

import logging
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from aiops.engine.lock import EngineLock
from aiops.store import backup
from aiops.store.database import Database, StoreError
from aiops.store.migrate import current, head, upgrade


def made(folder: Path) -> Database:
    db = Database(f"sqlite:///{folder / 'forewarn.db'}")
    upgrade(db)
    return db


def damage(file: Path) -> None:
    with closing(sqlite3.connect(file)) as conn:
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(file.read_bytes())
    for page in range(1, len(content) // 4096):
        content[page * 4096 : page * 4096 + 64] = os.urandom(64)
    file.write_bytes(content)


def test_the_file_is_looked_through_after_a_kill_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    db, lock = made(tmp_path), tmp_path / "forewarn.db.lock"
    with EngineLock(db):
        assert lock.read_text() == str(os.getpid())
    assert lock.read_text() == "", "an end in good order leaves no name"
    lock.write_text("4711")
    with caplog.at_level(logging.WARNING), EngineLock(db):
        pass
    assert "the former process (pid 4711) ended without stopping" in caplog.text
    db.close()
    damage(tmp_path / "forewarn.db")
    lock.write_text("4711")
    db = Database(f"sqlite:///{tmp_path / 'forewarn.db'}")
    with pytest.raises(StoreError, match=r"is damaged .*forewarn restore --replace"), EngineLock(db):
        pass
    assert lock.read_text() == "4711", "the next start looks again"
    db.close()


def test_a_restore_puts_a_damaged_file_aside(tmp_path: Path) -> None:
    db, archive = made(tmp_path), tmp_path / "backup.tar.gz"
    backup.save(db, tmp_path / "checkpoints", archive, 1e9, "0.1.0")
    db.close()
    damage(tmp_path / "forewarn.db")
    (tmp_path / "forewarn.db.lock").write_text("4711")
    db = Database(f"sqlite:///{tmp_path / 'forewarn.db'}")
    with EngineLock(db, look=False):
        backup.load(db, tmp_path / "checkpoints", archive, replace=True)
        assert current(db) == head()
    db.close()
    assert (tmp_path / "forewarn.db.damaged").exists()
