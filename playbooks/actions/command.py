"""`command`: run a program. An argument list, never a shell: nothing in a label can become a command."""

import asyncio
import os
import shlex
import shutil
import signal
import sys
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from pydantic import ConfigDict, Field

from aiops.plugin import Action, Fatal, Outcome, Retryable
from playbooks.actions._argv import Argv

MAX_OUTPUT = 65_536
"""Bytes kept of each stream; the rest is read and dropped, so that the program never blocks on it."""

KEY = "FOREWARN_KEY"

_GRACE = 2.0
"""Seconds between the polite signal and the other one."""
_LINGER = 0.5


class Command(Action):
    """Run a program and look at its exit status.

    `expect` sees ``status`` (int), ``stdout`` and ``stderr`` (text, the first 64 KiB of each). The program
    gets the idempotency key in the environment as ``FOREWARN_KEY``, and an empty standard input.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"argv": ["/usr/bin/test", "-e", "/etc/hostname"]},
                {
                    "argv": ["logrotate", "--force", "/etc/logrotate.conf"],
                    "timeout": "2m",
                    "idempotent": True,
                },
            ]
        }
    )

    argv: Argv = Field(description="The program and its arguments.")
    cwd: Path | None = Field(None, description="Where it runs; the engine's own folder when left out.")
    env: dict[str, str] = Field(default_factory=dict, description="Variables that it gets.")
    inherit: list[str] = Field(
        ["PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR"],
        description="Variables of the engine that it gets too; no other, so that secrets stay here.",
    )

    @property
    def target(self) -> str:
        line = shlex.join(self.argv)
        return f"command/{line if len(line) < 200 else sha256(line.encode()).hexdigest()}"

    def plan(self) -> str:
        where = f" in {self.cwd}" if self.cwd else ""
        return f"run {shlex.join(self.argv)}{where}, at most {self.timeout:g} s".replace("\n", "\\n")

    async def run(self, key: str) -> Outcome:
        transport, capture = await self._start(key)
        try:
            async with asyncio.timeout(self.timeout):
                await capture.exited.wait()
        except TimeoutError as why:
            text = f"{self.argv[0]} was stopped after {self.timeout:g} s"
            raise Retryable(text, ambiguous=True) from why
        finally:
            # Cancelled, too: nothing that was to be stopped goes on behind our back
            if not capture.exited.is_set():
                await _end(transport.get_pid(), capture)
            # A service that the program has left running may hold its streams for ever
            with suppress(TimeoutError):
                await asyncio.wait_for(capture.drained.wait(), _LINGER)
            transport.close()
        status = transport.get_returncode()
        stdout, stderr = (kept.decode(errors="replace") for kept in capture.kept.values())
        said = (stdout + stderr).strip()
        data = {"status": status, "stdout": stdout, "stderr": stderr}
        return Outcome(status == 0, f"exit status {status}" + (f"\n{said}" if said else ""), data)

    async def _start(self, key: str) -> "tuple[asyncio.SubprocessTransport, _Capture]":
        env = {name: os.environ[name] for name in self.inherit if name in os.environ}
        if self.cwd and not self.cwd.is_dir():
            raise Fatal(f"cwd: there is no folder {self.cwd}")
        try:
            return await asyncio.get_running_loop().subprocess_exec(
                _Capture,
                self._found(),
                *self.argv[1:],
                stdin=asyncio.subprocess.DEVNULL,
                cwd=self.cwd,
                env=env | self.env | {KEY: key},
                start_new_session=True,
            )
        except OSError as why:
            raise Fatal(f"{self.argv[0]} cannot be started: {why.strerror}") from why

    def _found(self) -> str:
        """The program by PATH, else next to the engine's own interpreter, where `forewarn` itself lies."""
        name = self.argv[0]
        if os.sep in name:
            return name
        path = self.env.get("PATH", os.environ.get("PATH", os.defpath))
        found = shutil.which(name, path=path) or shutil.which(name, path=str(Path(sys.executable).parent))
        if found is None:
            raise Fatal(f"there is no program {name!r} on the PATH; give its whole path")
        return found


class _Capture(asyncio.SubprocessProtocol):
    """Keeps the beginning of both streams, and notes their ends and the program's."""

    def __init__(self) -> None:
        self.kept = {1: bytearray(), 2: bytearray()}
        self.exited, self.drained = asyncio.Event(), asyncio.Event()
        self._open = set(self.kept)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.kept[fd] += data[: MAX_OUTPUT - len(self.kept[fd])]

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self._open.discard(fd)
        if not self._open:
            self.drained.set()

    def process_exited(self) -> None:
        self.exited.set()


async def _end(pid: int, capture: _Capture) -> None:
    """Stop the program and its process group: politely, then not."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(pid, sign)
        with suppress(TimeoutError):
            await asyncio.wait_for(capture.exited.wait(), _GRACE)
