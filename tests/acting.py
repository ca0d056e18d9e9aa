"""What each kind of action needs so that the contract suite can try it.

An act without end, an act that shows the idempotency key to the other side, and a harmless one.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import asyncssh

from aiops.plugin import Action
from aiops.plugin.load import load
from tests.database import free_port
from tests.json_server import Asked, serving
from tests.kubernetes_api import cluster, kubeconfig
from tests.ssh_server import ssh_server

Values = dict[str, Any]
World = Callable[[Path], AbstractAsyncContextManager[Values]]


def action(kind: str, **values: Any) -> Action:
    return load("playbooks.actions", kind, Action).model_validate(values)  # type: ignore[type-abstract]


@asynccontextmanager
async def silent_server(folder: Path) -> AsyncIterator[tuple[int, Path]]:
    """A TCP port and a unix socket that accept and never answer."""

    async def hold(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)

    writers: list[asyncio.StreamWriter] = []
    path = folder / "silent.sock"
    tcp = await asyncio.start_server(hold, "127.0.0.1", 0)
    unix = await asyncio.start_unix_server(hold, path)
    try:
        yield tcp.sockets[0].getsockname()[1], path
    finally:
        for writer in writers:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
        for server in (tcp, unix):
            server.close()


def secret(folder: Path, text: str = "s3cret") -> Values:
    path = folder / "secret"
    path.write_text(text)
    return {"file": str(path)}


def ansible_project(folder: Path, task: Values) -> Values:
    here = f"here ansible_connection=local ansible_python_interpreter={sys.executable}\n"
    (folder / "inventory").write_text(here)
    play = [{"hosts": "all", "gather_facts": False, "tasks": [task]}]
    (folder / "play.yml").write_text(json.dumps(play))
    return {"project": str(folder), "playbook": "play.yml"}


# -- acts without end


@asynccontextmanager
async def _endless(folder: Path, values: Callable[[int, Path], Values]) -> AsyncIterator[Values]:
    async with silent_server(folder) as (port, socket):
        yield values(port, socket)


def _silent(values: Callable[[Path, int, Path], Values]) -> World:
    return lambda folder: _endless(folder, lambda port, socket: values(folder, port, socket))


def _job(**values: Any) -> World:
    return _silent(
        lambda folder, port, _: {"url": f"http://127.0.0.1:{port}", "token": secret(folder), **values}
    )


def _ssh_login(folder: Path, port: int, _: Path) -> Values:
    names = {name: folder / name for name in ("identity", "known_hosts")}
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(names["identity"])
    names["known_hosts"].touch()
    return {"host": "127.0.0.1", "port": port, "argv": ["true"], **{k: str(v) for k, v in names.items()}}


ENDLESS: dict[str, World] = {
    "ansible": _silent(lambda folder, *_: ansible_project(folder, {"pause": {"seconds": 30}})),
    "awx": _job(template=1),
    "command": _silent(lambda *_: {"argv": ["/bin/sh", "-c", "sleep 30 & sleep 30"]}),
    "http": _silent(lambda _, port, __: {"url": f"http://127.0.0.1:{port}/", "method": "POST"}),
    "k8s": _silent(
        lambda folder, port, _: {
            "verb": "restart",
            "name": "web",
            "kubeconfig": str(kubeconfig(folder, f"http://127.0.0.1:{port}")),
        }
    ),
    "notify": _silent(
        lambda folder, port, _: {"to": secret(folder, f"json://127.0.0.1:{port}/"), "body": "hello"}
    ),
    "rundeck": _job(job="j"),
    "service": _silent(lambda _, __, path: {"manager": "supervisor", "name": "web", "url": f"unix://{path}"}),
    "sql": _silent(
        lambda _, port, __: {"url": f"postgresql+psycopg://u@127.0.0.1:{port}/db", "statement": "SELECT 1"}
    ),
    "ssh": _silent(_ssh_login),
    "stackstorm": _job(ref="pack.act"),
    "wait": _silent(lambda *_: {"seconds": "30s"}),
}
ENDS = {"file_prune": "deletes one file after another and looks at the clock between two"}


# -- acts that show their key


async def _key_of_command(_: Path, key: str) -> str:
    made = action("command", argv=["/usr/bin/printenv", "FOREWARN_KEY"])
    return str((await made.run(key)).data["stdout"]).strip()


async def _key_of_http(_: Path, key: str) -> str:
    with serving(lambda _asked: (200, {})) as server:
        await action("http", url=server.url, method="POST").run(key)
    return server.asked[0].headers["Idempotency-Key"]


async def _key_of_ssh(folder: Path, key: str) -> str:
    async with ssh_server(folder) as server:
        await action("ssh", argv=["true"], **server.login()).run(key)
    return server.keys[0]


async def _key_of_ansible(folder: Path, key: str) -> str:
    project = ansible_project(folder, {"debug": {"msg": "key=<{{ forewarn_key }}>"}})
    said = (await action("ansible", **project, timeout="60s").run(key)).output
    return said.partition("key=<")[2].partition(">")[0]


async def _key_of_awx(folder: Path, key: str) -> str:
    with serving(_job_answers) as server:
        await action("awx", url=server.url, token=secret(folder), template=7).run(key)
    return str(server.asked[0].body["extra_vars"]["forewarn_key"])


async def _key_of_stackstorm(folder: Path, key: str) -> str:
    with serving(_job_answers) as server:
        await action("stackstorm", url=server.url, token=secret(folder), ref="shop.restart").run(key)
    return str(server.asked[0].body["context"]["trace_context"]["trace_tag"])


async def _key_of_k8s(folder: Path, key: str) -> str:
    with cluster(folder) as (made, config):
        path = made.add("Deployment", "web", {"replicas": 1, "template": {}})
        await action("k8s", verb="restart", name="web", kubeconfig=str(config)).run(key)
        return str(made.objects[path]["metadata"]["annotations"]["forewarn.io/run-step"])


KEYS: dict[str, Callable[[Path, str], Awaitable[str]]] = {
    "ansible": _key_of_ansible,
    "awx": _key_of_awx,
    "command": _key_of_command,
    "http": _key_of_http,
    "k8s": _key_of_k8s,
    "ssh": _key_of_ssh,
    "stackstorm": _key_of_stackstorm,
}
KEYLESS = {
    "file_prune": "a file is deleted once, whatever the key",
    "notify": "people read no keys",
    "rundeck": "a job refuses options that it does not declare",
    "service": "neither systemd nor supervisor takes a key; a start or stop done twice is one",
    "sql": "a statement names the parameters that it takes",
    "wait": "there is no other side",
}


# -- harmless acts


def _job_answers(asked: Asked) -> tuple[int, Any]:
    """A job of each runner that ends well at the first look."""
    state = {"/api/v2/": "successful"}.get(asked.path[:8], "succeeded")
    return (201, {"id": 7}) if asked.method == "POST" else (200, {"id": 7, "status": state})


@asynccontextmanager
async def _on_jobs(folder: Path, **values: Any) -> AsyncIterator[Values]:
    with serving(_job_answers) as server:
        yield {"url": server.url, "token": secret(folder), **values}


@asynccontextmanager
async def _on_cluster(folder: Path) -> AsyncIterator[Values]:
    with cluster(folder) as (_, config):
        yield {"verb": "status", "object": "pod", "name": "gone", "kubeconfig": str(config)}


@asynccontextmanager
async def _on_ssh(folder: Path) -> AsyncIterator[Values]:
    async with ssh_server(folder) as server:
        yield {"argv": ["/bin/true"], **server.login()}


@asynccontextmanager
async def _on_notify(folder: Path) -> AsyncIterator[Values]:
    with serving(lambda _: (200, {})) as server:
        yield {"to": secret(folder, server.url.replace("http:", "json:")), "body": "hello"}


def _plain(values: Callable[[Path], Values]) -> World:
    @asynccontextmanager
    async def world(folder: Path) -> AsyncIterator[Values]:
        yield values(folder)

    return world


def _fake_systemctl(folder: Path) -> Values:
    fake = folder / "systemctl"
    fake.write_text("#!/bin/sh\necho active\n")
    fake.chmod(0o755)
    return {"name": "web", "verb": "status"}


HARMLESS: dict[str, World] = {
    "ansible": _plain(lambda folder: {**ansible_project(folder, {"ping": {}}), "timeout": "60s"}),
    "awx": lambda folder: _on_jobs(folder, template=1),
    "command": _plain(lambda _: {"argv": ["/bin/true"]}),
    "file_prune": _plain(lambda folder: {"under": str(folder), "files": ["*.old"]}),
    "http": _plain(lambda _: {"url": f"http://127.0.0.1:{free_port()}/"}),
    "k8s": _on_cluster,
    "notify": _on_notify,
    "rundeck": lambda folder: _on_jobs(folder, job="j"),
    "service": _plain(_fake_systemctl),
    "sql": _plain(lambda folder: {"url": f"sqlite:///{folder}/db", "statement": "SELECT 1 AS one"}),
    "ssh": _on_ssh,
    "stackstorm": lambda folder: _on_jobs(folder, ref="pack.act"),
    "wait": _plain(lambda _: {"seconds": "10ms"}),
}
