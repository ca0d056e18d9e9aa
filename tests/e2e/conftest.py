"""Real servers as fixtures; each skips, saying why, where its binary is not installed."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.servers import Server, SupervisedNginx, blackbox_exporter, node_exporter


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
