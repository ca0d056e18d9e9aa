"""A whole Forewarn process beside real servers: started, asked, killed, started again."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from tests.database import free_port
from tests.e2e.servers import answers, get_json, until


class Forewarn:
    """``forewarn run`` on a config of its own in `folder`; its output is in forewarn.log there."""

    def __init__(
        self,
        folder: Path,
        config: dict[str, Any],
        prefix: Sequence[str] = (),
        env: dict[str, str] | None = None,
    ) -> None:
        """`prefix`: what the command is started through; `env`: further variables."""
        self._prefix, self._env = list(prefix), {**os.environ, **(env or {})}
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "forewarn.log"
        whole = {
            "store": f"sqlite:///{folder}/data/forewarn.db",
            "data": str(folder / "data"),
            "web": {"listen": f"127.0.0.1:{self.port}"},
            "checkpoint_every": "2s",
            **config,
        }
        self.config = folder / "forewarn.yaml"
        self.config.write_text(json.dumps(whole, indent=1))  # JSON is YAML
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, within: float = 60.0) -> Self:
        prefix = ["setpriv", "--pdeathsig=KILL"] if shutil.which("setpriv") else []
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(
                [*prefix, *self.argv()], cwd=self.folder, stdout=out, stderr=out, env=self._env
            )
        try:
            until(lambda: answers(self.url + "/-/ready") or self.ended(), within, "Forewarn to be ready")
        except TimeoutError:
            self.kill()
            raise
        if self.ended():
            raise RuntimeError(f"Forewarn ended at once:\n{self.log.read_text()[-3000:]}")
        return self

    def kill(self) -> None:
        """``kill -9``, as a crash or the OOM killer would."""
        assert self._process
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> int:
        """SIGINT, as Ctrl-C; the exit code."""
        assert self._process
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        return self._process.wait(30)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self._process and self._process.poll() is None:
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                self.kill()

    def get(self, path: str) -> Any:
        return get_json(f"{self.url}/api/v1{path}")

    def problems(self) -> list[dict[str, Any]]:
        """All problems with all that belongs to them, oldest first."""
        found = self.get("/problems?limit=100")["items"]
        return [self.get(f"/problems/{one['id']}") for one in sorted(found, key=lambda p: p["id"])]

    def wait_for(self, state: str, within: float) -> dict[str, Any]:
        """The first problem that reaches `state`."""
        end = time.monotonic() + within
        while time.monotonic() < end:
            for problem in self.problems():
                if problem["state"] == state:
                    return problem
            time.sleep(0.1)
        shown = "\n".join(f"{p['id']} {p['state']} {p['title']}" for p in self.problems())
        raise AssertionError(f"no problem {state} within {within:g} s; there are: {shown or 'none'}")

    def rss_bytes(self) -> int:
        """Resident memory of the process."""
        assert self._process
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def argv(self) -> list[str]:
        """The whole command."""
        command = str(Path(sys.executable).with_name("forewarn"))
        return [*self._prefix, command, "run", "--config", str(self.config)]

    def unhampered(self) -> None:
        """The next start is through nothing."""
        self._prefix = []

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    def ended(self) -> bool:
        return self._process is not None and self._process.poll() is not None
