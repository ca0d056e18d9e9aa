"""Databases for tests: SQLite files, and a real PostgreSQL where Debian's server binaries are installed."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg

from aiops.store.database import Database
from aiops.store.migrate import upgrade

TEMPLATE = "forewarn_template"

SETTINGS = {
    # nothing here outlives the session, so durability is off: a database is made in 30 ms instead of 400
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "16MB",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "60",
    "autovacuum": "off",
}


def missing_postgres() -> str:
    """Why no PostgreSQL can be started here; empty when one can."""
    if not _binaries():
        return "no PostgreSQL server binaries in /usr/lib/postgresql (apt-get install postgresql)"
    if os.geteuid() == 0 and not _servant():
        return "PostgreSQL does not run as root, and there is neither a user postgres nor nobody"
    return ""


def free_port() -> int:
    """A TCP port on the loopback address that nobody held a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Postgres:
    """One cluster in a temporary folder, and fresh databases in it."""

    def __init__(self, port: int, folder: Path, binary: Path, settings: Mapping[str, str]) -> None:
        self.port, self.log = port, folder / "log"
        flags = [f"-c{name}={value}" for name, value in {**SETTINGS, **settings, "port": str(port)}.items()]
        self._argv = _as_servant([binary, "-D", folder / "data", *flags])
        self._numbers = count(1)

    def start(self) -> None:
        """Returns once statements are answered."""
        with self.log.open("ab") as log:
            self._server = subprocess.Popen(self._argv, cwd=self.log.parent, stdout=log, stderr=log)
        for _ in range(200):
            try:
                return self.execute("SELECT 1")
            except psycopg.OperationalError:
                if self._server.poll() is not None:
                    break
                time.sleep(0.05)
        raise RuntimeError(f"PostgreSQL did not start:\n{self.log.read_text(errors='replace')}")

    def stop(self) -> None:
        """Whoever is connected loses the connection, and what was not committed."""
        self._server.send_signal(signal.SIGINT)
        self._server.wait(20)

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://forewarn@127.0.0.1:{self.port}/{database}"

    def execute(self, statement: str) -> None:
        """Run one statement outside any transaction, as CREATE DATABASE asks for."""
        where = f"host=127.0.0.1 port={self.port} user=forewarn dbname=postgres connect_timeout=2"
        with psycopg.connect(where, autocommit=True) as conn:
            conn.execute(statement.encode())

    def make_template(self) -> None:
        """The migrated schema, which `fresh` copies."""
        self.execute(f"CREATE DATABASE {TEMPLATE}")
        db = Database(self.url(TEMPLATE))
        upgrade(db)
        db.close()

    @contextmanager
    def fresh(self, template: str = TEMPLATE) -> Iterator[str]:
        """The URL of a new database, dropped at the end whoever is still connected to it."""
        name = f"test_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield self.url(name)
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def postgres(**settings: str) -> Iterator[Postgres]:
    """A running cluster of this process's own (so of each xdist worker's), stopped and deleted at the end.

    `settings` go before `SETTINGS`.
    """
    folder = Path(tempfile.mkdtemp(prefix="forewarn-pg-"))
    port = free_port()
    binaries = _binaries()
    assert binaries
    if servant := _servant():
        os.chown(folder, servant.pw_uid, servant.pw_gid)
    data = folder / "data"
    init = [binaries / "initdb", "-D", data, "-A", "trust", "-U", "forewarn"]
    try:
        _command([*init, "-E", "UTF8", "--locale=C", "--no-sync"], folder)
        cluster = Postgres(port, folder, binaries / "postgres", settings)
        cluster.start()
        try:
            cluster.make_template()
            yield cluster
        finally:
            cluster.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _binaries() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda p: int(p.parts[-3]))
    return found[-1].parent if found else None


def _servant() -> pwd.struct_passwd | None:
    """The user that PostgreSQL runs as when we are root."""
    if os.geteuid() != 0:
        return None
    known = {user.pw_name: user for user in pwd.getpwall()}
    return known.get("postgres") or known.get("nobody")


def _as_servant(words: list[object]) -> list[str]:
    argv = [str(word) for word in words]
    # a test run that is killed takes its server with it
    prefix = ["setpriv", "--pdeathsig=QUIT"] if shutil.which("setpriv") else []
    if servant := _servant():
        user = [f"--reuid={servant.pw_uid}", f"--regid={servant.pw_gid}", "--clear-groups"]
        prefix = ["setpriv", *user, "--pdeathsig=QUIT"]
    return prefix + argv


def _command(words: list[object], folder: Path) -> None:
    done = subprocess.run(_as_servant(words), cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{words[0]} failed:\n{done.stdout}{done.stderr}")
