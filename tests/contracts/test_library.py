"""Every playbook of the library: it loads, is documented, fits its example and nothing like it, and plans."""

import logging
from pathlib import Path

import pytest

from aiops.config.playbooks import cases_beside, load_playbooks, playbook_files, read_cases
from aiops.core.playbook import Autonomy, Playbook
from aiops.core.playbook_cases import Case, failures, rehearsed
from aiops.core.remediate import Remediation
from aiops.model.problem import Problem, Run
from aiops.plugin.load import HOUSE

LIBRARY = HOUSE / "playbooks" / "library"
FILES = playbook_files([LIBRARY])


def _cases(path: Path) -> list[Case]:
    beside = cases_beside(path)
    assert beside.exists(), (
        f"write {beside.name}: a problem that fits with its target and plans, one that does not"
    )
    return read_cases(beside.read_text(), str(beside)).cases


def _read(path: Path) -> Playbook:
    (found,) = load_playbooks([path])
    return found


def test_there_is_a_library_and_it_loads_as_one() -> None:
    assert [p.name for p in load_playbooks([LIBRARY])] == [f.stem for f in FILES]
    assert FILES


def test_every_file_of_cases_has_its_playbook() -> None:
    assert {cases_beside(path) for path in FILES} == set(LIBRARY.glob("*.test.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_is_documented_and_careful(path: Path) -> None:
    playbook = _read(path)
    assert playbook.description.endswith(".")
    assert "\n" not in playbook.description
    assert playbook.escalate.note, "a person who is asked wants to know what to look at"
    assert playbook.verify, "every repair of the library proves that it helped"
    assert playbook.autonomy is Autonomy.APPROVE or playbook.name == "forewarn-drill"


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_holds_its_own_cases(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cases, playbook = _cases(path), _read(path)
    assert {case.fits for case in cases} == {True, False}
    for case in cases:
        assert failures(playbook, case) == [], case.name
        with caplog.at_level(logging.WARNING):
            run = Remediation([playbook], True).consider(Problem("k", 1.0, id=1), case.problem, 1.0)
        if case.fits:
            assert case.target
            assert case.steps
            assert isinstance(run, Run)
            assert run.target == case.target
            assert all(plan for _, plan in rehearsed(playbook, case.problem))
        else:
            assert run is None
    assert not caplog.records
