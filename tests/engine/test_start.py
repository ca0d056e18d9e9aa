"""A start in this very process: what it puts off until all is built."""

import gc
import signal
from pathlib import Path

from typer.testing import CliRunner

from aiops.cli.app import app
from aiops.config import Config
from aiops.engine.engine import Engine
from aiops.engine.main import serve
from aiops.web.app import create_app
from tests.database import free_port


async def test_garbage_is_looked_for_again_once_all_is_built(tmp_path: Path) -> None:
    given = {
        "store": f"sqlite:///{tmp_path}/forewarn.db",
        "data": str(tmp_path),
        "sources": [{"kind": "host", "every": "1s"}],
        "web": {"listen": f"127.0.0.1:{free_port()}"},
    }
    seen = []

    def greet(engine: Engine, _token: str) -> None:
        seen.append((engine.leads, gc.isenabled(), gc.get_freeze_count() > 0))
        signal.raise_signal(signal.SIGTERM)

    gc.disable()
    try:
        assert await serve(Config.model_validate(given), None, create_app, greet) == 0
    finally:
        gc.enable()
        gc.unfreeze()
    assert seen == [(True, True, True)]


def test_a_start_that_fails_leaves_the_collector_on(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("sources: 3\n")
    assert CliRunner().invoke(app, ["run", "--config", str(tmp_path / "bad.yaml")]).exit_code == 1
    assert gc.isenabled()
