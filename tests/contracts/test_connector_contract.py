"""What every pulled source must keep to, ours and third parties': it finds them by itself.

A new kind is tested as soon as its file lies on the shelf. A kind that needs more than its defaults to be
built says so in `EXAMPLES`: a function of an empty folder and of a running Prometheus API.
"""

import ast
import asyncio
import importlib
import inspect
import json
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from aiops.model.frame import Change, Frame, Lines
from aiops.model.series import NAME, SeriesIndex, labels_of
from aiops.plugin import Connector, Fatal, NotConnected, Plugin
from aiops.plugin.connector import Batch
from aiops.plugin.load import HOUSE, UnknownKind, kinds, load
from tests.database import free_port
from tests.kubernetes_server import api_server
from tests.loki_api import LokiApi
from tests.metrics_page import MetricsPage
from tests.prometheus_api import PrometheusApi
from tests.search_api import SearchApi

NOW = 1_700_000_040.0
SPAN = 60.0


def _file(folder: Path, api: PrometheusApi) -> dict[str, Any]:
    (folder / "a.log").write_text("one\ntwo ERROR\nhalf")
    return {"path": str(folder / "*.log"), "from_start": True}


def _prometheus(folder: Path, api: PrometheusApi) -> dict[str, Any]:
    times = [NOW - 400 + 5 * i for i in range(200)]
    api.add({NAME: "level", "job": "a"}, [(t, t % 7) for t in times])
    api.add({NAME: "jobs_total", "job": "a"}, [(t, 2 * (t - NOW + 400)) for t in times])
    return {"url": api.url, "select": ['{job="a"}'], "queries": [{"name": "q", "query": "level"}]}


STUBS = ExitStack()
"""Stubs that an example started; they end with the test."""


def _scrape(folder: Path, api: PrometheusApi) -> dict[str, Any]:
    page = STUBS.enter_context(MetricsPage())
    page.say("# TYPE a gauge\na 1\nb_total 5\n")
    return {"targets": [page.address]}


def _loki(folder: Path, api: PrometheusApi) -> dict[str, Any]:
    loki = STUBS.enter_context(LokiApi())
    loki.say(NOW - 1, "a line")
    return {"url": loki.url, "query": '{job="a"}'}


def _elasticsearch(folder: Path, api: PrometheusApi) -> dict[str, Any]:
    search = STUBS.enter_context(SearchApi())
    search.add(NOW - 1, "a line")
    return {"url": search.url}


def _journald(folder: Path, api: PrometheusApi) -> dict[str, Any]:
    if shutil.which("journalctl") is None:
        pytest.skip("journalctl is not installed")
    return {"directory": folder}


def _kubernetes(folder: Path, api: PrometheusApi) -> dict[str, Any]:
    server = STUBS.enter_context(api_server())
    server.put("pods", "web-1", status={"phase": "Running"}, creationTimestamp="2023-11-14T00:00:00Z")
    about = {"type": "Warning", "message": "a line", "lastTimestamp": "2023-11-14T22:13:50Z"}
    server.put("events", "e", body=about)
    (folder / "token").write_text(server.token)
    return {"api": server.url, "token": {"file": str(folder / "token")}}


EXAMPLES: dict[str, Callable[[Path, PrometheusApi], dict[str, Any]]] = {
    "elasticsearch": _elasticsearch,
    "file": _file,
    "journald": _journald,
    "kubernetes": _kubernetes,
    "loki": _loki,
    "prometheus": _prometheus,
    "scrape": _scrape,
    "syslog": lambda folder, api: {"udp": "127.0.0.1:0", "tcp": "127.0.0.1:0"},
}


def sources() -> list[str]:
    found = []
    for kind in kinds("connectors"):
        try:
            load("connectors", kind, Connector)
        except UnknownKind:
            continue  # a sink or a receiver: their own suites
        found.append(kind)
    return found


@pytest.fixture(params=sources())
def kind(request: pytest.FixtureRequest) -> type[Connector]:
    return load("connectors", request.param, Connector)


@pytest.fixture
async def make(kind: type[Connector], tmp_path: Path) -> AsyncIterator[Callable[..., Connector]]:
    """Builds the kind from its example, on an index; closes what it built."""
    made: list[Connector] = []
    with PrometheusApi() as api:
        fields = EXAMPLES[kind.kind](tmp_path, api) if kind.kind in EXAMPLES else {}

        def build(index: SeriesIndex | None = None, **more: Any) -> Connector:
            made.append(kind.model_validate({"name": "under test"} | fields | more))
            made[-1].open(index if index is not None else SeriesIndex())
            return made[-1]

        yield build
        for one in made:
            await one.close()
            await one.close()  # closing twice does no harm
        STUBS.close()


async def pulled(one: Connector, since: float = NOW - SPAN, until: float = NOW) -> list[Batch]:
    return [batch async for batch in one.pull(since, until)]


def frames(batches: list[Batch]) -> list[Frame]:
    return [batch for batch in batches if isinstance(batch, Frame)]


def test_there_are_sources() -> None:
    assert {"host", "prometheus", "file"} <= set(sources())


def test_is_documented(kind: type[Connector]) -> None:
    assert inspect.getdoc(kind) != inspect.getdoc(Connector), "a class docstring of its own"
    for model in [kind, *_nested(kind)]:
        for name, field in model.model_fields.items():
            text = field.description or ""
            assert text.endswith("."), f"{model.__name__}.{name} needs a description, a whole sentence"


def _nested(model: type[Plugin]) -> list[type[Plugin]]:
    """The blocks that its fields hold, wherever in their annotation."""
    module = importlib.import_module(model.__module__)
    texts = " ".join(repr(f.annotation) for f in model.model_fields.values())
    return [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Plugin)
        and value not in (Plugin, model)
        and f".{value.__name__}" in texts
    ]


def test_unknown_keys_are_refused(kind: type[Connector], make: Callable[..., Connector]) -> None:
    with pytest.raises(ValidationError, match="no_such_key"):
        make(no_such_key=1)


async def test_batches_are_well_formed(make: Callable[..., Connector]) -> None:
    index = SeriesIndex()
    batches = await pulled(make(index, labels={"team": "blue"}))
    assert batches, "the example must yield something"
    for batch in batches:
        if isinstance(batch, Frame):
            _check_frame(batch, index)
        elif isinstance(batch, Lines):
            assert len(batch.times) == len(batch.text) > 0
            assert ((batch.times > NOW - SPAN) & (batch.times <= NOW)).all()
            assert dict(batch.labels)["team"] == "blue"
        else:
            assert isinstance(batch, Change)
            assert NOW - SPAN < batch.time <= NOW


def _check_frame(frame: Frame, index: SeriesIndex) -> None:
    assert frame.times.dtype == np.float64
    assert frame.values.dtype == np.float64
    assert frame.slots.dtype == np.int32
    assert ((frame.times > NOW - SPAN) & (frame.times <= NOW)).all()
    assert (np.diff(frame.times) > 0).all()
    assert len(set(frame.slots.tolist())) == len(frame.slots) > 0
    assert not np.isinf(frame.values).any(), "an infinite value is no sample"
    for slot in frame.slots:
        labels = index.labels(int(slot))
        assert labels == labels_of(labels)
        assert dict(labels)["team"] == "blue"
        assert dict(labels)[NAME]


async def test_pulls_follow_each_other_and_keep_their_slots(make: Callable[..., Connector]) -> None:
    index = SeriesIndex()
    one = make(index)
    first = frames(await pulled(one, NOW - 2 * SPAN, NOW - SPAN))
    second = frames(await pulled(one, NOW - SPAN, NOW))
    third = frames(await pulled(one, NOW, NOW + SPAN))
    assert second
    assert third
    assert all((f.times <= NOW - SPAN).all() for f in first)
    named = {index.labels(int(s)): int(s) for f in second for s in f.slots}
    again = {index.labels(int(s)): int(s) for f in third for s in f.slots}
    common = named.keys() & again.keys()
    assert len(common) > len(named) / 2
    assert all(named[labels] == again[labels] for labels in common)


async def test_an_empty_span_yields_no_sample(make: Callable[..., Connector]) -> None:
    one = make()
    await pulled(one)
    for batch in frames(await pulled(one, NOW, NOW + 1e-6)):
        assert ((batch.times > NOW) & (batch.times <= NOW + 1e-6)).all()


async def test_snapshot_is_json_and_restores(make: Callable[..., Connector]) -> None:
    one = make()
    await pulled(one)
    kept = json.loads(json.dumps(one.snapshot()))
    other = make()
    other.restore(kept)
    assert json.loads(json.dumps(other.snapshot())) == kept, "not yet pulled: the same place"
    again = await pulled(other, NOW, NOW + SPAN)
    lines = [batch for batch in again if isinstance(batch, Lines)]
    assert not lines, "what was yielded before the snapshot does not come again"


async def test_restores_from_nothing(make: Callable[..., Connector]) -> None:
    one = make()
    one.restore({})
    assert await pulled(one)


async def test_past_yields_frames_of_the_span(make: Callable[..., Connector]) -> None:
    latest = -np.inf
    async for frame in make().past(NOW - SPAN, NOW):
        assert isinstance(frame, Frame)
        assert ((frame.times > NOW - SPAN) & (frame.times <= NOW)).all()
        assert frame.times[0] > latest, "oldest first"
        latest = frame.times[-1]


async def test_a_pull_can_be_given_up(make: Callable[..., Connector]) -> None:
    one = make()
    stream = one.pull(NOW - SPAN, NOW)
    await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]
    assert await pulled(one)
    task = asyncio.create_task(pulled(one, NOW, NOW + SPAN))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await pulled(one, NOW, NOW + SPAN)


async def test_errors_are_classified(kind: type[Connector], make: Callable[..., Connector]) -> None:
    if "url" not in kind.model_fields:
        pytest.skip("asks no server")
    with pytest.raises(NotConnected, match=r"127\.0\.0\.1"):
        await pulled(make(url=f"http://127.0.0.1:{free_port()}"))


def test_watches_a_query_or_says_that_it_cannot(make: Callable[..., Connector]) -> None:
    one = make()
    record = labels_of({NAME: "sli"})
    if type(one).watch is Connector.watch:
        with pytest.raises(Fatal, match="no query language"):
            one.watch(record, "up")
    else:
        one.watch(record, "up")


# --- the text of the plug-ins

FILES = sorted((HOUSE / "connectors").glob("*.py"))
MODULES_OF_SOURCES = [p for p in FILES if p.stem in sources() or p.stem.startswith("_")]
CLOCKS = {"time", "sched", "threading"}


@pytest.mark.parametrize("path", MODULES_OF_SOURCES, ids=lambda p: p.stem)
def test_reads_no_clock_and_never_sleeps(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            assert not CLOCKS & {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert (node.module or "").split(".")[0] not in CLOCKS
            assert not (node.module == "asyncio" and {"sleep", "timeout"} & {a.name for a in node.names})
        elif isinstance(node, ast.Attribute):
            assert node.attr not in ("sleep", "now", "utcnow", "today"), f"line {node.lineno}: {node.attr}"


def test_the_shelf_is_no_package() -> None:
    assert not (HOUSE / "connectors" / "__init__.py").exists()
