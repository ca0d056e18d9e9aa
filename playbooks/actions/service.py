"""`service`: start, stop, restart or reload a service of systemd or of supervisor, or ask for its status."""

import asyncio
import http.client
import re
import socket
import threading
import xmlrpc.client
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal

from pydantic import ConfigDict, Field, field_validator

from aiops.plugin import Action, Fatal, NotConnected, Outcome, Retryable, Secret

_NAME = re.compile(r"[A-Za-z0-9_@.\\-][\w@.:\\-]*(:\*)?")

_UP = ("RUNNING",)
_TRYING = ("STARTING", "BACKOFF")

# Fault codes of supervisor/xmlrpc.py, class Faults
_BAD_NAME, _ALREADY_STARTED, _NOT_RUNNING, _SUCCESS = 10, 60, 70, 80
_FAULTS = {
    2: "supervisor is shutting down",
    6: "supervisor is shutting down",
    _BAD_NAME: "supervisor knows no process of that name",
    20: "its program does not exist",
    21: "its program may not be executed",
    30: "supervisor could not do it",
    40: "it exited at once: look at its log",
    50: "it cannot be started, or exits as soon as it is: look at its log",
    _ALREADY_STARTED: "it is already started",
    _NOT_RUNNING: "it is not running",
}


class Service(Action):
    """Act on a service of this host, through systemd or supervisor.

    `expect` sees ``status`` (text: systemd's active, inactive, failed...; supervisor's RUNNING, STOPPED,
    FATAL..., of a group the first that is not RUNNING), ``running`` (bool) and ``processes`` (supervisor:
    name to status).
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"name": "nginx", "verb": "restart", "idempotent": True},
                {"manager": "supervisor", "name": "web:*", "verb": "restart", "idempotent": True},
            ]
        }
    )

    manager: Literal["systemd", "supervisor"] = Field("systemd", description="Who runs the service.")
    name: str = Field(description="The unit; for supervisor a process, `group:process` or a whole `group:*`.")
    verb: Literal["start", "stop", "restart", "reload", "status"] = Field(
        "restart", description="What is done; reload of supervisor sends SIGHUP."
    )
    user: bool = Field(False, description="systemd: the user's own manager, not the system's.")
    url: str = Field(
        "unix:///var/run/supervisor.sock",
        description="supervisor: its socket (unix:///path) or address (http://host:port).",
    )
    username: str = Field("", description="supervisor: user name, where it asks for one.")
    password: Secret | None = Field(None, description="supervisor: password, where it asks for one.")

    @field_validator("name")
    @classmethod
    def _plain(cls, value: str) -> str:
        if value.startswith("-") or not _NAME.fullmatch(value):
            raise ValueError("expected a service's name: letters, digits and . _ - @ :")
        return value

    @field_validator("url")
    @classmethod
    def _reachable(cls, value: str) -> str:
        if not value.startswith(("unix:///", "http://")):
            raise ValueError("expected unix:///path/to/supervisor.sock or http://host:port")
        return value

    @property
    def target(self) -> str:
        base = self.name.partition(":")[0] if self.manager == "supervisor" else self.name
        return f"service/{base.removesuffix('.service')}"

    def plan(self) -> str:
        via = "systemd" if self.manager == "systemd" else f"supervisor at {self.url}"
        return f"{self.verb} {self.name} by {via}, at most {self.timeout:g} s"

    async def run(self, key: str) -> Outcome:
        try:
            async with asyncio.timeout(self.timeout):
                return await (self._systemd() if self.manager == "systemd" else self._supervisor(self.verb))
        except TimeoutError as why:
            text = f"{self.verb} of {self.name} was not done within {self.timeout:g} s"
            raise Retryable(text, ambiguous=True) from why

    async def probe(self, key: str) -> bool | None:
        """Whether a start or stop has happened; a restart shows only when cut off between its halves."""
        if self.verb in ("status", "reload"):
            return None
        try:
            running = (await self.model_copy(update={"verb": "status"}).run(key)).data["running"]
        except (Retryable, Fatal):
            return None
        if self.verb == "stop":
            return not running
        return None if running and self.verb == "restart" else bool(running)

    async def _systemd(self) -> Outcome:
        if self.verb != "status":
            code, said = await self._systemctl(self.verb)
            if code != 0:
                status = (await self._systemctl("is-active"))[1]
                running = status == "active"
                return Outcome(False, said or f"systemctl exit status {code}", _data(status, running))
        _, status = await self._systemctl("is-active")
        running = status in ("active", "reloading")
        # A oneshot unit is inactive once it has done its work
        fine = {"status": running, "stop": not running}.get(self.verb, status != "failed")
        return Outcome(fine, f"{self.name} is {status}", _data(status, running))

    async def _systemctl(self, verb: str) -> tuple[int, str]:
        options = ["--no-ask-password", "--no-pager", *(["--user"] if self.user else [])]
        try:
            process = await asyncio.create_subprocess_exec(
                "systemctl",
                *options,
                verb,
                "--",
                self.name,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
        except OSError as why:
            raise Fatal(f"systemctl cannot be started: {why.strerror}; is this host run by systemd?") from why
        try:
            said, _ = await process.communicate()
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        return process.returncode or 0, said.decode(errors="replace").strip()

    async def _supervisor(self, verb: str) -> Outcome:
        given_up = threading.Event()

        def work() -> Outcome:
            with self._proxy() as proxy:
                return _Supervisor(proxy, self.name, given_up).act(verb)

        try:
            return await asyncio.to_thread(work)
        except xmlrpc.client.Fault as why:
            words = _FAULTS.get(why.faultCode, why.faultString)
            raise Fatal(f"{verb} of {self.name}: {words} ({why.faultString})") from why
        except xmlrpc.client.ProtocolError as why:
            hint = "; set username and password" if why.errcode == 401 else ""
            raise Fatal(f"supervisor at {self.url}: {why.errcode} {why.errmsg}{hint}") from why
        except (TimeoutError, http.client.HTTPException) as why:
            raise Retryable(f"supervisor at {self.url}: {why or type(why).__name__}", ambiguous=True) from why
        except OSError as why:
            raise NotConnected(f"supervisor at {self.url}: {why.strerror or why}") from why
        finally:
            given_up.set()

    def _proxy(self) -> Any:
        headers = []
        if self.username:
            password = self.password.read().get_secret_value() if self.password else ""
            digest = b64encode(f"{self.username}:{password}".encode()).decode()
            headers.append(("Authorization", f"Basic {digest}"))
        path = self.url.removeprefix("unix://") if self.url.startswith("unix:") else ""
        address = "http://supervisor" if path else self.url
        transport = _Transport(path, self.timeout, headers)
        return xmlrpc.client.ServerProxy(f"{address.rstrip('/')}/RPC2", transport=transport)


class _Supervisor:
    """Supervisor's calls in the order that brings a process or a whole group where it should be.

    It blocks, in a thread that outlives its caller's patience: after `given_up` it changes nothing more.
    """

    def __init__(self, proxy: Any, name: str, given_up: threading.Event) -> None:
        self.rpc = proxy.supervisor
        self.name = name
        self.given_up = given_up
        self.group = name.removesuffix(":*") if name.endswith(":*") else ""

    def act(self, verb: str) -> Outcome:
        if verb == "reload":
            call = self.rpc.signalProcessGroup if self.group else self.rpc.signalProcess
            self._each(call, "HUP")
        elif verb in ("stop", "restart"):
            self._stop()
        if verb in ("start", "restart"):
            # supervisor calls a process in back-off started, though it is down: only a stop ends the back-off
            if any(state == "BACKOFF" for state in self.states().values()):
                self._stop()
            call = self.rpc.startProcessGroup if self.group else self.rpc.startProcess
            self._each(call, True, fine=_ALREADY_STARTED)
            self._settle()
        return self._outcome(verb)

    def _settle(self) -> None:
        """One that supervisor itself was starting just then is "already started" before it runs."""
        for _ in range(25):
            if not any(state in _TRYING for state in self.states().values()):
                return
            threading.Event().wait(0.2)

    def states(self) -> dict[str, str]:
        if not self.group:
            return {self.name: str(self.rpc.getProcessInfo(self.name)["statename"])}
        found = {
            f"{one['group']}:{one['name']}": str(one["statename"])
            for one in self.rpc.getAllProcessInfo()
            if one["group"] == self.group
        }
        if not found:
            raise xmlrpc.client.Fault(_BAD_NAME, f"BAD_NAME: {self.name}")
        return found

    def _stop(self) -> None:
        call = self.rpc.stopProcessGroup if self.group else self.rpc.stopProcess
        self._each(call, True, fine=_NOT_RUNNING)

    def _each(self, call: Callable[..., Any], argument: Any, fine: int = _SUCCESS) -> None:
        """Call for the process or the group; the first real fault of a group's process is raised as such."""
        if self.given_up.is_set():
            raise TimeoutError("given up")
        try:
            answer = call(self.group or self.name, argument)
        except xmlrpc.client.Fault as why:
            if why.faultCode != fine:
                raise
            return
        for one in answer if isinstance(answer, list) else []:
            if one["status"] not in (_SUCCESS, fine):
                raise xmlrpc.client.Fault(
                    one["status"], f"{one['description']}: {one['group']}:{one['name']}"
                )

    def _outcome(self, verb: str) -> Outcome:
        states = self.states()
        running = all(state in _UP for state in states.values())
        stopped = not any(state in (*_UP, *_TRYING) for state in states.values())
        worst = next((s for s in states.values() if s not in _UP), "RUNNING")
        said = ", ".join(f"{name} is {state}" for name, state in states.items())
        return Outcome(stopped if verb == "stop" else running, said, _data(worst, running, states))


def _data(status: str, running: bool, processes: dict[str, str] | None = None) -> dict[str, Any]:
    return {"status": status, "running": running, "processes": processes or {}}


class _Transport(xmlrpc.client.Transport):
    """XML-RPC over a unix socket (where `path` is given) or TCP, with a time limit a call."""

    def __init__(self, path: str, timeout: float, headers: list[tuple[str, str]]) -> None:
        super().__init__(headers=headers)
        self._path = path
        self._timeout = timeout

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        # The base class closes what stands in `_connection`, and no other
        _, made = self._connection
        if made is None:
            made = (
                _UnixConnection(self._path, self._timeout)
                if self._path
                else http.client.HTTPConnection(self.get_host_info(host)[0], timeout=self._timeout)
            )
            self._connection = host, made
        return made


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
