"""``forewarn routes`` and what ``forewarn check`` says of routes."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from aiops.cli.app import app

TEXT = """
sources: [{kind: host}]
sinks:
  - {kind: webhook, name: itsm, url: "https://itsm.example/h", secret: {env: S}}
  - {kind: webhook, name: oncall, url: "https://oncall.example/h", secret: {env: S}}
hours: {office: {start: 09:00, end: 17:30, timezone: Europe/Berlin}}
routes:
  - match: problem.level >= level.major
    to: itsm
    queue: Network
    escalate: [{after: 15m, to: oncall}, {after: 1h, to: itsm, during: office}]
  - {to: itsm, during: office, last: true}
  - {match: 'problem.labels.service == "web"', to: oncall}
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "forewarn.yaml"
    path.write_text(TEXT)
    return str(path)


def run(*words: str) -> tuple[int, str]:
    found = CliRunner().invoke(app, list(words))
    return found.exit_code, found.output


def test_a_way_through_the_routes_is_told_with_its_times(config: str) -> None:
    code, told = run("routes", config, "--at", "2026-11-21T10:00", "--label", "service=db")
    assert code == 0
    assert told.splitlines() == [
        "1. problem.level >= level.major: itsm, queue Network; oncall after 15 min; itsm after 1 h",
        "   taken",
        "   asks oncall if nobody answers for 15 min: at Sat 2026-11-21 10:15 UTC",
        "   asks itsm if nobody answers for 1 h: at Mon 2026-11-23 09:00 UTC",
        "2. every problem: itsm in its hours; the last",
        "   not taken: its hours begin at Mon 2026-11-23 08:00 UTC",
        '3. problem.labels.service == "web": oncall',
        "   not taken: its match does not hold",
    ]


def test_the_last_route_hides_those_below(config: str) -> None:
    _, told = run("routes", config, "--at", "2026-11-20T10:00", "--label", "service=web")
    assert told.splitlines()[-1] == "   not taken: route 2 is the last"


def test_that_nobody_would_be_told_is_said_and_is_no_success(config: str) -> None:
    code, told = run("routes", config, "--at", "2026-11-21T10:00", "--severity", "minor")
    assert (code, told.splitlines()[-1]) == (1, "Nobody is told: no route takes it.")


@pytest.mark.parametrize("words", [["--severity", "huge"], ["--label", "web"], ["--at", "noon"]])
def test_wrong_words_are_refused(config: str, words: list[str]) -> None:
    assert run("routes", config, *words)[0] == 2


def test_check_tells_the_routes(config: str) -> None:
    code, told = run("check", config)
    assert code == 0
    assert "route 2: every problem: itsm in its hours; the last" in told
