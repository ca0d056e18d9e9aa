"""Proxy -> app -> redis as real processes under load, a real Prometheus, and Forewarn; faults at each."""

import json
import random
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.database import free_port
from tests.e2e.forewarn import Forewarn
from tests.e2e.loop_mount import loop_mount
from tests.e2e.servers import Server, need, prometheus, scrape_job, until
from tests.e2e.tier import DIRECT, Redis

TIERS = ("proxy", "app", "redis")
WARM = 45.0
"""Seconds of normal before the first fault; a ranking needs a time before."""
SPINNING = """
local function now() local t = redis.call('TIME') return t[1] * 1000000 + t[2] end
local stop = now() + ARGV[1]
while now() < stop do end
return 1"""
"""A script that keeps redis busy for so many microseconds: everybody waits, as with any slow command."""

PLAYBOOK = {
    "playbook": "restart-anything",
    "match": "true",
    "autonomy": "approve",
    "steps": [{"restart": {"action": "command", "argv": ["/bin/true"]}}],
}


@dataclass(frozen=True)
class Fault:
    tier: str
    kind: str
    """slow or errors."""
    size: float

    @classmethod
    def of(cls, seed: int) -> "Fault":
        """The tiers in turn; the kind and the size by chance."""
        dice = random.Random(seed)
        return cls(TIERS[seed % 3], dice.choice(("slow", "errors")), dice.uniform(0.15, 0.4))


class CauseWorld:
    """Everything that runs; `inject` and `mend` are the only ways in."""

    def __init__(
        self, tiers: dict[str, Server], redis_port: int, prom: Server, forewarn: Forewarn, mounted: bool
    ) -> None:
        self.tiers, self.prom, self.forewarn = tiers, prom, forewarn
        self.mounted = mounted
        """Whether the proxy's spool is a file system of its own, of 64 MB."""
        self._redis = Redis(redis_port)
        self._spin = 0.0
        self._stop = threading.Event()
        threading.Thread(target=self._load, daemon=True).start()
        threading.Thread(target=self._hog, daemon=True).start()

    def inject(self, *faults: Fault) -> None:
        for fault in faults:
            if fault.tier != "redis":
                self.tell(fault.tier, **{fault.kind: fault.size})
            elif fault.kind == "slow":
                self._spin = fault.size
            else:
                self._redis.ask("CONFIG", "SET", "maxmemory", "1")

    def mend(self) -> None:
        self._spin = 0.0
        self._redis.ask("CONFIG", "SET", "maxmemory", "0")
        for tier in TIERS:
            self.tell(tier)

    def tell(self, tier: str, **fault: float) -> None:
        """What a tier's process is to do from now on."""
        request = urllib.request.Request(self.tiers[tier].url + "/fault", json.dumps(fault).encode())
        DIRECT.open(request, timeout=10).close()

    def told(self, tier: str, metric: str) -> float:
        """What the tier itself says now."""
        with DIRECT.open(self.tiers[tier].url + "/metrics", timeout=10) as answer:
            lines = dict(line.split() for line in answer.read().decode().splitlines())
        return float(lines[metric])

    def open_problems(self) -> list[dict[str, Any]]:
        return [p for p in self.forewarn.problems() if p["state"] != "resolved"]

    def close(self) -> None:
        self._stop.set()

    def _load(self) -> None:
        """Some fifteen requests a second, four at once at most."""

        def one() -> None:
            while not self._stop.is_set():
                try:
                    DIRECT.open(self.tiers["proxy"].url, timeout=10).close()
                except urllib.error.HTTPError as refused:
                    refused.close()
                except OSError:  # the end, or a fault
                    self._stop.wait(0.5)
                self._stop.wait(0.2)

        for _ in range(4):
            threading.Thread(target=one, daemon=True).start()

    def _hog(self) -> None:
        while not self._stop.is_set():
            with suppress(OSError):  # redis ends before the world does
                self._spin_once()
            self._stop.wait(0.002)  # all that wait are served in between, once

    def _spin_once(self) -> None:
        if self._spin:
            self._redis.ask("EVAL", SPINNING, "0", str(int(1e6 * self._spin)))


@contextmanager
def cause_world(folder: Path, **more: Any) -> Iterator[CauseWorld]:
    """Running, and watched for `WARM` seconds; `more` are keys of Forewarn's configuration."""
    with ExitStack() as stack:
        redis_port = free_port()
        stack.enter_context(_redis(folder, redis_port))
        tiers = {"redis": _tier(folder, "redis", redis_port)}
        tiers["app"] = _tier(folder, "http", f"redis:{redis_port}")
        tiers["proxy"] = _tier(folder, "http", tiers["app"].url)
        mounted = stack.enter_context(loop_mount(folder / f"spool-{tiers['proxy'].port}"))
        for tier in tiers.values():
            stack.enter_context(tier.start())
        jobs = [scrape_job(name, tier.address, labels={"service": name}) for name, tier in tiers.items()]
        prom = stack.enter_context(prometheus(folder, jobs))
        (folder / "any.yaml").write_text(json.dumps(PLAYBOOK))
        forewarn = Forewarn(folder, _config(folder, prom) | more).start(180)
        stack.callback(forewarn.__exit__)
        world = CauseWorld(tiers, redis_port, prom, forewarn, mounted)
        stack.callback(world.close)
        time.sleep(WARM)
        yield world


@contextmanager
def _redis(folder: Path, port: int) -> Iterator[None]:
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    prefix = ["setpriv", "--pdeathsig=KILL"] if shutil.which("setpriv") else []
    with (folder / "redis.log").open("ab") as out:
        process = subprocess.Popen([*prefix, need("redis-server"), *options], stdout=out, stderr=out)
    try:
        until(lambda: _pings(port), what="redis to answer")
        yield
    finally:
        process.terminate()
        process.wait(10)


def _pings(port: int) -> bool:
    try:
        return Redis(port).ask("PING").startswith(b"+PONG")
    except OSError:
        return False


def _tier(folder: Path, kind: str, below: object) -> Server:
    port = free_port()
    argv = [sys.executable, Path(__file__).with_name("tier.py"), port, kind, below]
    return Server(f"tier-{port}", argv, folder, port, "/metrics")


def _config(folder: Path, prom: Server) -> dict[str, Any]:
    slow = {"name": "slow", "match": "request_latency_seconds", "breach": {"above": 0.1, "for": "2s"}}
    failing = {"name": "failing", "match": "request_error_ratio", "breach": {"above": 0.05, "for": "2s"}}
    source = {"kind": "prometheus", "name": "prod", "url": prom.url, "select": ['{job=~"proxy|app|redis"}']}
    return {
        "sources": [source | {"every": "1s"}],
        "limits": [slow, failing],
        "alerting": {"resolve_after": "4s", "flapping": {"max_hold": "4s"}},
        # as all times here, a sixtieth: else a megabyte that a process keeps is a problem for an hour
        "detection": {"relearn_after": "1m"},
        "grouping": {"calls": {"proxy": ["app"], "app": ["redis"]}, "reopen_within": "1s"},
        "playbooks": [str(folder / "any.yaml")],
        "remediation": {"enabled": True},
    }


def run_of(
    world: CauseWorld, faults: Sequence[Fault], lasting: float = 25.0, at_most: float = 0.0
) -> dict[str, Any]:
    """One injection: the problems that it opened, and the tier that each puts first.

    It waits for twenty seconds of calm before: a machine that stalls makes its processes slow as well. With
    `at_most` the faults last on, so many seconds, until each has a problem that puts its tier first: what
    takes a dozen samples takes longer on a machine that is busy with something else.
    """
    _calm(world)
    before = {p["id"] for p in world.forewarn.problems()}
    tiers = sorted(f.tier for f in faults)
    world.inject(*faults)
    end = time.monotonic() + at_most
    time.sleep(lasting)
    while time.monotonic() < end and sorted(_first(world, before)) != tiers:
        time.sleep(1)
    opened = [p for p in world.forewarn.problems() if p["id"] not in before]
    world.mend()
    until(lambda: not world.open_problems(), 90, "all problems to be over")
    first = [_ranked(problem)[0] for problem in opened]
    injected = [f"{f.tier} {f.kind}" for f in faults]
    found = {"faults": injected, "problems": len(opened), "first": first}
    return found if sorted(first) == tiers else found | {"evidence": [_evidence(one) for one in opened]}


def _first(world: CauseWorld, before: set[str]) -> list[str]:
    return [_ranked(p)[0] for p in world.forewarn.problems() if p["id"] not in before]


def _calm(world: CauseWorld, for_: float = 20.0, within: float = 180.0) -> None:
    """Until nothing has been wrong for so many seconds, which is also the normal that the next is held to."""
    end = time.monotonic() + within
    since = time.monotonic()
    while time.monotonic() - since < for_ and time.monotonic() < end:
        if world.open_problems():
            since = time.monotonic()
        time.sleep(1)


def _evidence(problem: dict[str, Any]) -> dict[str, Any]:
    """What a person needs to see why."""
    alerts = [
        f"{a['started']} {a['kind']} {a['labels'].get('service')} {a['labels']['__name__']}: {a['joined']}"
        for a in problem["alerts"]
    ]
    return {
        "problem": problem["id"],
        "opened": problem["opened"],
        "causes": problem["causes"],
        "alerts": alerts,
    }


def _ranked(problem: dict[str, Any]) -> list[str]:
    """The likely causes, the likeliest first."""
    causes = problem["causes"]
    return [one["component"] for one in causes["ranked"]] if causes and causes["known"] else ["unknown"]
