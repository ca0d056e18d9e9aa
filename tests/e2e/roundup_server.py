"""A real Roundup 2 with its classic tracker on SQLite, on a free loopback port, in a folder of its own.

``python -m tests.e2e.roundup_server HOME PORT`` serves it through WSGI, since its own server refuses root.
"""

import re
import socketserver
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from tests.database import free_port
from tests.e2e.servers import Server, need

USER, PASSWORD = "forewarn", "not-a-secret-here"
ADMIN, ADMIN_PASSWORD = "admin", "nor-is-this"


class Roundup(Server):
    @property
    def api(self) -> str:
        return f"{self.url}/rest"


@contextmanager
def roundup(folder: Path) -> Iterator[Roundup]:
    """Running, with a user for us. Skips where Roundup is not installed."""
    admin = need("roundup-admin")
    home, port = folder / "tracker", free_port()
    _run(admin, "-i", home, "install", "classic", "sqlite")
    config = home / "config.ini"
    own = {"web": f"http://127.0.0.1:{port}/", "domain": "test.invalid", "host": "127.0.0.1"}
    text = config.read_text()
    for name, value in own.items():
        text = re.sub(rf"^#?{name} = (NO DEFAULT|localhost)$", f"{name} = {value}", text, flags=re.M)
    # nothing is mailed: the file takes what would be
    config.write_text(re.sub(r"^debug = $", f"debug = {folder}/mail", text, flags=re.M))
    _run(admin, "-i", home, "initialise", ADMIN_PASSWORD)
    who = [f"username={USER}", f"password={PASSWORD}", "address=f@test.invalid", "roles=User"]
    _run(admin, "-i", home, "-u", f"{ADMIN}:{ADMIN_PASSWORD}", "create", "user", *who)
    argv = [sys.executable, "-m", "tests.e2e.roundup_server", home, port]
    root = Path(__file__).parents[2]
    server = Roundup("roundup", ["env", f"PYTHONPATH={root}", *argv], folder, port)
    with server:
        yield server


def _run(*words: object) -> None:
    argv = [str(word) for word in words]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise RuntimeError(f"{argv}: {done.stdout[-2000:]}{done.stderr[-2000:]}")


class _Threads(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


def main(home: str, port: str) -> None:
    from roundup.cgi.wsgi_handler import RequestDispatcher

    with make_server("127.0.0.1", int(port), RequestDispatcher(home), _Threads, _Quiet) as server:
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
