"""Every playbook of the library: it loads, is documented, fits its example and nothing like it, and plans."""

import logging
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from aiops.config.playbooks import load_playbooks
from aiops.core.playbook import Autonomy, Playbook
from aiops.core.remediate import Remediation
from aiops.model.problem import Problem, Run
from aiops.plugin.load import HOUSE

LIBRARY = HOUSE / "playbooks" / "library"
CASES = Path(__file__).parent / "library"
FILES = sorted(LIBRARY.glob("*.yaml"))


def _case(path: Path) -> dict[str, Any]:
    case = CASES / path.name
    assert case.exists(), f"write {case}: an example problem, one that does not fit, the target and the plans"
    loaded: dict[str, Any] = YAML(typ="safe").load(case)
    return loaded


def _read(path: Path) -> Playbook:
    (found,) = load_playbooks([path])
    return found


def test_there_is_a_library_and_it_loads_as_one() -> None:
    assert [p.name for p in load_playbooks([LIBRARY])] == [f.stem for f in FILES]
    assert FILES


def test_every_case_has_its_playbook() -> None:
    assert {c.name for c in CASES.glob("*.yaml")} == {f.name for f in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_is_documented_and_careful(path: Path) -> None:
    playbook = _read(path)
    assert playbook.description.endswith(".")
    assert "\n" not in playbook.description
    assert playbook.escalate.note, "a person who is asked wants to know what to look at"
    assert playbook.verify, "every repair of the library proves that it helped"
    assert playbook.autonomy is Autonomy.APPROVE or playbook.name == "forewarn-drill"


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_fits_its_example_and_plans(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    case, playbook = _case(path), _read(path)
    assert playbook.match.test({"problem": case["problem"]})
    assert not playbook.match.test({"problem": case["other"]})
    with caplog.at_level(logging.WARNING):
        run = Remediation([playbook], True).consider(Problem("k", 1.0, id=1), case["problem"], 1.0)
    assert isinstance(run, Run)
    assert run.target == case["target"]
    context = {"problem": case["problem"]}
    assert [act.build(context).plan() for act in playbook.acts("step")] == case["steps"]
    assert all(act.build(context).plan() for act in playbook.all_acts())
    assert not caplog.records
