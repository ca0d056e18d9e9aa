"""The host source on this very host, and on made-up ones."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from aiops.model.series import SeriesIndex
from aiops.plugin import Connector, Fatal
from aiops.plugin.load import load
from connectors._host_names import clean, name_of
from connectors._host_rates import Rates

pytestmark = pytest.mark.skipif(not Path("/proc/stat").exists(), reason="no /proc on this system")

Key = tuple[str, str]


class Watch:
    """A host source and its latest values, by (metric, value of its own label)."""

    def __init__(self, **fields: object) -> None:
        self.source = load("connectors", "host", Connector).model_validate(fields)
        self.index = SeriesIndex()
        self.source.open(self.index)

    async def pull(self, now: float = 1.0) -> dict[Key, float]:
        frames = [f async for f in self.source.pull(now - 1, now)]
        (frame,) = frames
        assert frame.times.tolist() == [now]
        found = {}
        for slot, value in zip(frame.slots, frame.values[0], strict=True):
            labels = dict(self.index.labels(slot))
            name = labels.pop("__name__")
            assert name.startswith("host_")
            assert labels.pop("host")
            found[name, ",".join(labels.values())] = float(value)
        return found


async def settled(
    watch: Watch, true: Callable[[dict[Key, float]], object], within: float = 8.0
) -> dict[Key, float]:
    """Pull until it is true."""
    end = time.monotonic() + within
    while not true(found := await watch.pull()):
        assert time.monotonic() < end, sorted(k for k in found if k[0].startswith("host_process"))
        await _pause()
    return found


async def _pause(seconds: float = 0.2) -> None:
    import asyncio

    await asyncio.sleep(seconds)


@pytest.fixture
def child() -> Iterator[Callable[..., "subprocess.Popen[bytes]"]]:
    """Starts Python children; they end with the test."""
    made: list[subprocess.Popen[bytes]] = []

    def start(code: str, title: str = "", group: str = "") -> "subprocess.Popen[bytes]":
        env = dict(os.environ) | ({"FOREWARN_GROUP": group} if group else {})
        argv = [title or sys.executable, "-c", code]
        made.append(subprocess.Popen(argv, executable=sys.executable, env=env, stdout=subprocess.PIPE))
        assert made[-1].stdout
        made[-1].stdout.readline()
        return made[-1]

    yield start
    for one in made:
        one.kill()
        one.wait()
        assert one.stdout
        one.stdout.close()


async def test_agrees_with_psutil() -> None:
    watch = Watch()
    await watch.pull()
    found = await watch.pull()
    memory, disk = psutil.virtual_memory(), psutil.disk_usage("/")
    assert found["host_memory_available_bytes", ""] == pytest.approx(memory.available, rel=0.05)
    assert found["host_memory_available_ratio", ""] == pytest.approx(
        memory.available / memory.total, rel=0.05
    )
    if ("host_filesystem_free_ratio", "/") in found:
        assert found["host_filesystem_free_ratio", "/"] == pytest.approx(1 - disk.percent / 100, abs=0.01)
        assert found["host_filesystem_free_bytes", "/"] == pytest.approx(disk.free, rel=0.01)
    assert found["host_load1", ""] == pytest.approx(psutil.getloadavg()[0], abs=0.5)
    assert found["host_threads", ""] == pytest.approx(
        sum(p.info["num_threads"] or 0 for p in psutil.process_iter(["num_threads"])), rel=0.3
    )


async def test_ratios_are_ratios_and_few_enough() -> None:
    watch = Watch()
    first = await watch.pull()
    await _pause(0.3)
    found = await watch.pull()
    assert 40 < len(found) < 400
    for (name, _), value in found.items():
        if name.endswith("_ratio") and value == value:
            assert 0 <= value <= 1, name
    modes = [value for (name, _), value in found.items() if name == "host_cpu_ratio"]
    assert sum(modes) == pytest.approx(1, abs=1e-6)
    assert all(first[key] != first[key] for key in first if key[0].endswith("_per_second")), "no rate yet"
    assert all(
        found[key] >= 0 for key in found if key[0].endswith("_per_second") and found[key] == found[key]
    )


async def test_costs_little() -> None:
    """Well under the 30 ms allowed; measured 3 ms with 90 processes, listing sockets (every 10 s) aside."""
    watch = Watch()
    for _ in range(3):
        await watch.pull()
    began = time.process_time()
    for _ in range(10):
        await watch.pull()
    assert (time.process_time() - began) / 10 < 0.030


async def test_same_series_keep_their_slots() -> None:
    watch = Watch()
    await watch.pull()
    await watch.pull()
    before = watch.index.capacity
    for _ in range(5):
        await watch.pull()
    assert watch.index.capacity <= before + 20


async def test_group_named_by_the_process(child: Callable[..., "subprocess.Popen[bytes]"]) -> None:
    name = f"drill-{os.getpid()}-of-a-test"
    child("print(flush=True); import time; time.sleep(60)", group=name)
    found = await settled(Watch(), lambda f: ("host_process_count", name) in f)
    assert found["host_process_count", name] == 1


async def test_group_by_title_uses_memory_and_processor(
    child: Callable[..., "subprocess.Popen[bytes]"],
) -> None:
    code = "x = bytearray(80 << 20); x[::4096] = b'1' * len(x[::4096]); print(flush=True)\nwhile True: pass"
    one = child(code, title="burner-7", group="")
    watch = Watch()
    key = ("host_process_cpu_cores", "burner")

    def heavy(found: dict[Key, float]) -> bool:
        return found.get(key, 0) > 0.3

    found = await settled(watch, heavy, within=20)
    real = psutil.Process(one.pid).memory_info().rss
    assert found["host_process_rss_bytes", "burner"] == pytest.approx(real, rel=0.1)
    assert found["host_process_threads", "burner"] == 1
    assert found[key] < 1.5


async def test_starts_are_counted(child: Callable[..., "subprocess.Popen[bytes]"]) -> None:
    code = "print(flush=True); import time; time.sleep(60)"
    child(code, group="phoenix")
    watch = Watch()
    found = await settled(watch, lambda f: ("host_process_count", "phoenix") in f)
    await _pause(0.3)
    found = await watch.pull()
    assert found["host_process_starts_per_second", "phoenix"] == 0
    child(code, group="phoenix")
    found = await settled(watch, lambda f: f["host_process_starts_per_second", "phoenix"] > 0)
    assert found["host_process_count", "phoenix"] == 2


async def test_a_young_group_ends_with_its_process(child: Callable[..., "subprocess.Popen[bytes]"]) -> None:
    one = child("print(flush=True); import time; time.sleep(60)", group="short")
    watch = Watch()
    await settled(watch, lambda f: ("host_process_count", "short") in f)
    one.kill()
    one.wait()
    assert not [key for key in await watch.pull() if key[1] == "short"]


# --- made-up hosts


class FakeHost:
    """A root folder with a /proc whose processes are written by hand; ticks are 1/100 s."""

    def __init__(self, root: Path) -> None:
        self.root, self.uptime = root, 10_000.0
        self.proc = root / "proc"
        self.proc.mkdir(parents=True)
        self.write("meminfo", "MemTotal: 1000000 kB\n")
        self.tick(0)

    def write(self, name: str, text: str) -> None:
        path = self.proc / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def tick(self, seconds: float) -> None:
        self.uptime += seconds
        self.write("uptime", f"{self.uptime:.2f} 0\n")

    def process(
        self, pid: int, argv: str, age: float, ticks: int = 0, rss_pages: int = 10, env: str = ""
    ) -> None:
        start = int((self.uptime - age) * 100)
        comm = os.path.basename(argv.split()[0])[:15]
        fields = ["S", *["0"] * 10, str(ticks), "0", *["0"] * 4, "1", "0", str(start), "0", str(rss_pages)]
        self.write(f"{pid}/stat", f"{pid} ({comm}) " + " ".join(fields))
        self.write(f"{pid}/cmdline", argv.replace(" ", "\0"))
        self.write(f"{pid}/environ", env)

    def end(self, pid: int) -> None:
        shutil.rmtree(self.proc / str(pid))


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
