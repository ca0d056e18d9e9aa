"""The Prometheus source against a real Prometheus and a real VictoriaMetrics that scrape a real exporter."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiops.model.frame import Frame
from aiops.model.series import SeriesIndex, labels_of
from aiops.plugin import Connector, Fatal, NotConnected
from aiops.plugin.load import load
from tests.e2e.servers import (
    Server,
    get_json,
    node_exporter,
    probe_job,
    prometheus,
    scrape_job,
    until,
    victoria_metrics,
)

pytestmark = pytest.mark.e2e


@dataclass
class Lab:
    """A server that scrapes an exporter every second. Booting takes seconds, so tests share one."""

    folder: Path
    node: Server
    server: Server
    topic: str = ""
    """Names this test's own metrics."""

    @property
    def select(self) -> list[str]:
        return [f'{{__name__=~"up|{self.topic}_.*", job="node"}}']

    @property
    def jobs(self) -> str:
        return f"{self.topic}_jobs_total"

    @property
    def level(self) -> str:
        return f"{self.topic}_level"

    def write(self, count: float, level: float = 5.0) -> None:
        """What the exporter serves next: a counter and a gauge."""
        path = self.folder / "textfiles" / f"{self.topic}.tmp"
        path.write_text(
            f"# TYPE {self.jobs} counter\n{self.jobs} {count}\n"
            f"# TYPE {self.level} gauge\n{self.level} {level}\n"
        )
        path.rename(path.with_suffix(".prom"))


@pytest.fixture(scope="module", params=[prometheus, victoria_metrics], ids=["prometheus", "victoria_metrics"])
def booted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("lab")
    node = node_exporter(folder)
    server = request.param(folder, [scrape_job("node", node.address)])
    for name in [name for name in globals() if name.startswith("test_")]:
        # VictoriaMetrics takes about 10 s to find a name it has just met: let all meet at once
        Lab(folder, node, server, name.removeprefix("test_")).write(0.0)
    with node, server:
        until(lambda: samples(server, "up"), within=30, what="first scrape")
        yield Lab(folder, node, server)


@pytest.fixture
def lab(booted: Lab, request: pytest.FixtureRequest) -> Lab:
    """The booted servers with metrics of this test's own, already scraped."""
    topic = request.node.originalname.removeprefix("test_")
    mine = replace(booted, topic=topic)
    mine.write(0.0)
    until(lambda: samples(mine.server, mine.level), within=30, what="the new metrics")
    return mine


def samples(server: Server, query: str) -> list[Any]:
    url = f"{server.url}/api/v1/query?nocache=1&time={time.time():.3f}&query={query}"
    return list(get_json(url)["data"]["result"])


class Watch:
    """A source that is pulled as the engine would pull it; keeps all it yields."""

    def __init__(self, url: str, **fields: Any) -> None:
        kind = load("connectors", "prometheus", Connector)
        self.source = kind.model_validate({"name": "real", "url": url, "every": "1s", **fields})
        self.index = SeriesIndex()
        self.source.open(self.index)
        self.since = time.time()
        self.rows: list[tuple[float, dict[str, float]]] = []

    async def pull(self) -> None:
        now = time.time()
        async for frame in self.source.pull(self.since, now):
            assert isinstance(frame, Frame)
            assert ((frame.times > self.since) & (frame.times <= now)).all()
            self.rows += self.named(frame)
        self.since = now

    def named(self, frame: Frame) -> Iterator[tuple[float, dict[str, float]]]:
        names = [dict(self.index.labels(slot))["__name__"] for slot in frame.slots]
        for time_, row in zip(frame.times, frame.values, strict=True):
            yield float(time_), dict(zip(names, map(float, row), strict=True))

    async def during(
        self, seconds: float, each: Callable[[], object] = lambda: None
    ) -> list[dict[str, float]]:
        """Pull about every 250 ms; the rows of that time."""
        before = len(self.rows)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            each()
            await self.pull()
            await asyncio.sleep(0.25)
        return [row for _, row in self.rows[before:]]


@pytest.fixture
async def watching() -> AsyncIterator[Callable[..., Watch]]:
    made: list[Watch] = []

    def make(url: str, **fields: Any) -> Watch:
        made.append(Watch(url, **fields))
        return made[-1]

    yield make
    for one in made:
        await one.source.close()


def newest(rows: list[dict[str, float]], name: str) -> float:
    """The last value of the last three rows: a step may come before its sample is stored."""
    found = column(rows[-3:], name)
    return float(found[np.isfinite(found)][-1])


def column(rows: list[dict[str, float]], name: str) -> np.ndarray:
    return np.array([row.get(name, np.nan) for row in rows])


async def test_counter_is_a_rate_and_fresh(lab: Lab, watching: Callable[..., Watch]) -> None:
    watch = watching(lab.server.url, select=lab.select)
    began = time.time()
    rows = await watch.during(6, lambda: lab.write(100 + 20 * (time.time() - began), level=7.0))
    rates = column(rows[3:], lab.jobs)
    assert np.nanmean(rates) == pytest.approx(20, rel=0.3)
    assert newest(rows, lab.level) == 7.0
    assert time.time() - watch.rows[-1][0] < 3
    assert np.isfinite(rates).mean() > 0.6


async def test_counter_reset_counts_from_zero(lab: Lab, watching: Callable[..., Watch]) -> None:
    lab.write(1000)
    await asyncio.sleep(2.5)
    watch = watching(lab.server.url, select=lab.select)
    lab.write(3)
    rates = column(await watch.during(4), lab.jobs)
    assert np.nanmin(rates) >= 0
    # 3 since the restart, by the gap between two scrapes: 1 s, or a few on a busy machine
    assert 3 / 4 <= np.nansum(rates) <= 3.5


async def test_dead_exporter_shows_at_once_and_comes_back(lab: Lab, watching: Callable[..., Watch]) -> None:
    watch = watching(lab.server.url, select=lab.select)
    await watch.during(3)
    lab.node.kill()
    down = (await watch.during(4.5))[-2:]
    assert (column(down, "up") == 0).any()
    assert np.isnan(column(down, lab.level)).all(), "a dead target's series must not be drawn on"
    lab.node.start()
    back = await watch.during(4)
    assert newest(back, "up") == 1
    assert newest(back, lab.level) == 5.0


async def test_catches_up_after_a_pause_without_doubling(lab: Lab, watching: Callable[..., Watch]) -> None:
    watch = watching(lab.server.url, select=lab.select)
    await watch.during(2)
    await asyncio.sleep(4)
    await watch.during(1)
    times = [t for t, _ in watch.rows]
    assert times == sorted(set(times))
    assert np.diff(times).max() == pytest.approx(1.0)
    assert np.isfinite(column([row for _, row in watch.rows][-5:], "up")).sum() >= 4


async def test_history_bootstraps_with_rates(lab: Lab, watching: Callable[..., Watch]) -> None:
    began = time.time()
    while time.time() - began < 5:
        lab.write(50 * (time.time() - began))
        await asyncio.sleep(0.3)
    watch = watching(lab.server.url, select=lab.select, history="1d")
    now = time.time()
    frames = [frame async for frame in watch.source.past(now - 86400, now)]
    assert frames
    # chunks hold raw samples, as a query over a window gives them: the same fine steps come of both
    assert watch.source._reads is (lab.server.name == "prometheus")  # type: ignore[attr-defined]
    asking = watching(lab.server.url, select=lab.select, history="1d", remote_read=False)
    asked = [frame async for frame in asking.source.past(now - 86400, now)]
    assert asked[-1].times.tolist() == frames[-1].times.tolist()
    for (_, one), (_, other) in zip(watch.named(frames[-1]), asking.named(asked[-1]), strict=True):
        assert one == pytest.approx(other, nan_ok=True)
    assert all((np.diff(frame.times) > 0).all() for frame in frames)
    rows = [row for frame in frames for _, row in watch.named(frame)]
    rates = column(rows, lab.jobs)
    assert np.nanmax(rates) == pytest.approx(50, rel=0.8)
    assert np.isfinite(column(rows, "up")).sum() >= 5


async def test_sli_query_and_named_queries(lab: Lab, watching: Callable[..., Watch]) -> None:
    watch = watching(
        lab.server.url,
        labels={"env": "lab"},
        queries=[{"name": "nodes", "query": "count(up)", "labels": {"a": "b"}}],
    )
    sli = labels_of({"__name__": "sli", "sli": "level"})
    watch.source.watch(sli, f'max({lab.level}{{job="node"}})')
    rows = await watch.during(2.5)
    assert newest(rows, "nodes") == 1
    assert newest(rows, "sli") == 5.0
    assert watch.index.find(sli) is not None
    assert watch.index.find(labels_of({"__name__": "nodes", "a": "b", "env": "lab"})) is not None


async def test_sli_query_of_several_series_has_no_value(
    lab: Lab, watching: Callable[..., Watch], caplog: pytest.LogCaptureFixture
) -> None:
    watch = watching(lab.server.url, select=lab.select)
    watch.source.watch(labels_of({"__name__": "sli"}), lab.select[0])
    rows = await watch.during(2)
    assert "sli" not in rows[-1]
    assert rows[-1][lab.level] == 5.0, "the rest of the source goes on"
    assert caplog.text.count("aggregate it") == 1


async def test_bad_query_is_fatal_with_the_servers_words(lab: Lab, watching: Callable[..., Watch]) -> None:
    watch = watching(lab.server.url, queries=[{"name": "broken", "query": "sum(up"}])
    await asyncio.sleep(1.1)
    with pytest.raises(Fatal, match=r"paren|token"):
        await watch.pull()


async def test_gone_and_hanging_servers(lab: Lab, watching: Callable[..., Watch]) -> None:
    watch = watching(lab.server.url, select=lab.select, timeout="500ms")
    await watch.during(1.5)
    os.kill(lab.server.pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(1.1)
        with pytest.raises(Exception, match="in time") as hung:
            await watch.pull()
        assert type(hung.value).__name__ == "Retryable"
    finally:
        os.kill(lab.server.pid, signal.SIGCONT)
    lab.server.kill()
    with pytest.raises(NotConnected):
        await watch.pull()
    lab.server.start()
    until(lambda: samples(lab.server, "up[2s]"), within=30, what="a scrape after the restart")
    assert 1 in column(await watch.during(2.5), "up")


async def test_probe_of_nginx(
    folder: Path, blackbox: Server, nginx: Any, watching: Callable[..., Watch]
) -> None:
    job = probe_job("web", blackbox, nginx.url, labels={"service": "web"})
    with prometheus(folder, [job]) as server:
        until(lambda: samples(server, "probe_success"), what="first probe")
        watch = watching(server.url, select=['probe_success{service="web"}'])
        assert newest(await watch.during(2.5), "probe_success") == 1
        nginx.kill()
        assert newest(await watch.during(3), "probe_success") == 0


def test_exporter_restarts_on_its_own_port(folder: Path) -> None:
    with node_exporter(folder) as node:
        first = node.pid
        node.kill()
        node.start()
        assert node.pid != first
