"""Fixtures for all tests. A test that takes `db` runs on SQLite and on PostgreSQL."""

import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from aiops.engine.engine import Engine
from aiops.store import log_templates
from aiops.store.database import Database
from aiops.store.migrate import upgrade
from tests.database import Postgres, missing_postgres, postgres
from tests.pages import PATTERN
from tests.world import config_in, refusing, running


def pytest_collection_finish(session: pytest.Session) -> None:
    """Tests of one world go to one worker; some versions of pytest and pytest-xdist lose that silently."""
    if session.config.getoption("loadgroup", False):
        grouped = (one.nodeid for one in session.items if one.get_closest_marker("xdist_group"))
        if lost := next((name for name in grouped if "@" not in name), ""):
            raise pytest.UsageError(f"pytest {pytest.__version__} loses the groups of pytest-xdist: {lost}")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Postgres]:
    """A PostgreSQL of this session's own; skips, saying why, where none can be started."""
    if why := missing_postgres():
        pytest.skip(why)
    with postgres() as running:
        yield running


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file, copied for each test."""
    path = tmp_path_factory.mktemp("template") / "forewarn.db"
    made = Database(f"sqlite:///{path}")
    upgrade(made)
    made.close()
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def db_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a fresh, migrated database, for tests that open it in another process too."""
    if request.param == "sqlite":
        path = tmp_path / "forewarn.db"
        shutil.copy(request.getfixturevalue("migrated_file"), path)
        yield f"sqlite:///{path}"
    else:
        with request.getfixturevalue("cluster").fresh() as url:
            yield url


@pytest.fixture
def db(db_url: str) -> Iterator[Database]:
    """A fresh, migrated database."""
    opened = Database(db_url)
    yield opened
    opened.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database without any table, for tests of the migrations themselves."""
    if request.param == "sqlite":
        opened = Database(f"sqlite:///{tmp_path / 'empty.db'}")
        yield opened
        opened.close()
    else:
        with request.getfixturevalue("cluster").fresh("template1") as url:
            opened = Database(url)
            yield opened
            opened.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Engine]:
    """The world of `tests.world` after its bad hour, with deliveries that were refused: one for a module."""
    config = config_in(tmp_path_factory.mktemp("world"))
    refusing(config, "pager", "401: the key is not known")
    async with running(config) as made:
        await made.db.run(log_templates.save, [PATTERN])
        yield made


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB: an empty store takes half a one, and its log as much."""
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "forewarn-test", str(place)]).returncode:
        pytest.skip("a file system can only be mounted by root")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)
