"""`forewarn playbook`: faults, explanations, rehearsals and a playbook's own tests, without an engine."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from aiops.cli.app import app
from aiops.cli.failure import Failure
from aiops.config.playbooks import PlaybookError, load_playbooks
from aiops.plugin.load import HOUSE

LIBRARY = HOUSE / "playbooks" / "library"
BOOK = """
playbook: tidy
description: Tidies up.
match: 'problem.severity == "major"'
steps:
  - sweep: {action: command, argv: [rm, "{{ problem.labels.file }}"], idempotent: true}
  - mop: {action: wait, seconds: 5s, when: 'problem.labels.file == "wet"'}
verify:
  command: {argv: ["true"]}
"""
CASES = """
cases:
  - name: sweeps
    problem: {severity: major, labels: {file: a}}
    target: command/rm a
    steps: ["run rm a, at most 30 s", "left out, as `problem.labels.file == \\"wet\\"` does not hold"]
  - {name: minor, problem: {severity: minor}, fits: false}
  - {name: no file, problem: {severity: major, labels: {}}, refused: "no attribute 'file'"}
"""


def forewarn(*words: object) -> Result:
    return CliRunner().invoke(app, ["playbook", *map(str, words)])


@pytest.fixture
def book(tmp_path: Path) -> Path:
    (tmp_path / "tidy.test.yaml").write_text(CASES)
    path = tmp_path / "tidy.yaml"
    path.write_text(BOOK)
    return path


def test_check_names_every_fault(book: Path) -> None:
    assert forewarn("check", book.parent).output == f"{book} is good\n"
    bad = book.with_name("bad.yaml")
    bad.write_text(BOOK.replace("tidy", "bad").replace("action: wait", "action: weit"))
    result = forewarn("check", book.parent)
    assert result.exit_code == 1
    assert "did you mean `wait`?" in result.output
    assert "bad.yaml:7" in result.output
    assert "1 of 2 playbooks have faults" in result.output


def test_its_own_tests_hold_and_fail_in_words(book: Path) -> None:
    good = forewarn("test", book)
    assert (good.exit_code, good.output) == (0, "3 cases hold\n")
    beside = book.with_name("tidy.test.yaml")
    beside.write_text(CASES.replace("rm a", "rm b").replace("fits: false", "fits: true"))
    bad = forewarn("test", book.parent)
    assert bad.exit_code == 1
    assert "sweeps: its target is 'command/rm a', not 'command/rm b'" in bad.output
    assert "step 1 would 'run rm a, at most 30 s', not 'run rm b, at most 30 s'" in bad.output
    assert "minor: it does not fit" in bad.output
    assert "1 cases hold, 2 do not" in bad.output
    beside.write_text("cases:\n  - {name: x, problm: {}}\n")
    wrong = forewarn("test", book).exception
    assert isinstance(wrong, Failure)
    assert "did you mean `problem`?" in str(wrong)
    beside.unlink()
    assert "no tests; write tidy.test.yaml" in forewarn("test", book).output


def test_a_dry_run_shows_every_phase_and_does_nothing(book: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.touch()
    problem = tmp_path / "problem.json"
    problem.write_text(json.dumps({"severity": "major", "labels": {"file": str(kept)}}))
    said = forewarn("dry-run", book, problem)
    assert said.exit_code == 0
    assert f"step sweep               run rm {kept}, at most 30 s" in said.output
    assert "step mop                 left out" in said.output
    assert "verify                   run true" in said.output
    assert kept.exists()
    problem.write_text(json.dumps({"severity": "minor"}))
    assert "does not fit this problem" in str(forewarn("dry-run", book, problem).exception)
    problem.write_text(json.dumps({"severity": "major", "labels": {}}))
    assert "cannot be made for this problem" in str(forewarn("dry-run", book, problem).exception)


def test_explain_speaks_of_all_its_parts() -> None:
    said = forewarn("explain", LIBRARY / "raise-redis-memory.yaml").output
    for words in (
        "fits",
        "acts on   redis/127.0.0.1:6379",
        "once a person has approved",
        "rests 6h",
        "rollback",
    ):
        assert words in said
    assert "after a crash it is repeated" in said


def test_the_schema_is_one_and_knows_the_keys() -> None:
    schema = json.loads(forewarn("schema").output)
    assert {"playbook", "match", "steps", "verify", "rollback"} <= set(schema["properties"])


def test_tests_in_a_folder_are_no_playbooks(book: Path) -> None:
    assert [one.name for one in load_playbooks([book.parent])] == ["tidy"]
    with pytest.raises(PlaybookError):
        load_playbooks([book.with_name("tidy.test.yaml")])
