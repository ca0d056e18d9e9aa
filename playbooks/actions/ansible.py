"""`ansible`: a playbook of Ansible, run by ansible-runner in a process of its own."""

import asyncio
import json
import os
import shlex
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field, field_validator

from aiops.plugin import Action, Fatal, Outcome, Retryable
from aiops.plugin.extras import needed

MAX_OUTPUT = 65_536


class Ansible(Action):
    """Run a playbook of Ansible. Needs the extra ``ansible``. Values reach it as variables, never as text.

    `expect` sees ``status`` (successful, failed, timeout or canceled), ``changed``, ``failed`` and
    ``unreachable`` (hosts' counts over all hosts).
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "project": "/etc/forewarn/ansible",
                    "playbook": "restart.yml",
                    "limit": "web1",
                    "timeout": "5m",
                },
                {
                    "project": "/etc/forewarn/ansible",
                    "playbook": "rotate.yml",
                    "variables": {"service": "checkout"},
                    "check": True,
                },
            ]
        }
    )

    project: Path = Field(description="Folder of the playbooks, with its `inventory` unless one is named.")
    playbook: str = Field(description="The playbook's file, below the folder.")
    inventory: Path | None = Field(None, description="File or folder of the inventory.")
    limit: str = Field("", max_length=512, description="Hosts or groups to which it is limited.")
    variables: dict[str, Any] = Field(default_factory=dict, description="Extra variables; they win over all.")
    check: bool = Field(False, description="Ansible's own dry run (--check).")

    @field_validator("playbook")
    @classmethod
    def _below(cls, value: str) -> str:
        if value.startswith(("/", "-")) or ".." in Path(value).parts or not value:
            raise ValueError(f"expected a file below the project, got {value!r}")
        return value

    @field_validator("limit")
    @classmethod
    def _plain(cls, value: str) -> str:
        # `@file` would make Ansible read hosts from a file of the machine
        if value.startswith(("-", "@")) or "\x00" in value:
            raise ValueError("expected names of hosts or groups")
        return value

    @property
    def target(self) -> str:
        return f"ansible/{self.limit or 'all'}"[:512]

    def plan(self) -> str:
        mode = "rehearse" if self.check else "play"
        given = f" with {json.dumps(self.variables, sort_keys=True)}" if self.variables else ""
        return f"{mode} {self.playbook} on {self.limit or 'all hosts'}{given}, at most {self.timeout:g} s"

    async def run(self, key: str) -> Outcome:
        needed("ansible_runner", "ansible")
        if not (self.project / self.playbook).is_file():
            raise Fatal(f"ansible: there is no playbook {self.project / self.playbook}")
        with tempfile.TemporaryDirectory(prefix="forewarn-ansible-") as folder:
            self._lay_out(Path(folder), key)
            said, ended = await self._play(folder)
            return self._outcome(Path(folder), said, ended)

    def _lay_out(self, folder: Path, key: str) -> None:
        """ansible-runner's own folder of inputs, readable by nobody else."""
        env = folder / "env"
        env.mkdir()
        (env / "extravars").write_text(json.dumps({**self.variables, "forewarn_key": key}))
        (env / "settings").write_text(json.dumps({"job_timeout": max(1, round(self.timeout))}))
        # No callback of the machine may break what we read
        (env / "envvars").write_text(json.dumps({"ANSIBLE_NOCOLOR": "1", "ANSIBLE_HOST_KEY_CHECKING": "1"}))
        options = ["--check"] if self.check else []
        (env / "cmdline").write_text(shlex.join(options))

    async def _play(self, folder: str) -> tuple[str, bool]:
        """What it said, and whether it ended by itself."""
        inventory = self.inventory or self.project / "inventory"
        argv = ["run", folder, "--project-dir", str(self.project), "-p", self.playbook, "--ident", "run"]
        argv += ["--inventory", str(inventory)] + (["--limit", self.limit] if self.limit else [])
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "ansible_runner",
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={"PATH": path, "HOME": os.environ.get("HOME", "/"), "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"},
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(self.timeout):
                said, _ = await process.communicate()
        except TimeoutError as why:
            text = f"{self.playbook} was stopped after {self.timeout:g} s"
            raise Retryable(text, ambiguous=not self.check) from why
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, 9)
            await process.wait()
        return said.decode(errors="replace")[-MAX_OUTPUT:].strip(), process.returncode == 0

    def _outcome(self, folder: Path, said: str, ended: bool) -> Outcome:
        artifacts = folder / "artifacts" / "run"
        try:
            status = (artifacts / "status").read_text().strip()
        except OSError:
            raise Fatal(f"ansible did not begin: {said[-500:] or 'it said nothing'}") from None
        data = {"status": status, **_recap(artifacts / "job_events")}
        return Outcome(status == "successful" and ended, f"{self.playbook}: {status}\n{said[-4000:]}", data)


def _recap(events: Path) -> dict[str, int]:
    """The last event that counts: tasks changed and failed and hosts unreachable, over all hosts."""
    counts = {"changed": 0, "failures": 0, "dark": 0}
    for path in sorted(events.glob("*.json")) if events.is_dir() else []:
        event = json.loads(path.read_text())
        if event.get("event") == "playbook_on_stats":
            stats = event.get("event_data", {})
            counts = {name: sum(stats.get(name, {}).values()) for name in counts}
    return {"changed": counts["changed"], "failed": counts["failures"], "unreachable": counts["dark"]}
