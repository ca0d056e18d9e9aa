"""The shortest scenarios of ``python -m tests.e2e.chaos``; each asserts its own end."""

from pathlib import Path

import pytest

from tests.e2e.chaos.__main__ import main
from tests.e2e.chaos.suite import SCENARIOS

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("chaos")]


@pytest.mark.parametrize("name", ["worker-leaks", "redis-memory", "approval-timeout"])
def test_a_fault_has_its_one_right_end(name: str, folder: Path) -> None:
    report = SCENARIOS[name].run(folder)
    assert report.tickets == 1


def test_unknown_scenarios_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--only", "moon-falls"])
    assert "nginx-killed" in capsys.readouterr().err
