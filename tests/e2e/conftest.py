"""Real servers as fixtures; each skips, saying why, where its binary is not installed."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from aiops.engine.engine import Engine
from tests.browser import chromium, served
from tests.e2e.servers import Server, blackbox_exporter, node_exporter
from tests.e2e.supervised import SupervisedNginx


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: a supervisor's socket must fit into 107 bytes."""
    made = Path(tempfile.mkdtemp(prefix="fw-", dir="/tmp"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def node(folder: Path) -> Iterator[Server]:
    """A running node_exporter."""
    with node_exporter(folder) as server:
        yield server


@pytest.fixture
def blackbox(folder: Path) -> Iterator[Server]:
    """A running blackbox_exporter."""
    with blackbox_exporter(folder) as server:
        yield server


@pytest.fixture
def nginx(folder: Path) -> Iterator[SupervisedNginx]:
    """nginx under supervisor, answering."""
    with SupervisedNginx(folder) as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url(engine: Engine) -> AsyncIterator[str]:
    """Of the console of `engine`, served to real browsers."""
    async with served(engine) as base:
        yield base


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """One for a module."""
    async with chromium() as made:
        yield made
