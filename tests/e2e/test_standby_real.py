"""Two whole processes on one PostgreSQL: one leads, the other stands by and takes over."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.database import Postgres
from tests.e2e.servers import until
from tests.replicas import Replica, Services, configured

pytestmark = [pytest.mark.e2e]


@dataclass
class World:
    services: Services
    a: Replica
    b: Replica

    def mended(self, service: str) -> Callable[[], bool]:
        """Repaired, and its ticket closed."""

        def look() -> bool:
            opened = self.services.opened().get(service, set())
            return service in self.services.repaired and bool(opened & self.services.closed())

        return look

    def once(self, *services: str) -> None:
        """One ticket each, and one repair."""
        opened = self.services.opened()
        assert {s: len(opened[s]) for s in services} == dict.fromkeys(services, 1)
        assert {s: len(self.services.keys[s]) for s in services} == dict.fromkeys(services, 1)


@pytest.fixture
def world(cluster: Postgres, tmp_path: Path) -> Iterator[World]:
    with cluster.fresh() as url, Services(filler=20).serve() as services:
        services.idle |= {"s1", "s2", "s3"}
        config = configured(tmp_path, url, services)
        a, b = (Replica(tmp_path, name, config) for name in "ab")
        try:
            a.start()
            until(lambda: a.role() == "leader", 60, "a to lead")
            b.start()
            until(lambda: b.role() == "standby", 60, "b to stand by")
            yield World(services, a, b)
        finally:
            for one in (a, b):
                if one.live:
                    one.stop()


def test_a_standby_answers_and_takes_over_and_nothing_is_doubled(world: World, cluster: Postgres) -> None:
    a, b = world.a, world.b
    asked = httpx.get(f"{b.url}/api/v1/series?limit=3", timeout=10)
    assert len(asked.json()["items"]) == 3, "the standby asks the leader"
    world.services.fell("s1")
    until(world.mended("s1"), 40, "s1 to be mended")

    world.services.fell("s2")
    a.kill()
    died = time.monotonic()
    until(lambda: b.role() == "leader", 30, "b to lead")
    # 10 s is the promise on a machine of one's own; `tests.bench.ha` measures it
    assert time.monotonic() - died < 30
    a.start()
    until(lambda: a.role() == "standby", 60, "a to stand by")
    until(world.mended("s2"), 120, "s2 to be mended")

    cluster.stop()
    cluster.start()
    until(lambda: {a.role(), b.role()} >= {"leader"}, 40, "one to lead after PostgreSQL is back")
    world.services.fell("s3")
    until(world.mended("s3"), 120, "s3 to be mended")
    world.once("s1", "s2", "s3")
