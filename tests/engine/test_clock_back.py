"""A clock that was put back, or that differs from another machine's, makes nobody blind or silent."""

import logging
from email.utils import formatdate
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from aiops.engine.watermark import acted_until
from aiops.plugin import Fatal, Retryable
from aiops.plugin.http import HttpSink, apart
from aiops.plugin.sink import Message, TicketRef

NOW = 1_767_225_600.0


def test_a_watermark_of_the_future_is_not_believed(caplog: pytest.LogCaptureFixture) -> None:
    state: Any = SimpleNamespace(acted_until={"host": NOW + 3600, "prod": NOW + 30})
    with caplog.at_level(logging.WARNING):
        assert acted_until(state, "host", NOW) == NOW
    assert "a clock was put back" in caplog.text
    assert acted_until(state, "host", NOW + 10) == NOW, "it is said once, and goes on from there"
    assert acted_until(state, "prod", NOW) == NOW + 30, "samples may be a little ahead"
    assert acted_until(state, "new", NOW) == 0.0


class Signed(HttpSink):
    async def create(self, message: Message) -> TicketRef:
        await self._ask("POST", now=NOW, data={})
        return TicketRef("1")

    async def update(self, ref: str, message: Message) -> None:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("off", "kind"), [(0.0, Fatal), (100.0, Fatal), (3600.0, Retryable), (-3600.0, Retryable)]
)
async def test_a_signature_refused_for_the_time_is_no_dead_letter(
    off: float, kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = Signed(url="http://127.0.0.1:9/")
    said = httpx.Headers({"date": formatdate(NOW + off, usegmt=True)})

    async def exchange(_: object) -> tuple[int, httpx.Headers, bytes]:
        return 401, said, b"bad signature"

    monkeypatch.setattr(Signed, "_exchange", lambda self, request: exchange(request))
    with pytest.raises(kind) as raised:
        await sink.create(Message("1", "k", "opened", NOW, {}))
    await sink.close()
    if kind is Retryable:
        assert "3600 s apart" in str(raised.value)


def test_a_server_that_says_no_time_is_not_judged() -> None:
    assert apart(httpx.Headers(), NOW) == 0.0
    assert apart(httpx.Headers({"date": "soon"}), NOW) == 0.0
    assert apart(httpx.Headers({"date": formatdate(NOW - 9, usegmt=True)}), NOW) == pytest.approx(9)
