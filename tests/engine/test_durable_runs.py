"""The durability bench, small: workers of their own are killed, and every effect is there once."""

import asyncio
from pathlib import Path

from tests.bench.durability import run


def test_killed_workers_double_nothing_and_leave_nothing_undone(db_url: str, tmp_path: Path) -> None:
    replicas = 1 if db_url.startswith("sqlite") else 2
    found = asyncio.run(run(db_url, tmp_path, 9, 2, replicas, parallel=8, measured=0))
    assert found["kills"] == 2
    assert {k: found[k] for k in ("stuck", "lost_effects", "double_effects")} == {
        "stuck": 0,
        "lost_effects": 0,
        "double_effects": 0,
    }
