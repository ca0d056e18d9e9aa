"""`ssh`: run a program on another host. The host must be known, and the arguments are quoted one by one."""

import asyncio
import shlex
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field, field_validator

from aiops.plugin import Action, Fatal, NotConnected, Outcome, Retryable
from aiops.plugin.extras import needed
from playbooks.actions._argv import Argv

MAX_OUTPUT = 65_536
"""Characters kept of each stream."""

KEY = "FOREWARN_KEY"


class Ssh(Action):
    """Run a program over SSH and look at its exit status. Needs the extra ``ssh``.

    `expect` sees ``status`` (int), ``stdout`` and ``stderr`` (text, the first 64 KiB of each). The
    idempotency key is sent as the variable ``FOREWARN_KEY``, which a server passes on where its AcceptEnv
    allows. On the other side let a forced command (``command="..."`` in authorized_keys) admit nothing but
    what your playbooks need; it reads what was asked from SSH_ORIGINAL_COMMAND.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"host": "web1.internal", "argv": ["systemctl", "restart", "nginx"], "idempotent": True},
                {
                    "host": "db1.internal",
                    "username": "forewarn",
                    "identity": "/etc/forewarn/id_ed25519",
                    "known_hosts": "/etc/forewarn/known_hosts",
                    "argv": ["df", "--output=pcent", "/var"],
                },
            ]
        }
    )

    host: str = Field(min_length=1, description="Name or address of the host.")
    port: int = Field(22, ge=1, le=65535, description="Port of its SSH server.")
    username: str = Field("forewarn", min_length=1, description="User to log in as.")
    identity: Path = Field(Path("~/.ssh/id_ed25519"), description="File of the private key.")
    known_hosts: Path = Field(
        Path("~/.ssh/known_hosts"),
        description="File of the host keys that are trusted; there is no way around it.",
    )
    argv: Argv = Field(description="The program and its arguments.")

    @field_validator("host", "username")
    @classmethod
    def _name(cls, value: str) -> str:
        if value.startswith("-") or not value.isprintable() or any(c.isspace() for c in value):
            raise ValueError("expected a plain name")
        return value

    @property
    def target(self) -> str:
        return f"host/{self.host}"[:512]

    def plan(self) -> str:
        line = shlex.join(self.argv).replace("\n", "\\n")
        return f"run {line} on {self.username}@{self.host}:{self.port}, at most {self.timeout:g} s"

    async def run(self, key: str) -> Outcome:
        ssh, sent = needed("asyncssh", "ssh"), False
        try:
            async with asyncio.timeout(self.timeout), await ssh.connect(**self._login()) as connection:
                sent = True
                done = await connection.run(shlex.join(self.argv), env={KEY: key}, errors="replace")
        except TimeoutError as why:
            raise Retryable(f"{self._place()}: not done within {self.timeout:g} s", ambiguous=True) from why
        except ssh.HostKeyNotVerifiable as why:
            raise Fatal(f"{self._place()}: its host key is not in {self.known_hosts}: {why.reason}") from why
        except ssh.PermissionDenied as why:
            raise Fatal(
                f"{self._place()}: {self.username} may not log in with {self.identity}: {why.reason}"
            ) from why
        except ssh.KeyImportError as why:
            raise Fatal(f"identity: {self.identity} holds no private key: {why}") from why
        except (ssh.Error, OSError) as why:
            text = f"{self._place()}: {getattr(why, 'reason', '') or why}"
            raise (Retryable(text, ambiguous=True) if sent else NotConnected(text)) from why
        return _outcome(done)

    def _login(self) -> dict[str, Any]:
        for name in ("identity", "known_hosts"):
            path = getattr(self, name).expanduser()
            if not path.is_file():
                raise Fatal(f"{name}: there is no file {path}")
        return {
            "host": self.host,
            "port": self.port,
            "username": self.username,
            "client_keys": [str(self.identity.expanduser())],
            "known_hosts": str(self.known_hosts.expanduser()),
            "agent_path": None,
            "config": [],
            "login_timeout": self.timeout,
        }

    def _place(self) -> str:
        return f"{self.host}:{self.port}"


def _outcome(done: Any) -> Outcome:
    stdout, stderr = (str(text or "")[:MAX_OUTPUT] for text in (done.stdout, done.stderr))
    # A program that a signal ended has no status of its own
    status = -1 if done.exit_status is None else int(done.exit_status)
    said = (stdout + stderr).strip()
    data = {"status": status, "stdout": stdout, "stderr": stderr}
    return Outcome(status == 0, f"exit status {status}" + (f"\n{said}" if said else ""), data)
