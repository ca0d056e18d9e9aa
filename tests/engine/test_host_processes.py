"""Process groups and readings on made-up hosts, where time and processes are written by hand."""

from pathlib import Path

import pytest

from aiops.plugin import Fatal
from connectors._host_names import clean, name_of
from connectors._host_rates import Rates
from tests.hosts import FakeHost, Key, Watch


@pytest.fixture
def fake(tmp_path: Path) -> FakeHost:
    return FakeHost(tmp_path / "root")


def groups(found: dict[Key, float]) -> list[str]:
    return sorted(at for name, at in found if name == "host_process_count")


async def test_a_lasting_group_is_missed_when_it_ends(fake: FakeHost) -> None:
    fake.process(7, "/usr/sbin/nginx", age=900)
    watch = Watch(root=fake.root)
    assert (await watch.pull())["host_process_count", "nginx"] == 1
    fake.end(7)
    fake.tick(2)
    found = await watch.pull()
    assert found["host_process_count", "nginx"] == 0
    assert ("host_process_rss_bytes", "nginx") not in found
    fake.process(8, "/usr/sbin/nginx", age=0)
    fake.tick(2)
    assert (await watch.pull())["host_process_count", "nginx"] == 1
    fake.end(8)
    fake.tick(3700)
    assert groups(await watch.pull()) == []


async def test_no_groups_at_all(fake: FakeHost) -> None:
    fake.process(7, "/usr/sbin/nginx", age=900)
    found = await Watch(root=fake.root, groups=0).pull()
    assert groups(found) == []
    assert found["host_threads", ""] == 1


async def test_passing_processes_found_no_group(fake: FakeHost) -> None:
    watch = Watch(root=fake.root)
    fake.process(7, "ls", age=1)
    assert groups(await watch.pull()) == []
    fake.tick(20)
    assert groups(await watch.pull()) == ["ls"]


async def test_membership_is_stable_and_marked_groups_come_first(fake: FakeHost) -> None:
    fake.process(1, "big", age=100, rss_pages=1000)
    fake.process(2, "mid", age=100, rss_pages=300)
    fake.process(3, "low", age=100, rss_pages=200)
    watch = Watch(root=fake.root, groups=2)
    assert groups(await watch.pull()) == ["big", "mid"]
    fake.process(3, "low", age=100, rss_pages=500)
    assert groups(await watch.pull()) == ["big", "mid"], "not twice as heavy"
    fake.process(3, "low", age=100, rss_pages=700)
    assert groups(await watch.pull()) == ["big", "low"]
    fake.process(4, "x", age=0, rss_pages=1, env="A=1\0FOREWARN_GROUP=drill\0B=2")
    assert groups(await watch.pull()) == ["big", "drill"]


async def test_processor_time_of_new_old_and_reused_processes(fake: FakeHost) -> None:
    fake.process(1, "app", age=100, ticks=5000)
    watch = Watch(root=fake.root)
    found = await watch.pull()
    assert found["host_process_cpu_cores", "app"] != found["host_process_cpu_cores", "app"]
    fake.tick(2)
    fake.process(1, "app", age=102, ticks=5100)
    fake.process(2, "app", age=1, ticks=50)
    fake.process(3, "app", age=500, ticks=9999)  # older than the last pull, but hidden from it
    found = await watch.pull()
    assert found["host_process_cpu_cores", "app"] == pytest.approx((100 + 50) / 100 / 2)
    assert found["host_process_starts_per_second", "app"] == pytest.approx(0.5)


async def test_a_forked_child_is_looked_at_again(fake: FakeHost) -> None:
    """Between fork and exec it still looks like its parent."""
    watch = Watch(root=fake.root)
    fake.process(5, "python", age=20)
    assert groups(await watch.pull()) == ["python"]
    fake.process(5, "python", age=20, env="FOREWARN_GROUP=drill")
    assert groups(await watch.pull()) == ["drill"]


async def test_a_bare_host_gives_what_it_has(tmp_path: Path) -> None:
    fake = FakeHost(tmp_path / "bare")
    fake.write("loadavg", "0.5 0.25 0.125 1/100 42\n")
    fake.write("stat", "nonsense\ncpu x y\n")
    found = await Watch(root=fake.root, hostname="cell").pull()
    assert found["host_load5", ""] == 0.25
    assert not [key for key in found if key[0] == "host_cpu_ratio"]


async def test_not_a_host(tmp_path: Path) -> None:
    with pytest.raises(Fatal, match="root"):
        await Watch(root=tmp_path).pull()


async def test_labels_and_hostname(fake: FakeHost) -> None:
    fake.write("loadavg", "1 2 3\n")
    watch = Watch(root=fake.root, hostname="db1", labels={"service": "db"})
    await watch.pull()
    labels = [dict(one) for _, one in watch.index.items()]
    assert all(one["host"] == "db1" and one["service"] == "db" for one in labels)


def test_rates() -> None:
    rates = Rates()
    nan = float("nan")
    got = []
    for uptime, counter in ((10, 5.0), (12, 9.0), (12, 9.0), (14, 3.0), (16, 4.0)):
        rates.begin(uptime)
        got.append(rates.per_second("x", counter))
    assert got == pytest.approx([nan, 2.0, nan, nan, 0.5], nan_ok=True)
    rates.begin(18)
    rates.begin(20)
    assert rates.per_second("x", 9.0) != rates.per_second("x", 9.0), "unseen for a pull: forgotten"


@pytest.mark.parametrize(
    ("arguments", "group"),
    [
        (["nginx: master process /usr/sbin/nginx"], "nginx"),
        (["/usr/sbin/nginx", "-g", "daemon off;"], "nginx"),
        (["postgres: main: walwriter "], "postgres"),
        (["redis-server 127.0.0.1:6379"], "redis-server"),
        (["python3.11", "-m", "http.server", "80"], "http.server"),
        (["/usr/bin/python3", "-u", "/opt/app/worker.py", "--n", "3"], "worker.py"),
        (["python3", "-c", "print()"], "python"),
        (["/bin/bash", "/dev/fd/3"], "bash"),
        (["-bash"], "bash"),
        (["java", "-Xmx1g", "-jar", "/srv/shop-1.2.jar"], "shop-1.2.jar"),
        (["java", "-cp", "/x", "Main"], "java"),
        (["node", "server.js"], "server.js"),
        (["/opt/My App/bin/thing"], "thing"),
        (["worker-17"], "worker"),
        (["sshd: root@pts/0"], "sshd"),
        ([], "comm"),
        (["python", "-m"], "python"),
        (["  "], "comm"),
    ],
)
def test_names(arguments: list[str], group: str) -> None:
    assert name_of(arguments, "comm") == group


def test_clean_names_are_short_and_plain() -> None:
    assert clean("a" * 99) == "a" * 40
    assert clean("we{ird\n") == "we_ird"
    assert clean("7z") == "7z"
    assert clean("42") == "42"
