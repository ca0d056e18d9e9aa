"""redis nears its memory limit: the limit is raised once, before writes are refused for long."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.database import free_port
from tests.e2e.chaos.gauges import Gauges
from tests.e2e.chaos.playbook import library
from tests.e2e.chaos.report import Report, report
from tests.e2e.chaos.world import world
from tests.e2e.servers import need, scrape_job, until
from tests.e2e.tier import Redis

SERIES = 'redis_memory_used_ratio{service="cache"}'
FULL = 0.9
LIMIT, RAISED = "4mb", "64mb"


def run(folder: Path) -> Report:
    with redis_server(folder) as (redis, port):
        words = {"6379": str(port), "2gb": RAISED, "2147483648": str(64 * 2**20), "1gb": LIMIT}
        playbook = library(folder, "raise-redis-memory", words)
        limit = {"name": "memory of redis", "match": SERIES, "breach": {"above": FULL}}
        with (
            Gauges({SERIES: lambda: used(redis)}) as gauges,
            world(
                folder, [scrape_job("redis", gauges.address)], [SERIES], [playbook], limits=[limit]
            ) as here,
        ):
            before = raises(redis)
            here.strike(lambda: fill(redis))
            here.reaches("resolved")
            here.told("resolved")
            problem = here.one_of_each()
            assert [r["state"] for r in problem["runs"]] == ["succeeded"]
            redis.ask("SET", "after", "1")
            assert used(redis) < 0.8
            raised = raises(redis) - before
            assert raised == 1, raised
            return report(here, problem, {"CONFIG SET": raised})


def fill(redis: Redis) -> None:
    """Until redis refuses."""
    with suppress(OSError):
        for number in range(10_000):
            redis.ask("SET", f"key-{number}", "1" * 16_384)


def info(redis: Redis, section: str) -> dict[str, str]:
    lines = redis.ask("INFO", section).decode(errors="replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def used(redis: Redis) -> float:
    """Share of its limit, as redis says."""
    told = info(redis, "memory")
    return float(told["used_memory"]) / float(told["maxmemory"])


def raises(redis: Redis) -> int:
    """How often it was told to change its configuration."""
    told = info(redis, "commandstats").get("cmdstat_config|set", "calls=0")
    return int(told.split(",")[0].removeprefix("calls="))


@contextmanager
def redis_server(folder: Path) -> Iterator[tuple[Redis, int]]:
    port = free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    options += ["--maxmemory", LIMIT, "--maxmemory-policy", "noeviction"]
    prefix = ["setpriv", "--pdeathsig=KILL"] if shutil.which("setpriv") else []
    with (folder / "redis.log").open("ab") as out:
        process = subprocess.Popen([*prefix, need("redis-server"), *options], stdout=out, stderr=out)
    redis = Redis(port)
    try:
        until(lambda: pings(redis), what="redis to answer")
        yield redis, port
    finally:
        process.terminate()
        process.wait(10)


def pings(redis: Redis) -> bool:
    try:
        return redis.ask("PING").startswith(b"+PONG")
    except OSError:
        return False
