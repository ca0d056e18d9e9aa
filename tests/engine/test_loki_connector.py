"""The Loki source against a stub built from the documented API."""

import asyncio
import json
from collections.abc import Callable
from typing import Any, cast

import pytest

from aiops.model.frame import Lines
from aiops.model.series import SeriesIndex
from aiops.plugin import Connector, Fatal, NotConnected, Retryable
from aiops.plugin.load import load
from aiops.testing import eventually
from tests.loki_api import LokiApi

NOW = 1.7e9


def source(api: LokiApi, **fields: Any) -> Connector:
    values = {"name": "loki", "url": api.url, "query": '{job=~".+"}'} | fields
    made = load("connectors", "loki", Connector).model_validate(values)  # type: ignore[type-abstract]
    made.open(SeriesIndex())
    return made


async def lines(one: Connector, since: float, until: float) -> list[tuple[float, str]]:
    batches = [batch async for batch in one.pull(since, until)]
    return sorted(
        (at, text)
        for batch in batches
        if isinstance(batch, Lines)
        for at, text in zip(batch.times.tolist(), batch.text, strict=True)
    )


async def test_pages_of_any_size_lose_and_double_nothing() -> None:
    with LokiApi() as api:
        for n in range(50):
            api.say(NOW - 20 + n // 5, f"line {n}", job="ab"[n % 2])
        for limit in (6, 7, 11, 5000):
            one = source(api, limit=limit)
            found = await lines(one, NOW - 30, NOW)
            assert sorted(text for _, text in found) == sorted(f"line {n}" for n in range(50))
            assert all(form["direction"] == "forward" for form in api.requests)
            await one.close()


async def test_late_lines_come_once_and_a_restart_goes_on() -> None:
    with LokiApi() as api:
        one = source(api)
        api.say(NOW - 5, "early")
        assert await lines(one, NOW - 10, NOW) == [(NOW - 5, "early")]
        api.say(NOW - 7, "late")
        api.say(NOW + 3, "next")
        assert await lines(one, NOW, NOW + 5) == [(NOW + 3, "next"), (NOW + 5, "late")]
        other = source(api)
        other.restore(json.loads(json.dumps(one.snapshot())))
        api.say(NOW + 7, "after")
        assert await lines(other, NOW + 5, NOW + 10) == [(NOW + 7, "after")]
        await one.close()
        await other.close()


async def test_a_line_at_the_edge_of_two_pulls_comes_once() -> None:
    with LokiApi() as api:
        one = source(api, overlap=0)
        api.say(NOW, "edge")
        found = await lines(one, NOW - 5, NOW) + await lines(one, NOW, NOW + 5)
        assert found == [(NOW, "edge")]
        await one.close()


async def test_labels_tenant_and_metadata() -> None:
    with LokiApi(tenant="team-a") as api:
        api.say(NOW - 1, "x", {"trace_id": "abc"}, job="api", pod="p1")
        one = source(api, tenant="team-a", structured=True, labels={"service": "shop"})
        (batch,) = [b async for b in one.pull(NOW - 5, NOW) if isinstance(b, Lines)]
        assert dict(batch.labels) == {"job": "api", "pod": "p1", "service": "shop", "trace_id": "abc"}
        plain = source(api, tenant="team-a")
        (batch,) = [b async for b in plain.pull(NOW - 5, NOW) if isinstance(b, Lines)]
        assert dict(batch.labels) == {"job": "api", "pod": "p1"}
        wrong = source(api)
        with pytest.raises(Fatal, match="401: no org id"):
            await lines(wrong, NOW - 5, NOW)
        for each in (one, plain, wrong):
            await each.close()


@pytest.mark.parametrize(
    ("status", "headers", "kind", "after"),
    [
        (429, {"Retry-After": "7"}, Retryable, 7.0),
        (500, {}, Retryable, None),
        (503, {"Retry-After": "30"}, Retryable, 30.0),
        (400, {}, Fatal, None),
    ],
)
async def test_failures_are_classified_and_the_span_can_be_asked_again(
    status: int, headers: dict[str, str], kind: type[Exception], after: float | None
) -> None:
    with LokiApi() as api:
        api.say(NOW - 1, "x")
        api.fail.append((status, headers, b"too many outstanding requests"))
        one = source(api)
        with pytest.raises(kind) as caught:
            await lines(one, NOW - 5, NOW)
        assert getattr(caught.value, "after", None) == after
        assert await lines(one, NOW - 5, NOW) == [(NOW - 1, "x")]
        await one.close()


async def test_what_is_no_loki_or_no_log_query_says_so() -> None:
    with LokiApi() as api:
        api.fail.append((200, {}, b"<html>"))
        matrix = {"status": "success", "data": {"resultType": "matrix", "result": []}}
        api.fail.append((200, {}, json.dumps(matrix).encode()))
        one = source(api)
        with pytest.raises(Retryable):
            await lines(one, NOW - 5, NOW)
        with pytest.raises(Retryable, match="not lines"):
            await lines(one, NOW - 5, NOW)
        await one.close()
    with pytest.raises(NotConnected):
        await lines(one, NOW - 5, NOW)
    await one.close()


async def gathered(
    one: Connector, since: float, until: float, done: Callable[[list[str]], bool]
) -> list[str]:
    """Lines of pulls, made until there are enough: a tail gives when it gives."""
    found: list[str] = []

    async def pull() -> bool:
        found.extend(text for _, text in await lines(one, since, until))
        return done(found)

    for _ in range(200):
        if await pull():
            break
        await asyncio.sleep(0.01)
    return found


async def test_a_tail_brings_lines_without_asking_and_nothing_twice() -> None:
    with LokiApi(tenant="team-a") as api:
        one = source(api, tail=True, tenant="team-a", structured=True)
        api.say(NOW - 3, "before the tail")
        assert await lines(one, NOW - 5, NOW) == [(NOW - 3, "before the tail")]
        await eventually(lambda: api.tails == 1)
        api.say(NOW + 1, "in the gap", {"trace_id": "abc"})
        assert await gathered(one, NOW, NOW + 5, bool) == ["in the gap"]
        asked = len(api.requests)
        api.say(NOW + 6, "by the tail", {"trace_id": "def"})
        assert await gathered(one, NOW + 5, NOW + 10, bool) == ["by the tail"]
        assert len(api.requests) == asked, "the tail has given all"
        # after an overlap all is asked for again, and what the tail gave is known
        assert await lines(one, NOW + 10, NOW + 60) == []
        assert len(api.requests) == asked + 1
        await one.close()
        while api.tails:  # a server learns by its second write that nobody listens
            api.say(NOW + 61, "nobody listens")
            await asyncio.sleep(0.01)


async def test_what_a_tail_drops_or_misses_while_loki_restarts_is_asked_for() -> None:
    with LokiApi() as api:
        one = source(api, tail=True)
        assert await lines(one, NOW - 5, NOW) == []
        await eventually(lambda: api.tails == 1)
        assert await lines(one, NOW, NOW + 1) == []
        api.drop_next = 1
        api.say(NOW + 2, "dropped by the tail")
        api.say(NOW + 2, "kept by the tail")
        both = ["dropped by the tail", "kept by the tail"]
        assert sorted(await gathered(one, NOW + 1, NOW + 5, lambda found: len(found) >= 2)) == both
        api.stop()
        tail = cast(Any, one)._tail
        await eventually(lambda: not tail._connected)
        api.say(NOW + 7, "while it was away")
        with pytest.raises(NotConnected):
            await lines(one, NOW + 5, NOW + 8)
        api.start()
        assert await lines(one, NOW + 5, NOW + 9) == [(NOW + 7, "while it was away")]
        await eventually(lambda: api.tails == 1)
        api.say(NOW + 10, "after")
        assert await gathered(one, NOW + 9, NOW + 12, bool) == ["after"]
        kept = json.loads(json.dumps(one.snapshot()))
        await one.close()
        other = source(api, tail=True)
        other.restore(kept)
        assert await lines(other, NOW + 12, NOW + 13) == []
        await other.close()
