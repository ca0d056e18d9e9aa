"""The quick ones of `tests.bench.faults`, each on a real process."""

from pathlib import Path

import pytest

from tests.bench.faults import FAULTS
from tests.fault_stand import Missing

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("faults")]


@pytest.mark.parametrize("name", ["disk_full", "source_hangs", "sqlite_page_corrupted"])
def test_survived_or_failed_clean_and_nothing_lost(name: str, tmp_path: Path) -> None:
    try:
        assert FAULTS[name](tmp_path)
    except Missing as why:
        pytest.skip(f"needs {why}")


def test_every_fault_is_listed_by_its_own_name() -> None:
    assert all(fault.__name__ == name and fault.__doc__ for name, fault in FAULTS.items())
    assert len(FAULTS) == 14
