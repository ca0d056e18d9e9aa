"""`service` against a real supervisord, and the argument lists that it gives systemctl."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aiops.plugin import Action, Fatal, NotConnected, Outcome, Retryable
from aiops.plugin.load import load
from aiops.testing import eventually

CONFIG = """\
[supervisord]
nodaemon=true
logfile={folder}/supervisord.log
pidfile={folder}/supervisord.pid
childlogdir={folder}
user={user}
[unix_http_server]
file={folder}/s.sock
username=ada
password=secret
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[program:web]
directory={folder}
command=/bin/sh -c 'trap "echo hup >> hup" HUP; echo $$ > %(process_num)d.pid; while :; do sleep 0.05; done'
process_name=web%(process_num)d
numprocs=2
startsecs=0
autorestart=false
stopasgroup=true
killasgroup=true
[program:quiet]
command=sleep 600
autostart=false
startsecs=0
[program:stubborn]
command=/bin/sh -c 'trap "" TERM; while :; do sleep 0.05; done'
startsecs=0
stopwaitsecs=1
killasgroup=true
[program:crashing]
command=/bin/sh -c "exit 1"
autostart=false
startsecs=1
startretries=0
[program:backoff]
command=/bin/sh -c "test -e {folder}/mended && exec sleep 600; exit 1"
autostart=false
startsecs=1
startretries=1000
[program:gone]
command={folder}/no-such-program
autostart=false
"""

Made = Callable[..., Action]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A supervisord of this module's own, in its folder."""
    place = tmp_path_factory.mktemp("sv")
    config = place / "supervisord.conf"
    config.write_text(CONFIG.format(folder=place, user=os.environ.get("USER") or "root"))
    command = [sys.executable, "-W", "ignore", "-m", "supervisor.supervisord", "-c", str(config)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    give_up = time.monotonic() + 20
    while not (place / "s.sock").exists():
        assert process.poll() is None, (place / "supervisord.log").read_text()
        assert time.monotonic() < give_up
        time.sleep(0.05)
    yield place
    process.terminate()
    process.wait(20)


@pytest.fixture
def made(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    monkeypatch.setenv("SUPERVISOR_PASSWORD", "secret")

    def make(name: str, verb: str = "restart", **values: Any) -> Action:
        found = load("playbooks.actions", "service", Action)  # type: ignore[type-abstract]
        given = {
            "url": f"unix://{folder}/s.sock",
            "username": "ada",
            "password": {"env": "SUPERVISOR_PASSWORD"},
        }
        return found.model_validate({"manager": "supervisor", "name": name, "verb": verb, **given, **values})

    return make


async def becomes(asked: Action, state: str) -> Outcome:
    """Wait until every process has `state`."""
    async with asyncio.timeout(10):
        while True:
            outcome = await asked.run("k")
            if set(outcome.data["processes"].values()) == {state}:
                return outcome
            await asyncio.sleep(0.02)


async def test_a_group_killed_whole_is_restarted(made: Made, folder: Path) -> None:
    status = await becomes(made("web:*", "status"), "RUNNING")
    assert status.ok
    assert set(status.data["processes"]) == {"web:web0", "web:web1"}
    for number in (0, 1):
        pid = folder / f"{number}.pid"
        await eventually(lambda pid=pid: pid.exists() and pid.read_text().strip())  # type: ignore[misc]
        assert int(pid.read_text()) > 1
        os.killpg(int(pid.read_text()), signal.SIGKILL)
    down = await becomes(made("web:*", "status"), "EXITED")
    assert (down.ok, down.data["running"], down.data["status"]) == (False, False, "EXITED")
    back = await made("web:*").run("k")
    assert back.ok
    assert back.output == "web:web0 is RUNNING, web:web1 is RUNNING"


async def test_start_stop_and_doing_it_twice(made: Made) -> None:
    for verb, running in (
        ("start", True),
        ("start", True),
        ("stop", False),
        ("stop", False),
        ("restart", True),
    ):
        outcome = await made("quiet", verb).run("k")
        assert (verb, outcome.ok, outcome.data["running"]) == (verb, True, running)
    assert (await made("quiet", "stop").run("k")).data["status"] == "STOPPED"
    assert not (await made("quiet", "status").run("k")).ok


async def test_one_process_of_a_group(made: Made) -> None:
    assert (await made("web:web1").run("k")).data["processes"] == {"web:web1": "RUNNING"}


async def test_reload_is_a_hangup_signal(made: Made, folder: Path) -> None:
    for number in (0, 1):
        (folder / f"{number}.pid").unlink(missing_ok=True)
    await made("web:*", "restart").run("k")
    # The trap is set before the pid is written
    await eventually(lambda: (folder / "0.pid").exists() and (folder / "1.pid").exists())
    assert (await made("web:*", "reload").run("k")).ok
    hup = folder / "hup"
    await eventually(lambda: hup.exists() and hup.read_text() == "hup\nhup\n")


async def test_a_back_off_is_ended_before_the_start(made: Made, folder: Path) -> None:
    with pytest.raises(Fatal, match="exits as soon as it is"):
        await made("backoff", "start").run("k")
    assert (await made("backoff", "status").run("k")).data["status"] in ("BACKOFF", "STARTING")
    (folder / "mended").touch()
    for verb in ("start", "stop"):
        outcome = await made("backoff", verb).run("k")
        assert outcome.ok, outcome.output


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "crashing",
            r"restart of crashing: it cannot be started, or exits as soon as it is: look",
        ),
        ("gone", r"restart of gone: its program does not exist \(NO_FILE"),
        ("nobody", r"restart of nobody: supervisor knows no process of that name \(BAD_NAME"),
        ("nobody:*", r"restart of nobody:\*: supervisor knows no process of that name"),
    ],
)
async def test_faults_are_told_in_words(made: Made, name: str, words: str) -> None:
    with pytest.raises(Fatal, match=words):
        await made(name).run("k")


async def test_a_fatal_process_can_be_asked_about(made: Made) -> None:
    with pytest.raises(Fatal):
        await made("crashing", "start").run("k")
    status = await becomes(made("crashing", "status"), "FATAL")
    assert (status.data["status"], status.ok) == ("FATAL", False)


async def test_probes_tell_what_happened(made: Made) -> None:
    await made("quiet", "start").run("k")
    assert await made("quiet", "start").probe("k") is True
    assert await made("quiet", "stop").probe("k") is False
    # It runs, but since before or after the restart?
    assert await made("quiet", "restart").probe("k") is None
    await made("quiet", "stop").run("k")
    assert await made("quiet", "start").probe("k") is False
    assert await made("quiet", "stop").probe("k") is True
    assert await made("quiet", "restart").probe("k") is False
    assert await made("nobody", "start").probe("k") is None


async def test_a_wrong_password_and_nobody_there(made: Made, folder: Path) -> None:
    with pytest.raises(Fatal, match=r"401.*set username and password"):
        await made("web:*", username="", password=None).run("k")
    with pytest.raises(NotConnected, match="No such file"):
        await made("web:*", url=f"unix://{folder}/nothing.sock").run("k")
    with pytest.raises(NotConnected, match="refused"):
        await made("web:*", url="http://127.0.0.1:1").run("k")


async def test_a_restart_that_timed_out_in_its_stop_starts_nothing_later(made: Made) -> None:
    await becomes(made("stubborn", "status"), "RUNNING")
    with pytest.raises(Retryable) as stopped:
        await made("stubborn", "restart", timeout="300ms").run("k")
    assert stopped.value.ambiguous
    await becomes(made("stubborn", "status"), "STOPPED")
    await asyncio.sleep(0.5)
    assert (await made("stubborn", "status").run("k")).data["status"] == "STOPPED"


@pytest.mark.parametrize("name", ["-H root@x", "a b", "a;b", "../x", "$(id)", "", "a\nb", "a/b"])
def test_names_are_names(made: Made, name: str) -> None:
    with pytest.raises(ValueError, match="expected a service's name"):
        made(name)


def test_one_target_for_all_ways_to_name_it(made: Made) -> None:
    targets = {made(n).target for n in ("nginx", "nginx:*", "nginx:nginx")}
    targets |= {made(n, manager="systemd").target for n in ("nginx", "nginx.service")}
    assert targets == {"service/nginx"}


@pytest.mark.parametrize(
    ("script", "verb", "ok", "words"),
    [
        ('case "$*" in *is-active*) echo active;; esac', "restart", True, "web is active"),
        ('case "$*" in *is-active*) echo failed; exit 3;; esac', "restart", False, "web is failed"),
        ('case "$*" in *is-active*) echo inactive; exit 3;; esac', "stop", True, "web is inactive"),
        ('case "$*" in *is-active*) echo active;; esac', "stop", False, "web is active"),
        ('case "$*" in *is-active*) echo inactive;; esac', "start", True, "web is inactive"),
        (
            'case "$*" in *is-active*) echo failed;; *) echo not found; exit 5;; esac',
            "start",
            False,
            "not found",
        ),
    ],
)
async def test_systemd(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, verb: str, ok: bool, words: str
) -> None:
    fake = tmp_path / "systemctl"
    fake.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n{script}\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    outcome = await made("web", verb, manager="systemd").run("k")
    assert outcome.ok is ok
    assert words in outcome.output
    first = (tmp_path / "calls").read_text().splitlines()[0]
    assert first == f"--no-ask-password --no-pager {verb} -- web"
