"""One tier of a small application, as a process: ``python tier.py PORT http NEXT``, or ``PORT redis REDIS``.

`http` serves GET / by asking `NEXT` (a URL, or ``redis:PORT`` for a SET and a GET) and adds what its fault
says; `redis` serves nothing but what it measures of a real server on that port, five times a second. Both
tell GET /metrics and take POST /fault with ``{slow: seconds, errors: share, leak: bytes/s, fill: bytes/s}``;
with ``{mute: 1}`` they go on to serve, and only their metrics cannot be had.
"""

import json
import os
import random
import resource
import socket
import sys
import threading
import time
import urllib.request
from collections import deque
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

WINDOW = 2.0
"""Seconds over which latency and errors are told."""
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Redis:
    """As much of the protocol as a SET and a GET need, on a connection each."""

    def __init__(self, port: int) -> None:
        self._port = port

    def ask(self, *words: str) -> bytes:
        """The answer; raises OSError for an error of the server."""
        parts = [f"*{len(words)}\r\n", *(f"${len(word)}\r\n{word}\r\n" for word in words)]
        with socket.create_connection(("127.0.0.1", self._port), 10) as link:
            link.sendall("".join(parts).encode())
            answer = link.recv(65536)
        if not answer or answer.startswith(b"-"):
            raise OSError(answer.decode(errors="replace"))
        return answer


class Tier:
    """What it calls, what was seen of it, and its fault."""

    def __init__(self, below: str) -> None:
        self.below = below
        self.redis = Redis(int(below.rpartition(":")[2])) if below.startswith("redis:") else None
        self.fault: dict[str, float] = {}
        self.seen: deque[tuple[float, float, bool]] = deque(maxlen=5000)
        self.leaked: list[bytes] = []
        self.spool = Path.cwd() / f"spool-{sys.argv[1]}"
        threading.Thread(target=self._grow, daemon=True).start()

    def work(self) -> bool:
        """One request; whether it went well."""
        began = time.monotonic()
        well = random.random() >= self.fault.get("errors", 0.0)
        if well:
            try:
                self._ask()
            except OSError:
                well = False
        time.sleep(0.004 + random.random() * 0.004 + self.fault.get("slow", 0.0))
        now = time.monotonic()
        self.seen.append((now, now - began, well))
        return well

    def _ask(self) -> None:
        if self.redis:
            self.redis.ask("SET", "key", "value")
            self.redis.ask("GET", "key")
        else:
            with DIRECT.open(self.below, timeout=10) as answer:
                answer.read()

    def _grow(self) -> None:
        """The leak holds real memory, the fill writes real files."""
        while True:
            time.sleep(0.25)
            if leak := self.fault.get("leak"):
                self.leaked.append(b"\1" * int(leak / 4))
            if fill := self.fault.get("fill"):
                self.spool.mkdir(exist_ok=True)
                with suppress(OSError), (self.spool / "spool").open("ab") as out:  # it may be full
                    out.write(b"\1" * int(fill / 4))

    def metrics(self) -> str:
        since = time.monotonic() - WINDOW
        recent = [one for one in list(self.seen) if one[0] > since]
        count = max(1, len(recent))
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        usage = resource.getrusage(resource.RUSAGE_SELF)
        filled = sum(file.stat().st_size for file in self.spool.glob("spool")) if self.spool.exists() else 0
        found = {
            "request_latency_seconds": sum(one[1] for one in recent) / count,
            "request_error_ratio": sum(not one[2] for one in recent) / count,
            "requests_per_second": len(recent) / WINDOW,
            "process_resident_memory_bytes": pages * 4096,
            "process_cpu_seconds_total": usage.ru_utime + usage.ru_stime,
            "spool_bytes": filled,
        }
        if self.spool.is_mount():
            space = os.statvfs(self.spool)
            found["spool_free_bytes"] = space.f_bavail * space.f_frsize
        if sys.argv[2] == "redis" and self.redis:
            found |= self._of_redis(self.redis)
        return "".join(f"{name} {value:.9g}\n" for name, value in found.items())

    def _of_redis(self, redis: Redis) -> dict[str, float]:
        """What redis says of itself; nothing while it does not answer."""
        try:
            lines = redis.ask("INFO", "everything").decode(errors="replace").splitlines()
            told = dict(line.split(":", 1) for line in lines if ":" in line)
            return {
                "redis_cpu_seconds_total": float(told["used_cpu_user"]) + float(told["used_cpu_sys"]),
                "redis_commands_processed_total": float(told["total_commands_processed"]),
                "redis_memory_used_bytes": float(told["used_memory"]),
            }
        except (OSError, KeyError):
            return {}


class Handler(BaseHTTPRequestHandler):
    tier: Tier

    def do_GET(self) -> None:
        if self.path == "/metrics" and self.tier.fault.get("mute"):
            self._answer(503, b"not now\n")
        elif self.path == "/metrics":
            self._answer(200, self.tier.metrics().encode())
        else:
            self._answer(200 if self.tier.work() else 502, b"done\n")

    def do_POST(self) -> None:
        self.tier.fault = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self._answer(200, b"ok\n")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", "text/plain; version=0.0.4")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    port, kind, below = sys.argv[1:4]
    Handler.tier = tier = Tier(f"redis:{below}" if kind == "redis" else below)
    server = ThreadingHTTPServer(("127.0.0.1", int(port)), Handler)
    if kind == "redis":
        threading.Thread(target=server.serve_forever, daemon=True).start()
        while True:
            tier.work()
            time.sleep(0.2)
    server.serve_forever()


if __name__ == "__main__":
    main()
