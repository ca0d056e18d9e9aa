"""`command` with real programs and `http` with a real server: what goes wrong, in words."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any

import pytest

from aiops.plugin import Action, Fatal, NotConnected, Retryable
from aiops.plugin.load import load
from aiops.testing import eventually


def command(*argv: str, **values: Any) -> Action:
    found = load("playbooks.actions", "command", Action)  # type: ignore[type-abstract]
    return found.model_validate({"argv": list(argv), **values})


def http(**values: Any) -> Action:
    return load("playbooks.actions", "http", Action).model_validate(values)  # type: ignore[type-abstract]


# -- command


async def test_status_and_streams() -> None:
    outcome = await command("/bin/sh", "-c", "echo out; echo err >&2; exit 7").run("k")
    assert outcome.data == {"status": 7, "stdout": "out\n", "stderr": "err\n"}
    assert (outcome.ok, outcome.output) == (False, "exit status 7\nout\nerr")


async def test_nothing_in_an_argument_is_a_command(tmp_path: Path) -> None:
    evil = f"; touch {tmp_path}/pwned; $(touch {tmp_path}/pwned) `touch {tmp_path}/pwned` | & \n *"
    assert (await command("/usr/bin/printf", "%s", evil).run("k")).data["stdout"] == evil
    assert not (tmp_path / "pwned").exists()


async def test_only_listed_variables_are_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "x")
    seen = (await command("/usr/bin/env", env={"MINE": "1"}).run("k")).data["stdout"]
    assert "SECRET_TOKEN" not in seen
    assert "MINE=1" in seen
    assert f"PATH={os.environ['PATH']}" in seen
    assert (
        "SECRET_TOKEN=x" in (await command("/usr/bin/env", inherit=["SECRET_TOKEN"]).run("k")).data["stdout"]
    )


async def test_output_without_end_is_capped_and_does_not_block() -> None:
    outcome = await command("/bin/sh", "-c", "head -c 3000000 /dev/zero | tr '\\\\0' x; echo done >&2").run(
        "k"
    )
    assert len(outcome.data["stdout"]) == 65_536
    assert outcome.data["stderr"] == "done\n"


async def test_a_timeout_ends_the_whole_process_group(tmp_path: Path) -> None:
    script = (
        f"(trap '' TERM; echo $$ > {tmp_path}/in; while :; do sleep 0.05; touch {tmp_path}/beat; done) & wait"
    )
    with pytest.raises(Retryable, match=r"was stopped after 0\.3 s") as stopped:
        await command("/bin/sh", "-c", script, timeout="300ms").run("k")
    assert stopped.value.ambiguous
    beat = tmp_path / "beat"
    beat.unlink(missing_ok=True)
    await asyncio.sleep(0.3)
    assert not beat.exists()


async def test_a_cancelled_run_leaves_nothing_behind(tmp_path: Path) -> None:
    beat = tmp_path / "beat"
    script = f"while :; do touch {beat}; sleep 0.02; done"
    task = asyncio.create_task(command("/bin/sh", "-c", script).run("k"))
    await eventually(beat.exists)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    beat.unlink()
    await asyncio.sleep(0.2)
    assert not beat.exists()


async def test_a_service_left_running_is_left_running(tmp_path: Path) -> None:
    beat = tmp_path / "beat"
    script = f"(for i in $(seq 40); do touch {beat}; sleep 0.05; done) & echo started"
    outcome = await command("/bin/sh", "-c", script, timeout="5s").run("k")
    assert (outcome.ok, outcome.data["stdout"]) == (True, "started\n")
    beat.unlink(missing_ok=True)
    await eventually(beat.exists)


async def test_a_program_next_to_our_own_interpreter_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert (await command("python", "-c", "print(6 * 7)").run("k")).data["stdout"] == "42\n"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"argv": ["no-such-program"]}, "there is no program 'no-such-program' on the PATH"),
        ({"argv": ["/no/such/program"]}, "/no/such/program cannot be started: No such file"),
        ({"argv": ["/etc"]}, "/etc cannot be started: Permission denied"),
        ({"argv": ["/bin/true"], "cwd": "/no/such/folder"}, "cwd: there is no folder"),
    ],
)
async def test_what_cannot_be_started(values: dict[str, Any], words: str) -> None:
    with pytest.raises(Fatal, match=words):
        await command(*values["argv"], **{k: v for k, v in values.items() if k != "argv"}).run("k")


@pytest.mark.parametrize("argv", [[], [""], ["a", "b\x00c"]])
def test_argument_lists_that_are_none(argv: list[str]) -> None:
    with pytest.raises(ValueError, match=r"argv"):
        command(*argv)


# -- http

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(
    raw: bytes, seen: list[bytes] | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """Answers every request with `raw`; its URL."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer), suppress(asyncio.IncompleteReadError, ConnectionError):
            head = await reader.readuntil(b"\r\n\r\n")
            sizes = [line[15:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            body = await reader.readexactly(int(sizes[0]) if sizes else 0)
            if seen is not None:
                seen.append(head + body)
            writer.write(raw)
            await writer.drain()

    running = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls)
    async with running:
        port = running.sockets[0].getsockname()[1]
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"


def reply(status: str, body: bytes, kind: str = "application/json") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def test_status_body_json_and_seconds() -> None:
    async with server(reply("200 OK", b'{"state": "up"}')) as url:
        outcome = await http(url=url).run("k")
    assert outcome.ok
    assert outcome.data["status"] == 200
    assert outcome.data["json"] == {"state": "up"}
    assert outcome.data["body"] == '{"state": "up"}'
    assert 0 < outcome.data["seconds"] < 5


@pytest.mark.parametrize("status", ["301 Moved", "404 Not Found", "503 Unavailable"])
async def test_only_success_is_good(status: str) -> None:
    async with server(reply(status, b"no", "text/plain")) as url:
        outcome = await http(url=url).run("k")
    assert not outcome.ok
    assert (outcome.data["status"], outcome.data["json"]) == (int(status[:3]), None)


async def test_nobody_there_is_an_answer_to_a_look_and_a_fault_of_an_act() -> None:
    outcome = await http(url="http://127.0.0.1:1/").run("k")
    assert (outcome.ok, outcome.data["status"], outcome.data["seconds"]) == (False, 0, None)
    assert "127.0.0.1:1" in outcome.output
    with pytest.raises(NotConnected) as refused:
        await http(url="http://127.0.0.1:1/", method="POST").run("k")
    assert not refused.value.ambiguous


async def test_an_answer_lost_on_the_way_is_ambiguous() -> None:
    async with server(b"") as url:
        with pytest.raises(Retryable) as lost:
            await http(url=url, method="POST").run("k")
        assert lost.value.ambiguous
        assert (await http(url=url).run("k")).data["status"] == 0


async def test_what_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "s3cret")
    seen: list[bytes] = []
    async with server(reply("200 OK", b""), seen) as url:
        made = http(
            url=f"{url}/a?b=1", method="PUT", json={"x": 1}, headers={"X-A": "b"}, bearer={"env": "TOKEN"}
        )
        await made.run("9:call")
    head, _, body = seen[0].partition(b"\r\n\r\n")
    assert head.startswith(b"PUT /a?b=1 HTTP/1.1\r\n")
    assert body == b'{"x": 1}'
    for line in (
        b"X-A: b",
        b"Authorization: Bearer s3cret",
        b"Content-Type: application/json",
        b"Idempotency-Key: 9:call",
    ):
        assert line in head
    assert "s3cret" not in made.plan()
    assert "b=1" not in made.plan()


async def test_a_body_without_end_is_cut() -> None:
    async with server(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1_000_000) as url:
        assert len((await http(url=url).run("k")).data["body"]) == 65_536


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    async with server(reply("200 OK", b"")) as url:
        assert (await http(url=url).run("k")).ok


async def test_certificates_are_checked_unless_told_otherwise(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    made = await asyncio.create_subprocess_exec(*make, "-keyout", key, "-out", certificate, stderr=-3)
    assert await made.wait() == 0
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    async with server(reply("200 OK", b""), tls=tls) as url:
        refused = await http(url=url).run("k")
        assert (refused.ok, refused.data["status"]) == (False, 0)
        assert "CERTIFICATE_VERIFY_FAILED" in refused.output
        assert (await http(url=url, ca=certificate).run("k")).ok
        assert (await http(url=url, verify_tls=False).run("k")).ok
        with pytest.raises(Fatal, match=r"ca: .*cannot be used"):
            await http(url=url, ca=tmp_path / "nothing.pem").run("k")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"url": "file:///etc/passwd"}, "begins with http"),
        ({"url": "http://"}, "names no host"),
        ({"url": "gopher://x"}, "begins with http"),
        ({"url": "http://x/\n"}, "no address"),
        ({"url": "http://x", "body": "a", "json": {}}, "either body or json"),
        ({"url": "http://x", "bearer": "plain"}, "given by reference"),
    ],
)
def test_what_is_refused_when_read(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        http(**values)


async def test_a_secret_that_is_missing_and_a_header_that_is_none() -> None:
    with pytest.raises(Fatal, match="environment variable NOT_SET_ANYWHERE is not set"):
        await http(url="http://127.0.0.1:1", bearer={"env": "NOT_SET_ANYWHERE"}).run("k")
    async with server(reply("200 OK", b"")) as url:
        with pytest.raises(Fatal, match="Illegal header"):
            await http(url=url, headers={"X": "a\r\nInjected: 1"}).run("k")
