"""The house itself: what the wheel holds, who may import whom, how long a file may be."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

HOUSE = Path(__file__).resolve().parent.parent.parent
ROOMS = ("aiops", "detectors", "connectors", "playbooks")
LONGEST = 300
GENERATED = ("migrations/versions/",)


def sources() -> list[Path]:
    return [
        path
        for room in ROOMS
        for path in sorted((HOUSE / room).rglob("*.py"))
        if not any(part in path.as_posix() for part in GENERATED)
    ]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names in a wheel that is built from this tree."""
    out = tmp_path_factory.mktemp("wheel")
    argv = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(HOUSE)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = out.glob("*.whl")
    with zipfile.ZipFile(made) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_every_source_and_what_the_console_and_the_default_need(wheel: set[str]) -> None:
    assert {path.relative_to(HOUSE).as_posix() for path in sources()} <= wheel
    needed = [
        "aiops/default.yaml",
        "aiops/store/migrations/versions/0001_first_schema.py",
        "aiops/web/static/vendor/htmx.min.js",
        "aiops/web/static/vendor/uPlot.iife.min.js",
        "playbooks/library/forewarn-drill.yaml",
    ]
    assert [name for name in needed if name not in wheel] == []


def test_the_wheel_holds_nothing_else(wheel: set[str]) -> None:
    foreign = [n for n in wheel if n.split("/")[0] not in ROOMS and ".dist-info/" not in n]
    assert foreign == []
    assert [n for n in wheel if n.endswith((".pyc", ".db")) or "/__pycache__/" in n] == []


def test_shelves_carry_no_init() -> None:
    shelves = ("detectors", "connectors", "playbooks", "playbooks/actions")
    assert [s for s in shelves if (HOUSE / s / "__init__.py").exists()] == []


def test_nobody_imports_whom_he_may_not() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint], cwd=HOUSE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.relative_to(HOUSE).as_posix())
def test_a_file_is_short_enough_to_be_read_at_one_sitting(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LONGEST


def test_no_file_names_a_place_on_somebodys_machine() -> None:
    """Home folders, and the folder that this very checkout lies in."""
    homes = r"(^|[^A-Za-z0-9_.])/(root|home/[a-z][a-z0-9_-]*|Users/[A-Za-z]+)/"
    found = ["git", "grep", "-nIE", f"{homes}|{re.escape(str(HOUSE))}", "--", ".", ":!*.min.js"]
    done = subprocess.run(found, cwd=HOUSE, capture_output=True, text=True, check=False)
    if done.returncode > 1:
        pytest.skip("no git here to ask which files belong to the house")
    assert done.stdout == ""


def test_the_licence_is_apache_2() -> None:
    text = (HOUSE / "LICENSE").read_text()
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
