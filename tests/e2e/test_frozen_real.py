"""A short form of `tests.bench.frozen`: a receiver that says nothing delays neither problems nor repairs."""

import os
from pathlib import Path

import pytest

from tests.bench.frozen import run

pytestmark = pytest.mark.e2e

PER_SECOND = 50 if os.getloadavg()[0] < (os.cpu_count() or 1) else 15
"""Messages; fewer where others use the processors, too."""


async def test_a_frozen_receiver_is_felt_by_nobody_and_made_up_for(db_url: str, tmp_path: Path) -> None:
    found = await run(tmp_path, db_url, problems=500, frozen=12.0, faults=1)
    assert found["drained"] >= 1000
    assert (found["duplicates"], found["lost"], found["out_of_order"]) == (0, 0, 0)
    assert found["per_second"] >= PER_SECOND
    # a pull, a step of the pipeline and a repair of two checks: with others on the machine, a few seconds
    assert found["detected_frozen"] < found["detected_calm"] + 5
    assert found["repaired_frozen"] < found["repaired_calm"] + 5
