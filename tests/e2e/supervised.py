"""Programs under a supervisord of their own, which restarts nothing by itself."""

import os
import re
import shlex
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from tests.e2e.servers import answers, free_port, need, until


class Supervised:
    """`programs`: name to argument list. Each is a group of its own, and logs into `folder`."""

    def __init__(self, folder: Path, programs: Mapping[str, Sequence[object]], env: str = "") -> None:
        self.folder, self._names = folder, list(programs)
        self._socket = folder / "sv.sock"
        self._process: subprocess.Popen[bytes] | None = None
        parts = [_HEAD.format(folder=folder, user="user=root" if os.geteuid() == 0 else "")]
        for name, argv in programs.items():
            command = shlex.join(str(word) for word in argv)
            parts.append(_PROGRAM.format(name=name, command=command, env=env, folder=folder))
        (folder / "supervisord.conf").write_text("".join(parts))

    @property
    def server(self) -> str:
        """The supervisor's address, as the action `service` takes it."""
        return f"unix://{self._socket}"

    def pid(self, name: str) -> int:
        """Of the running program, by the last line about it. Raises LookupError before it was started."""
        found = re.findall(rf"spawned: '{name}' with pid (\d+)", self._log())
        if not found:
            raise LookupError(name)
        pid = int(found[-1])
        assert pid > 1
        return pid

    def starts(self, name: str) -> int:
        """How often it was started."""
        return starts(self.folder, name)

    def signal(self, name: str, number: signal.Signals) -> None:
        os.kill(self.pid(name), number)

    def __enter__(self) -> Self:
        argv = [need("supervisord"), "-n", "-c", str(self.folder / "supervisord.conf")]
        with (self.folder / "supervisord.out").open("ab") as out:
            self._process = subprocess.Popen(
                argv, stdout=out, stderr=out, cwd=self.folder, start_new_session=True
            )
        try:
            until(lambda: all(self.starts(name) for name in self._names), what="the programs' start")
        except TimeoutError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait(15)
            self._process = None

    def _log(self) -> str:
        path = self.folder / "supervisord.log"
        return path.read_text() if path.exists() else ""


class SupervisedNginx(Supervised):
    """nginx; `url` answers 200 "ok"."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self.access_log = folder / "access.log"
        user = "user root;" if os.geteuid() == 0 else ""
        conf = _NGINX.format(folder=folder, user=user, port=self.port, log=self.access_log)
        (folder / "nginx.conf").write_text(conf)
        argv = [need("nginx"), "-c", folder / "nginx.conf", "-e", folder / "error.log"]
        super().__init__(folder, {"nginx": argv})

    def __enter__(self) -> Self:
        super().__enter__()
        try:
            until(self.answers, what="nginx under supervisor")
        except TimeoutError:
            self.__exit__()
            raise
        return self

    def kill(self) -> None:
        """SIGKILL to nginx' whole process group."""
        os.killpg(os.getpgid(self.pid("nginx")), signal.SIGKILL)
        until(lambda: not self.answers(), what="nginx gone")

    def answers(self) -> bool:
        return answers(self.url)


def starts(folder: Path, name: str) -> int:
    """How often the supervisord of `folder` has started a program."""
    path = folder / "supervisord.log"
    return path.read_text().count(f"spawned: '{name}' ") if path.exists() else 0


def ctl(folder: Path, *words: str) -> None:
    """``supervisorctl WORDS``, as a person would. Raises RuntimeError when it says that it failed."""
    argv = [need("supervisorctl"), "-c", str(folder / "supervisord.conf"), *words]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30)
    if done.returncode:
        raise RuntimeError(f"{words}: {done.stdout}{done.stderr}")


_HEAD = """[supervisord]
logfile={folder}/supervisord.log
pidfile={folder}/supervisord.pid
{user}
[unix_http_server]
file={folder}/sv.sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://{folder}/sv.sock
"""
_PROGRAM = """[program:{name}]
command={command}
environment={env}
directory={folder}
autorestart=false
startsecs=0
startretries=0
stopwaitsecs=2
stopasgroup=true
killasgroup=true
"""
_NGINX = """daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
{user}
events {{ worker_connections 256; }}
http {{
  access_log {log};
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  server {{ listen 127.0.0.1:{port}; location / {{ return 200 "ok"; }} }}
}}
"""
