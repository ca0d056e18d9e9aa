"""One engine a SQLite file: the second is refused by name, and the lock dies with its holder."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiops.engine.lock import EngineLock
from aiops.store.database import Database, StoreError

HOLD = """
import sys, time
from aiops.engine.lock import EngineLock
from aiops.store.database import Database
with EngineLock(Database(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def holder(url: str) -> "subprocess.Popen[str]":
    """Another process that holds the store's lock."""
    made = subprocess.Popen([sys.executable, "-c", HOLD, url], stdout=subprocess.PIPE, text=True)
    assert made.stdout
    assert made.stdout.readline() == "held\n"
    return made


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'forewarn.db'}"


@pytest.fixture
def file(url: str) -> Iterator[Database]:
    made = Database(url)
    yield made
    made.close()


def test_the_lock_is_free_again_after_its_end(file: Database) -> None:
    for _ in range(3):
        with EngineLock(file):
            pass


def test_a_second_process_is_refused_until_the_first_was_killed(file: Database, url: str) -> None:
    other = holder(url)
    try:
        with pytest.raises(StoreError, match="another Forewarn") as refused, EngineLock(file):
            pytest.fail("two engines hold one store")
        assert f"pid {other.pid}" in str(refused.value)
        assert "--data" in str(refused.value)
    finally:
        os.kill(other.pid, signal.SIGKILL)
        other.communicate()
    with EngineLock(file):
        pass


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    db = Database(f"sqlite:///{tmp_path / 'gone' / 'forewarn.db'}")
    (tmp_path / "gone").rmdir()
    with pytest.raises(StoreError, match=r"cannot lock .*gone"), EngineLock(db):
        pytest.fail("locked nothing")
    db.close()
