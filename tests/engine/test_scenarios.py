"""Every YAML in tests/scenarios, walked from sample to ticket. `tests/scenario.py` tells the format."""

import shutil
from pathlib import Path

import pytest

from aiops.store.database import Database
from tests.scenario import Scenario, check, play

FILES = sorted((Path(__file__).parent.parent / "scenarios").glob("*.yaml"))


def test_there_are_scenarios() -> None:
    assert len(FILES) >= 10


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
async def test_scenario(path: Path, tmp_path: Path, migrated_file: Path) -> None:
    store = tmp_path / "forewarn.db"
    shutil.copy(migrated_file, store)
    db = Database(f"sqlite:///{store}")
    try:
        scenario = Scenario.read(path)
        walk, began = await play(scenario, db)
        await check(scenario, walk, began)
    finally:
        db.close()
