"""An engine follows its files, and outsiders hear that it is well as long as it is."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aiops.config.read import check, read
from aiops.engine.engine import Engine
from aiops.engine.follow import Follower
from aiops.engine.watchdog import Watchdogs
from aiops.testing import eventually
from tests.database import free_port
from tests.json_server import Asked, JsonServer, serving

SMALL = """
store: sqlite:///{folder}/forewarn.db
data: {folder}
sources: [{{kind: host, every: 200ms}}]
limits: [{{name: {name}, match: host_load1, breach: {{above: 1e9}}}}]
playbooks: [{folder}/playbooks]
{more}
"""
PLAYBOOK = "playbook: {}\nsteps: [{{x: {{action: command, argv: [/bin/true]}}}}]\nmatch: 'true'\n"


def write(folder: Path, name: str = "one", more: str = "") -> Path:
    (folder / "playbooks").mkdir(exist_ok=True)
    file = folder / "forewarn.yaml"
    file.write_text(SMALL.format(folder=folder, name=name, more=more))
    return file


async def started(file: Path) -> Engine:
    made = Engine(read(file), file)
    await made.start()
    return made


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    """A real engine that watches this host and follows its files."""
    made = await started(write(tmp_path, more="reload_every: 50ms"))
    yield made
    await made.stop()


async def test_a_changed_file_is_taken_up_by_itself(engine: Engine, tmp_path: Path) -> None:
    write(tmp_path, "two", "reload_every: 50ms")
    await eventually(lambda: [limit.name for limit in engine.config.limits] == ["two"])


async def test_a_changed_playbook_is_taken_up_by_itself(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "playbooks" / "a.yaml").write_text(PLAYBOOK.format("a"))
    await eventually(lambda: list(engine.playbooks()) == ["a"])


async def test_a_file_that_is_exchanged_by_a_link_is_taken_up(engine: Engine, tmp_path: Path) -> None:
    """As the kubelet exchanges a ConfigMap's: the folder behind a link is another one."""
    other = tmp_path / "..data"
    other.mkdir()
    text = SMALL.format(folder=tmp_path, name="linked", more="reload_every: 50ms")
    (other / "forewarn.yaml").write_text(text)
    link = tmp_path / "link"
    link.symlink_to(other / "forewarn.yaml")
    link.replace(tmp_path / "forewarn.yaml")
    await eventually(lambda: [limit.name for limit in engine.config.limits] == ["linked"])


async def test_a_bad_file_is_named_once_and_the_old_goes_on(
    engine: Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = engine.pipeline.state
    (tmp_path / "forewarn.yaml").write_text("sources: [{kind: hots}]\n")
    await eventually(lambda: "did you mean `host`" in caplog.text)
    await asyncio.sleep(0.2)
    assert caplog.text.count("did you mean `host`") == 1
    assert engine.pipeline.state is state
    write(tmp_path, "mended", "reload_every: 50ms")
    await eventually(lambda: [limit.name for limit in engine.config.limits] == ["mended"])


async def test_nothing_is_followed_unless_asked_for(tmp_path: Path) -> None:
    made = await started(write(tmp_path))
    try:
        assert made.config.reload_every == 0
        state, follower = made.pipeline.state, Follower(made)
        write(tmp_path, "two")
        # the task that follows runs, and leaves the file alone
        assert {task.get_name() for task in asyncio.all_tasks()} >= {"follow"}
        assert made.pipeline.state is state
        await follower.look()  # what the next look would do, were it asked for
        assert [limit.name for limit in made.config.limits] == ["two"]
    finally:
        await made.stop()


# --- watchdogs


async def watched(folder: Path, url: str, every: str = "60s") -> Engine:
    (folder / "address").write_text(url)
    return await started(
        write(folder, more=f"watchdogs: [{{address: {{file: {folder}/address}}, every: {every}}}]")
    )


def ok(_: Asked) -> tuple[int, object]:
    return 200, {}


async def test_a_watchdog_hears_again_and_again_that_all_is_well(tmp_path: Path) -> None:
    with serving(ok) as server:
        made = await watched(tmp_path, f"{server.url}/ping/s3cret", "100ms")
        try:
            await eventually(lambda: len(server.asked) >= 2)
            assert {one.path for one in server.asked} == {"/ping/s3cret"}
            assert made.metrics.registry.get_sample_value(
                "forewarn_watchdog_told_timestamp_seconds", {"place": "0"}
            )
        finally:
            await made.stop()


async def _silent(server: JsonServer, made: Engine) -> bool:
    dogs, before = Watchdogs(made), len(server.asked)
    await dogs.look(made.clock.now() + 1e6)
    return len(server.asked) == before


async def test_a_watchdog_hears_nothing_while_the_store_takes_no_writes(tmp_path: Path) -> None:
    with serving(ok) as server:
        made = await watched(tmp_path, server.url)
        try:
            await eventually(lambda: server.asked)
            made.pipeline.store_error = "database or disk is full"
            assert await _silent(server, made)
            made.pipeline.store_error = ""
            assert not await _silent(server, made)
        finally:
            made.pipeline.store_error = ""
            await made.stop()


async def test_a_watchdog_hears_nothing_while_the_pipeline_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("aiops.engine.watchdog.PATIENCE", 0.1)
    with serving(ok) as server:
        made = await watched(tmp_path, server.url)
        try:
            await eventually(lambda: server.asked)
            blocked = asyncio.Event()
            turn = made.pipeline._one

            async def stuck(item: object) -> None:
                await blocked.wait()
                await turn(item)  # type: ignore[arg-type]

            monkeypatch.setattr(made.pipeline, "_one", stuck)
            assert await _silent(server, made)
            assert "has not turned" in caplog.text
            blocked.set()
        finally:
            await made.stop()


async def test_a_deaf_watchdog_is_named_once_without_its_address(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    made = await watched(tmp_path, f"http://127.0.0.1:{free_port()}/ping/s3cret", "50ms")
    try:
        await eventually(lambda: "watchdog 0 cannot be told" in caplog.text)
        await Watchdogs(made).look(made.clock.now() + 1e6)
        assert "s3cret" not in caplog.text
    finally:
        await made.stop()


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ("{every: 1m}", "give either url or address"),
        ("{url: 'ftp://x'}", "expected an address"),
        ("{url: 'https://hc.example/x', address: {env: A}}", "give either url or address"),
        ("{url: 'https://hc.example/x', every: 0s}", "must be more than 0"),
    ],
)
def test_bad_watchdogs_are_refused(block: str, said: str) -> None:
    _, complaints = check(f"sources: [{{kind: host}}]\nwatchdogs: [{block}]\n", "f.yaml")
    assert said in complaints[0].message
