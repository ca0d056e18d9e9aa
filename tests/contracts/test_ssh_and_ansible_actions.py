"""`ssh` against a real SSH server, and `ansible` with a real play on this host."""

from pathlib import Path
from typing import Any

import asyncssh
import pytest

from aiops.plugin import Fatal, NotConnected
from tests.acting import action, ansible_project
from tests.database import free_port
from tests.ssh_server import ssh_server


async def test_arguments_arrive_as_they_are(tmp_path: Path) -> None:
    evil = ["/bin/echo", "a b", "$(touch x)", "; reboot", "it's", ""]
    async with ssh_server(tmp_path) as server:
        outcome = await action("ssh", argv=evil, **server.login()).run("1:a")
    assert server.commands == [evil]
    assert outcome.ok
    assert outcome.data["stdout"] == " ".join(evil[1:]) + "\n"


async def test_status_and_streams(tmp_path: Path) -> None:
    async with ssh_server(tmp_path) as server:
        argv = ["/bin/sh", "-c", "echo out; echo err >&2; exit 3"]
        outcome = await action("ssh", argv=argv, **server.login()).run("1:a")
    assert not outcome.ok
    assert outcome.data == {"status": 3, "stdout": "out\n", "stderr": "err\n"}


async def test_a_host_that_is_not_known_is_not_spoken_to(tmp_path: Path) -> None:
    async with ssh_server(tmp_path) as server:
        for known in ("", f"[127.0.0.1]:{server.port} {_other_key()}"):
            server.known_hosts.write_text(known)
            with pytest.raises(Fatal, match="its host key is not in"):
                await action("ssh", argv=["true"], **server.login()).run("1:a")
    assert server.commands == []


def _other_key() -> str:
    return asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()


async def test_a_key_that_may_not_log_in(tmp_path: Path) -> None:
    async with ssh_server(tmp_path) as server:
        asyncssh.generate_private_key("ssh-ed25519").write_private_key(server.identity)
        with pytest.raises(Fatal, match="may not log in"):
            await action("ssh", argv=["true"], **server.login()).run("1:a")
        server.identity.write_text("no key")
        with pytest.raises(Fatal, match="holds no private key"):
            await action("ssh", argv=["true"], **server.login()).run("1:a")
        server.identity.unlink()
        with pytest.raises(Fatal, match="there is no file"):
            await action("ssh", argv=["true"], **server.login()).run("1:a")


async def test_nobody_there(tmp_path: Path) -> None:
    async with ssh_server(tmp_path) as server:
        away = {**server.login(), "port": free_port()}
    with pytest.raises(NotConnected):
        await action("ssh", argv=["true"], **away).run("1:a")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"host": "-oProxyCommand=x"}, "plain name"),
        ({"username": "a b"}, "plain name"),
        ({"argv": [""]}, "empty"),
        ({"argv": ["a\x00"]}, "NUL"),
    ],
)
def test_what_is_refused_when_read(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        action("ssh", **{"host": "web1", "argv": ["true"], **values})


async def test_a_play_with_variables_that_stay_values(tmp_path: Path) -> None:
    evil = "x'; touch {{ lookup('pipe', 'id') }}"
    task = {"copy": {"content": "{{ given }}", "dest": str(tmp_path / "out")}}
    project = ansible_project(tmp_path, task)
    play = action("ansible", **project, variables={"given": "plain"}, timeout="60s")
    first = await play.run("1:a")
    assert first.ok, first.output
    assert first.data == {"status": "successful", "changed": 1, "failed": 0, "unreachable": 0}
    assert (tmp_path / "out").read_text() == "plain"
    rehearsed = await action("ansible", **project, variables={"given": evil}, check=True, timeout="60s").run(
        "1:b"
    )
    assert rehearsed.data["changed"] == 1
    assert (tmp_path / "out").read_text() == "plain"


async def test_a_play_that_fails(tmp_path: Path) -> None:
    project = ansible_project(tmp_path, {"fail": {"msg": "no"}})
    outcome = await action("ansible", **project, timeout="60s").run("1:a")
    assert not outcome.ok
    assert outcome.data == {"status": "failed", "changed": 0, "failed": 1, "unreachable": 0}
    with pytest.raises(Fatal, match="there is no playbook"):
        await action("ansible", **{**project, "playbook": "none.yml"}).run("1:a")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"playbook": "../x.yml"}, "below the project"),
        ({"playbook": "/x.yml"}, "below the project"),
        ({"limit": "@/etc/passwd"}, "names of hosts"),
        ({"limit": "-e x=1"}, "names of hosts"),
    ],
)
def test_plays_that_are_refused_when_read(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        action("ansible", **{"project": "/p", "playbook": "a.yml", **values})
