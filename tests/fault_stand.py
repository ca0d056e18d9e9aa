"""A Forewarn of its own to break: pushed breaches go in, tickets come out, and every one is accounted for."""

import http.client
import os
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.bench.gen import message, pack
from tests.e2e.chaos.itsm import Itsm
from tests.e2e.forewarn import Forewarn
from tests.e2e.servers import until
from tests.receiver import SECRET

PUSH = "/receive/push/api/v1/write"
PATIENCE = 120.0


class Unsound(AssertionError):
    """The product did not survive, did not say so clearly, or lost something."""


@dataclass
class Stand:
    folder: Path
    itsm: Itsm
    forewarn: Forewarn
    ahead: float = 0.0
    """Seconds by which the machine's clock is wrong, as the child sees it."""
    acknowledged: set[str] = field(default_factory=set)
    refused: int = 0
    read_to: int = 0

    # -- samples in

    def push(self, body: bytes, path: str = PUSH, **headers: str) -> int:
        """The status of one request; 0 when there was no answer."""
        line = http.client.HTTPConnection("127.0.0.1", self.forewarn.port, timeout=20)
        try:
            line.request("POST", path, body, {"Content-Encoding": "snappy", **headers})
            answer = line.getresponse()
            answer.read()
            return answer.status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            line.close()

    def breach(self, name: str, within: float = 0.0) -> int:
        """A sample above its limit, of a service of its own; sent again until it is taken, as senders do."""
        end = time.monotonic() + within
        while True:
            at = int((time.time() + self.ahead) * 1000)
            pairs = [("__name__", "queue_depth"), ("service", name)]
            status = self.push(pack(message([(pairs, [(at, 9.0)])])))
            if status == 204:
                self.acknowledged.add(name)
            else:
                self.refused += 1
            if status == 204 or time.monotonic() >= end:
                return status
            time.sleep(0.3)

    # -- tickets out

    def told(self) -> dict[str, int]:
        """Service -> how many tickets were opened about it."""
        found: dict[str, int] = {}
        for events in list(self.itsm.tickets().values()):
            opened = [event for event in events if event["type"].endswith(".opened")]
            for event in opened:
                for name in self.acknowledged:
                    if f'"{name}"' in str(event).replace("'", '"'):
                        found[name] = found.get(name, 0) + 1
        return found

    def all_told(self, within: float = PATIENCE) -> None:
        """Waits until each breach that was acknowledged has its ticket. Raises `Unsound` for a lost one."""
        try:
            until(lambda: self.acknowledged <= set(self.told()), within)
        except TimeoutError:
            raise Unsound(f"lost: {sorted(self.acknowledged - set(self.told()))}") from None
        doubled = {name: count for name, count in self.told().items() if count > 1}
        if doubled:
            raise Unsound(f"doubled: {doubled}")

    # -- the process

    def says(self, pattern: str, within: float = 60.0) -> str:
        """The first new line of the log that fits. Raises `Unsound` when none comes."""
        end = time.monotonic() + within
        while time.monotonic() < end:
            text = self.forewarn.log.read_text(errors="replace")[self.read_to :]
            for line in text.splitlines():
                if re.search(pattern, line, re.I):
                    return line.strip()
            time.sleep(0.1)
        last = self.forewarn.log.read_text(errors="replace")[-1500:]
        raise Unsound(f"no line like {pattern!r}; the last ones:\n{last}")

    def from_here(self) -> None:
        """Lines up to now are old."""
        self.read_to = len(self.forewarn.log.read_text(errors="replace"))

    @property
    def process(self) -> psutil.Process:
        """The engine itself, whatever it was started through."""
        top = psutil.Process(self.forewarn.pid)
        below = [one for one in top.children(recursive=True) if "forewarn" in " ".join(one.cmdline())]
        return below[-1] if below else top

    def alive(self) -> None:
        if self.forewarn.ended():
            raise Unsound(f"it died:\n{self.forewarn.log.read_text(errors='replace')[-3000:]}")

    def answers_within(self, seconds: float) -> None:
        """The API answers, soon."""
        started = time.monotonic()
        self.forewarn.get("/sources")
        if (took := time.monotonic() - started) > seconds:
            raise Unsound(f"the API took {took:.1f} s")

    def fails_to_start(self, pattern: str) -> str:
        """Its one line. Raises `Unsound` when it starts, hangs, or ends in a traceback."""
        done = subprocess.run(
            self.forewarn.argv(), cwd=self.folder, capture_output=True, text=True, timeout=90
        )
        line = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else ""
        if done.returncode != 1 or "Traceback" in done.stderr or not re.search(pattern, line, re.I):
            raise Unsound(f"exit code {done.returncode}: {done.stderr[-2000:]}")
        return line


@contextmanager
def stand(
    folder: Path, prefix: Sequence[str] = (), env: dict[str, str] | None = None, **config: Any
) -> Iterator[Stand]:
    """A running Forewarn with a receiver, this host, and a signed webhook. `config`: keys of its own."""
    (folder / "secret").write_text(SECRET)
    (folder / "secret").chmod(0o600)
    with Itsm() as itsm:
        sink = {
            "kind": "webhook",
            "name": "itsm",
            "url": itsm.url,
            "secret": {"file": str(folder / "secret")},
        }
        whole = {
            "sources": [
                {"kind": "remote_write", "name": "push"},
                {"kind": "host", "every": "500ms"},
                *config.pop("sources", []),
            ],
            "limits": [{"match": "queue_depth", "breach": {"above": 5}}],
            "sinks": [sink],
            **config,
        }
        made = Forewarn(folder, whole, prefix=prefix, env=env)
        try:
            made.start(within=180)
            yield Stand(folder, itsm, made)
        finally:
            made.__exit__()


class Missing(Exception):
    """What a fault needs is not to be had on this machine; the text says what."""


def need_root() -> None:
    if os.geteuid() != 0:
        raise Missing("root")
