"""Correlation: what a piece of work is about is in every line within it, and in the answer."""

import asyncio
import errno
import io
import json
import logging
from pathlib import Path

import httpx
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from aiops.cli import logs
from aiops.cli.json_lines import JsonLines
from aiops.config.discretion import Discretion
from aiops.engine.trace import Traced, about, begin, request_id, tracing
from aiops.web.named import HEADER, Named

log = logging.getLogger("tests.trace")


class Full(io.StringIO):
    """As a file on a full disk."""

    def write(self, _: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def listening() -> tuple[io.StringIO, logging.Handler]:
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.addFilter(Traced())
    handler.setFormatter(JsonLines())
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    return out, handler


async def test_a_task_is_about_what_it_was_begun_for_and_nothing_else_is() -> None:
    out, handler = listening()
    done: list[str] = []

    async def work() -> None:
        await asyncio.sleep(0)
        log.info("tried")

    try:
        with tracing(request="r-1"):
            await begin(work(), "one", lambda task: done.append(task.get_name()), problem=42, delivery=7)
            assert about() == {"request": "r-1"}
        log.info("after")
    finally:
        log.removeHandler(handler)
    first, second = (json.loads(line) for line in out.getvalue().splitlines())
    assert (first["request"], first["problem"], first["delivery"]) == ("r-1", "42", "7")
    assert "problem" not in second
    await asyncio.sleep(0)
    assert done == ["one"]


async def test_a_request_has_one_name_in_answer_and_log() -> None:
    seen: list[dict[str, str]] = []

    async def page(_: object) -> PlainTextResponse:
        seen.append(about())
        return PlainTextResponse("here")

    app = httpx.ASGITransport(Named(Starlette(routes=[Route("/", page)])))
    async with httpx.AsyncClient(transport=app, base_url="http://here") as client:
        given = await client.get("/", headers={HEADER: "abc-12345"})
        assert given.headers[HEADER] == "abc-12345"
        for odd in ("short", "two words, one header", "x" * 65, "\x7f" * 9):
            made = (await client.get("/", headers={HEADER: odd})).headers[HEADER]
            assert made != odd
            assert len(made) == 16
        parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        await client.get("/", headers={HEADER: "abc-12345", "traceparent": parent})
    assert seen[0] == {"request": "abc-12345"}
    assert seen[-1] == {"request": "abc-12345", "trace_id": "0af7651916cd43dd8448eb211c80319c"}
    assert request_id("ünïcödé-1") != "ünïcödé-1"


def test_the_last_lines_are_kept_and_read_back(tmp_path: Path) -> None:
    root = logging.getLogger()
    before = list(root.handlers)
    clean = Discretion(["hunter2hunter2"])
    logs.keep(tmp_path, clean, now=2e9)
    (kept,) = [handler for handler in root.handlers if handler not in before]
    try:
        for number in range(5):
            root.warning("line %d hunter2hunter2", number)
    finally:
        root.removeHandler(kept)
        kept.close()
    found = [json.loads(line)["message"] for line in logs.last(tmp_path, 3)]
    assert found == ["line 2 ***", "line 3 ***", "line 4 ***"]


def test_a_disk_that_is_full_stops_no_line_of_others(tmp_path: Path) -> None:
    kept = logs.Kept(tmp_path / "kept.log", delay=True)
    kept.stream = Full()
    kept.emit(logging.LogRecord("x", logging.INFO, "f", 1, "hello", (), None))
    kept.close()
    file = tmp_path / "in the way"
    file.write_text("")
    before = list(logging.getLogger().handlers)
    logs.keep(file, Discretion(), now=0.0)
    assert logging.getLogger().handlers == before
