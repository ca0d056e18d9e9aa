"""The command line: help, exit codes, and one clear line for every failure."""

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from aiops.cli.app import app
from tests.database import free_port
from tests.e2e.forewarn import Forewarn

COMMAND = str(Path(sys.executable).with_name("forewarn"))
T0 = 1_767_225_600


def forewarn(*argv: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run it as a user would; whatever happens, there is no traceback."""
    run = subprocess.run([COMMAND, *map(str, argv)], cwd=cwd, capture_output=True, text=True, timeout=120)
    assert "Traceback" not in run.stderr
    return run


def commands() -> Iterator[tuple[str, str]]:
    """(words, help) of every command."""
    waiting = [("", typer.main.get_command(app))]
    while waiting:
        path, command = waiting.pop()
        below = getattr(command, "commands", {})
        waiting += [(f"{path} {name}".strip(), one) for name, one in below.items()]
        if not below:
            yield path, command.help or ""


@pytest.mark.parametrize(("words", "text"), sorted(commands()))
def test_every_command_explains_itself_with_examples(words: str, text: str) -> None:
    if words == "version":
        return
    assert "Example" in text
    assert f"forewarn {words}" in text


def test_help_is_quick_for_it_imports_nothing_heavy() -> None:
    heavy = "('numpy', 'pydantic', 'sqlalchemy', 'rich', 'asyncio', 'ruamel', 'httpx', 'numba')"
    code = f"import aiops.cli, sys; sys.exit(repr([m for m in {heavy} if m in sys.modules] or ''))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stderr.strip() == "''"


def test_help_and_version_and_wrong_usage() -> None:
    helped = forewarn("--help")
    assert helped.returncode == 0
    assert "forewarn drill memory-leak" in helped.stdout
    assert forewarn("version").stdout.startswith("forewarn 0.")
    assert forewarn("nonsense").returncode == 2
    assert forewarn("replay").returncode == 2
    assert forewarn("replay", "--csv", "x", "--step", "15s").returncode == 2
    assert forewarn("replay", "--source", "x", "--from", "soon").returncode == 2


def test_check_says_good_or_everything_that_is_bad(tmp_path: Path) -> None:
    file = tmp_path / "forewarn.yaml"
    file.write_text("sources: [{kind: host}]\n")
    good = forewarn("check", file)
    assert (good.returncode, good.stderr) == (0, "")
    assert good.stdout == f"{file} is good: 1 source, 0 SLIs, 0 limits, 0 sinks, 0 playbooks\n"
    file.write_text("sources: [{kind: host, evry: 2s}]\nsotre: x\n")
    bad = forewarn("check", file)
    assert bad.returncode == 1
    assert f"--> {file}:1:24" in bad.stderr
    assert "did you mean `store`?" in bad.stderr
    assert bad.stderr.endswith(f"{file} has 2 faults\n")
    assert forewarn("check", tmp_path / "absent.yaml").stderr.startswith("error: the file cannot be read")


def test_check_reads_the_playbooks_too(tmp_path: Path) -> None:
    file, book = tmp_path / "forewarn.yaml", tmp_path / "book.yaml"
    file.write_text("sources: [{kind: host}]\nplaybooks: [book.yaml]\n")
    book.write_text("playbook: x\nmatch: 'true'\nstep: []\n")
    bad = forewarn("check", file)
    assert bad.returncode == 1
    assert f"--> {book}:3:1\n  |\n3 | step: []\n  | ^^^^" in bad.stderr
    assert "did you mean `steps`?" in bad.stderr


def test_run_refuses_a_bad_config_and_a_bad_store(tmp_path: Path) -> None:
    file = tmp_path / "forewarn.yaml"
    file.write_text("sources: []\n")
    bad = forewarn("run", "--config", file)
    assert bad.returncode == 1
    assert "needs at least 1" in bad.stderr
    (tmp_path / "blocked").write_text("")
    file.write_text("sources: [{kind: host}]\nstore: sqlite:///blocked/x.db\ndata: d\n")
    bad = forewarn("run", "--config", file, cwd=tmp_path)
    assert bad.returncode == 1
    assert bad.stderr.splitlines()[-1].startswith("error: ")


def test_db_upgrade_says_what_it_did(tmp_path: Path) -> None:
    first = forewarn("db", "upgrade", "--data", tmp_path)
    assert first.returncode == 0
    assert first.stdout.startswith("schema empty => ")
    assert "nothing to do" in forewarn("db", "upgrade", "--data", tmp_path).stdout
    file = tmp_path / "forewarn.yaml"
    file.write_text(
        f"sources: [{{kind: host}}]\nstore: postgresql+psycopg://nobody@127.0.0.1:{free_port()}/x\n"
    )
    refused = forewarn("db", "upgrade", "--config", file)
    assert refused.returncode == 1
    assert refused.stderr.startswith("error: the store cannot be reached")
    assert len(refused.stderr.splitlines()) == 1


@pytest.mark.parametrize("argv", [["status"], ["problems"], ["problems", "1"], ["drill", "memory-leak"]])
def test_without_an_engine_one_line_says_how_to_start_it(argv: list[str]) -> None:
    run = forewarn(*argv, "--url", f"http://127.0.0.1:{free_port()}")
    assert run.returncode == 1
    assert "start it with `forewarn run`" in run.stderr
    assert len(run.stderr.splitlines()) == 1


def test_status_and_problems_of_a_running_engine(tmp_path: Path) -> None:
    with Forewarn(tmp_path, {"sources": [{"kind": "host", "every": "1s"}]}) as engine:
        told = forewarn("status", "--url", engine.url)
        assert (told.returncode, told.stderr) == (0, "")
        assert f"Forewarn at {engine.url}: ready" in told.stdout
        by_config = forewarn("status", "--config", engine.config, "--json")
        assert json.loads(by_config.stdout)["sources"][0]["name"] == "host"
        assert forewarn("problems", "--url", engine.url).stdout == "no open problem\n"
        none = forewarn("problems", "7", "--url", engine.url)
        assert (none.returncode, none.stderr) == (1, f"error: {engine.url} says: there is no problem 7\n")
        refused = forewarn("drill", "memory-leak", "--url", engine.url)
        assert "no sink named `drill`" in refused.stderr
        assert engine.stop() == 0


CONFIG = """\
sources: [{kind: host}]
limits:
  - {name: disk, match: disk_free_ratio, breach: {below: 0.05}, horizon: 1h}
slis:
  - {name: writes fail, of: {match: disk_free_ratio}, breach: {below: 0.01}}
"""


def recording(folder: Path, leak: bool) -> Path:
    """Two hours of a disk at 15 s; with `leak` it fills from the first hour on."""
    rows = []
    for i in range(480):
        free = 0.5 + 0.002 * math.sin(i)
        rows.append(f"{T0 + 15 * i},{max(0.0, free - 0.0025 * (i - 240)) if leak and i > 240 else free:.5f}")
    folder.mkdir()
    (folder / "disk.csv").write_text('time,"disk_free_ratio{host=""a""}"\n' + "\n".join(rows) + "\n")
    return folder


def test_replay_tells_what_it_would_have_said_and_how_early(tmp_path: Path) -> None:
    config = tmp_path / "forewarn.yaml"
    config.write_text(CONFIG)
    found = forewarn(
        "replay", "--config", config, "--csv", recording(tmp_path / "leak", leak=True), cwd=tmp_path
    )
    assert found.returncode == 1, found.stderr
    assert "SLI breached 2026-01-01T" in found.stdout
    lead = found.stdout.partition("lead time ")[2].splitlines()[0].rstrip(";")
    assert "m" in lead or "h" in lead, found.stdout
    assert "x real time" in found.stdout
    assert not (tmp_path / "data").exists()


def test_replay_of_quiet_time_finds_nothing(tmp_path: Path) -> None:
    config = tmp_path / "forewarn.yaml"
    config.write_text(CONFIG)
    calm = recording(tmp_path / "calm", leak=False)
    quiet = forewarn("replay", "--config", config, "--csv", calm)
    assert quiet.returncode == 0, quiet.stdout
    assert quiet.stdout.startswith("0 problem(s) in 1h59m45s of 1 series (480 samples)")
    part = forewarn("replay", "--config", config, "--csv", calm, "--to", "2026-01-01T00:10:00Z")
    assert "(41 samples)" in part.stdout
    empty = forewarn("replay", "--config", config, "--csv", calm, "--from", "2027-01-01")
    assert (empty.returncode, empty.stderr) == (1, "error: there is nothing in that time\n")


def test_replay_names_the_bad_row_and_the_unknown_source(tmp_path: Path) -> None:
    config = tmp_path / "forewarn.yaml"
    config.write_text(CONFIG)
    table = tmp_path / "bad.csv"
    table.write_text(f"time,disk_free_ratio\n{T0},0.5\n{T0 + 15},much\n")
    bad = forewarn("replay", "--config", config, "--csv", table)
    assert bad.returncode == 1
    assert bad.stderr == f"error: {table}:3: column 'disk_free_ratio': 'much' is no number\n"
    unknown = forewarn("replay", "--config", config, "--source", "prod", "--from", "1h")
    assert unknown.stderr == "error: no source is named 'prod'; there are: host\n"
