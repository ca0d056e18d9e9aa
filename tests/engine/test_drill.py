"""The drill: a real leak, seen coming, ticketed, stopped and verified; and nothing else is ever stopped."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from ruamel.yaml import YAML
from standardwebhooks import Webhook

from aiops.cli import drill_child, drill_process
from aiops.cli.drill_receiver import Receiver
from aiops.config.read import PACKAGED
from tests.database import free_port
from tests.e2e.forewarn import Forewarn

COMMAND = str(Path(sys.executable).with_name("forewarn"))
SECRET = "whsec_" + "A" * 43 + "="


def drill(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([COMMAND, "drill", *argv], capture_output=True, text=True, timeout=150)


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drills are told apart by their folder, so that tests do not stop each other's or a developer's."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def child(own_folder: None) -> Iterator[subprocess.Popen[str]]:
    """A drill process that stays small for as long as a test lasts."""
    started = drill_process.start(steady=60)
    try:
        yield started
    finally:
        started.kill()
        started.communicate()


def test_stop_ends_the_child_and_status_tells(child: subprocess.Popen[str]) -> None:
    assert [one.pid for one in drill_process.living()] == [child.pid]
    alive = drill("status")
    assert (alive.returncode, alive.stdout) == (1, f"drill process: pid {child.pid}\n")
    ended = drill("stop")
    assert (ended.returncode, ended.stdout) == (0, f"ended pid {child.pid}\n")
    assert child.wait(5) == -signal.SIGTERM
    assert drill("status").returncode == 0
    assert drill("stop").stdout == "no drill is running\n"


def test_stop_leaves_the_drill_of_another_folder_alone(
    child: subprocess.Popen[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert drill("stop").stdout == "no drill is running\n"
    assert drill("status").returncode == 0
    assert child.poll() is None


def test_stop_leaves_every_other_process_alone(tmp_path: Path) -> None:
    """Neither the mark alone nor the script's name alone makes a process ours."""
    script = tmp_path / "drill_child.py"
    shutil.copy(drill_child.__file__, script)
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    marked = subprocess.Popen(sleep, env={"FOREWARN_GROUP": drill_child.NAME})
    named = subprocess.Popen([*sleep, str(script)], env={"FOREWARN_GROUP": "other"})
    try:
        time.sleep(0.2)
        assert drill_process.living() == []
        assert drill_process.stop() == []
        assert (marked.poll(), named.poll()) == (None, None)
    finally:
        for one in (marked, named):
            one.kill()
            one.wait()


def test_the_child_dies_with_its_parent() -> None:
    code = (
        "import os, time; from aiops.cli import drill_process;"
        "print(drill_process.start(60).pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    pid = int(parent.stdout.readline())
    until = time.monotonic() + 5
    while not drill_process.living() and time.monotonic() < until:
        time.sleep(0.02)
    assert [one.pid for one in drill_process.living()] == [pid]
    time.sleep(0.3)  # it asks to die with its parent a moment after it began
    parent.kill()
    parent.communicate()
    while drill_process.living() and time.monotonic() < until:
        time.sleep(0.02)
    assert drill_process.living() == []


def test_the_child_holds_its_size_before_it_leaks(child: subprocess.Popen[str]) -> None:
    time.sleep(1)
    resident = int(Path(f"/proc/{child.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    assert abs(resident - drill_child.STEADY) < 8 * drill_child.MIB
    limits = Path(f"/proc/{child.pid}/limits").read_text()
    assert re.search(rf"Max address space +{drill_child.CEILING} ", limits)


def _signed(receiver: Receiver, key: str, reason: str, secret: str = SECRET) -> httpx.Response:
    body = f'{{"type": "dev.forewarn.problem.{reason}", "subject": "{key}", "id": "m-{key}-{reason}"}}'
    now = datetime.now(UTC)
    headers = {
        "webhook-id": "m1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign("m1", now, body),
    }
    return httpx.post(f"http://{receiver.host}:{receiver.port}/", content=body, headers=headers)


def test_the_receiver_takes_only_what_is_signed() -> None:
    with Receiver("127.0.0.1", 0, SECRET) as receiver:
        assert _signed(receiver, "fw-1", "opened").json() == {"ref": "DRILL-fw-1"}
        assert _signed(receiver, "fw-1", "opened").status_code == 200
        assert _signed(receiver, "fw-2", "opened", "whsec_" + "B" * 43 + "=").status_code == 401
        assert httpx.post(f"http://127.0.0.1:{receiver.port}/", content=b"{}").status_code == 401
        assert [(one.key, one.reason) for one in receiver.received] == [("fw-1", "opened")]
        assert len(receiver.refused) == 2
        assert receiver.first("fw-1", "resolved") is None


def test_the_whole_story_on_the_packaged_settings(tmp_path: Path) -> None:
    config = YAML(typ="safe").load(PACKAGED.read_text())
    config["sinks"][0]["url"] = f"http://127.0.0.1:{free_port()}/"
    config["sinks"][0]["secret"] = {"file": str(tmp_path / "data/drill.secret")}
    with Forewarn(tmp_path, config) as engine:
        told = drill("memory-leak", "--url", engine.url)
        assert told.returncode == 0, told.stdout + told.stderr + engine.log.read_text()[-3000:]
        story = re.findall(r"^ *([\d.]+) s  (.+?)  ", told.stdout, re.M)
        assert {what for _, what in story} >= {
            "fault started",
            "detected",
            "problem opened",
            "ticket delivered",
            "playbook started",
            "leaking process stopped",
            "repair verified",
            "problem resolved",
            "ticket told",
        }
        (problem,) = engine.problems()
        assert problem["state"] == "resolved"
        assert [run["state"] for run in problem["runs"]] == ["succeeded"]
    assert drill_process.living() == []
