"""Receivers over HTTP on a real engine: what is answered, and that what is taken reaches the detectors."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from starlette.applications import Starlette

from aiops.config import Config
from aiops.engine.engine import Engine
from aiops.engine.receive import Front, Receiving
from aiops.model.frame import Frame
from aiops.model.series import labels_of
from aiops.testing import FakeClock, eventually
from aiops.web.app import create_app
from tests.bench import gen

START = 1_767_225_600
UP = [("__name__", "up"), ("job", "api")]
WRITE = "/receive/push/api/v1/write"


@contextlib.asynccontextmanager
async def receiving(
    folder: Path, **settings: Any
) -> AsyncIterator[tuple[Engine, httpx.AsyncClient, Receiving]]:
    """An engine with one remote_write source `push`, and a client of what it mounts."""
    config = Config.model_validate(
        {
            "store": f"sqlite:///{folder / 'forewarn.db'}",
            "data": str(folder),
            "sources": [{"kind": "remote_write", "name": "push"} | settings],
        }
    )
    engine = Engine(config, clock=FakeClock(START))
    await engine.start()
    mounted = engine.receiving
    transport = httpx.ASGITransport(Front(Starlette(), mounted))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        yield engine, client, mounted
    await engine.stop()


def body(*series: tuple[gen.Pairs, list[gen.Sample]]) -> bytes:
    return gen.pack(gen.message(series))


def up(at: float, value: float = 1.0) -> bytes:
    return body((UP, [(int(at * 1000), value)]))


async def test_what_is_pushed_is_scored_and_learnt(tmp_path: Path) -> None:
    async with receiving(tmp_path, labels={"team": "web"}) as (engine, client, mounted):
        for tick in range(40):
            answer = await client.post(WRITE, content=up(START + tick, tick % 3))
            assert answer.status_code == 204
        slot = engine.index.find(labels_of({"__name__": "up", "job": "api", "team": "web"}))
        assert slot is not None
        await eventually(lambda: len(engine.recent.points(slot)["times"]) == 40)
        assert engine.ready_slots()[slot]
        (health,) = mounted.health()
        assert (health.name, health.series, health.samples, health.error) == ("push", 1, 40, "")
        assert engine.sources() == [health]


async def test_series_whose_senders_interleave_are_all_acted_on(tmp_path: Path) -> None:
    other = [("__name__", "other")]
    async with receiving(tmp_path) as (engine, client, _):
        for tick in range(5):
            await client.post(WRITE, content=up(START + 10 * tick + 5))
            await client.post(WRITE, content=body((other, [((START + 10 * tick) * 1000, 1.0)])))
        slots = engine.index.slots([labels_of(UP), labels_of(other)]).tolist()
        await eventually(lambda: [len(engine.recent.points(s)["times"]) for s in slots] == [5, 5])


async def test_version_2_says_how_much_it_has_taken(tmp_path: Path) -> None:
    kind = "application/x-protobuf;proto=io.prometheus.write.v2.Request"
    async with receiving(tmp_path) as (_, client, _):
        raw = gen.pack(gen.message_2([(UP, [(START * 1000, 1.0)])]))
        answer = await client.post(WRITE, content=raw, headers={"Content-Type": kind})
        assert answer.status_code == 204
        assert answer.headers["x-prometheus-remote-write-samples-written"] == "1"


async def test_native_histograms_are_counted(tmp_path: Path) -> None:
    async with receiving(tmp_path) as (engine, client, mounted):
        native = gen.field(4, b"\x08\x01")
        series = gen.field(1, gen.labels(UP) + native)
        answer = await client.post(WRITE, content=gen.pack(series))
        assert answer.status_code == 204
        mounted.health()
        sample = {"source": "push", "fate": "native"}
        assert engine.metrics.registry.get_sample_value("forewarn_received_samples_total", sample) == 1


async def test_what_cannot_be_read_is_refused_with_its_place(tmp_path: Path) -> None:
    async with receiving(tmp_path) as (engine, client, mounted):
        answer = await client.post(WRITE, content=gen.pack(b"\x0a\xff"))
        assert (answer.status_code, answer.text) == (400, "byte 0: the message is cut off, or no protobuf\n")
        assert mounted.health()[0].error.startswith("byte 0")
        assert (await client.post(WRITE, content=b"plain text")).status_code == 400
        plain = await client.post(WRITE, content=b"", headers={"Content-Encoding": "gzip"})
        assert plain.status_code == 415
        assert len(engine.index) == 0


async def test_places_that_are_none(tmp_path: Path) -> None:
    async with receiving(tmp_path) as (_, client, _):
        assert (await client.post("/receive/nobody/api/v1/write")).status_code == 404
        assert (await client.post("/receive/push/api/v2/write")).status_code == 404
        answer = await client.get(WRITE)
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_series_beyond_the_cap_are_refused_and_the_others_taken(tmp_path: Path) -> None:
    async with receiving(tmp_path, max_series=1) as (engine, client, _):
        both = body((UP, [(START * 1000, 1.0)]), ([("__name__", "more")], [(START * 1000, 1.0)]))
        answer = await client.post(WRITE, content=both)
        assert answer.status_code == 400
        assert "1 new series beyond the cap of 1" in answer.text
        assert len(engine.index) == 1
        sample = {"source": "push", "fate": "over_cap"}
        assert engine.metrics.registry.get_sample_value("forewarn_received_samples_total", sample) == 1
        web = httpx.ASGITransport(create_app(engine))
        async with httpx.AsyncClient(transport=web, base_url="http://127.0.0.1:8750") as visitor:
            (told,) = (await visitor.get("/api/v1/sources")).json()["items"]
            limits = {name: told[name] for name in ("max_series", "counted", "over_cap", "refused")}
            assert limits == {"max_series": 1, "counted": 1, "over_cap": 1, "refused": 0}
            page = (await visitor.get("/sources")).text
            assert "1 of at most 1<" in page
            assert "1 sample of series beyond max_series was left out" in page


async def test_samples_beyond_the_rate_are_told_when_to_come_again(tmp_path: Path) -> None:
    async with receiving(tmp_path, samples_per_second=1) as (engine, client, _):
        many = body((UP, [((START + k) * 1000, 1.0) for k in range(30)]))
        assert (await client.post(WRITE, content=many)).status_code == 204
        answer = await client.post(WRITE, content=up(START + 100))
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "20")
        await engine.clock.advance(20)  # type: ignore[attr-defined]
        assert (await client.post(WRITE, content=up(START + 100))).status_code == 204


async def test_a_page_in_a_browser_may_not_push(tmp_path: Path) -> None:
    async with receiving(tmp_path) as (engine, client, _):
        headers = {"Origin": "http://elsewhere.example", "Content-Type": "text/plain"}
        assert (await client.post(WRITE, content=up(START), headers=headers)).status_code == 403
        assert len(engine.index) == 0


async def test_large_bodies_are_refused(tmp_path: Path) -> None:
    async with receiving(tmp_path, most_body=10) as (_, client, _):
        assert (await client.post(WRITE, content=up(START))).status_code == 413


async def test_a_token_is_asked_for_where_one_is_set(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    async with receiving(tmp_path, bearer={"file": str(tmp_path / "token")}) as (_, client, _):
        assert (await client.post(WRITE, content=up(START))).status_code == 401
        wrong = await client.post(WRITE, content=up(START), headers={"Authorization": "Bearer guess"})
        assert wrong.status_code == 401
        right = await client.post(WRITE, content=up(START), headers={"Authorization": "Bearer s3cret"})
        assert right.status_code == 204


async def test_a_sender_waits_while_the_pipeline_is_behind_and_loses_nothing(tmp_path: Path) -> None:
    async with receiving(tmp_path) as (engine, client, _):
        stuck = asyncio.Event()
        queue = engine.pipeline.queue
        held = asyncio.create_task(_hold(engine, stuck))
        await eventually(queue.full)
        sending = asyncio.create_task(client.post(WRITE, content=up(START)))
        for _ in range(8):
            await engine.clock.advance(1.0)  # type: ignore[attr-defined]
        answer = await sending
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "5")
        assert engine.index.find(labels_of(UP)) is None
        stuck.set()
        await held
        await eventually(lambda: not queue.full())
        assert (await client.post(WRITE, content=up(START))).status_code == 204
        slot = engine.index.find(labels_of(UP))
        assert slot is not None
        await eventually(lambda: len(engine.recent.points(slot)["times"]) == 1)


async def _hold(engine: Engine, until: asyncio.Event) -> None:
    """Let the pipeline stand still, with a full queue."""
    take = engine.pipeline.take

    async def slow(source: str, frame: Any) -> None:
        await until.wait()
        await take(source, frame)

    engine.pipeline.take = slow  # type: ignore[method-assign]
    empty = Frame(np.zeros(0), np.zeros(0, np.int32), np.zeros((0, 0)))
    for _ in range(engine.pipeline.queue.maxsize + 1):
        await engine.pipeline.queue.put(("push", empty))
