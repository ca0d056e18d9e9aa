"""The Elasticsearch source against a stub in the documented shapes."""

import json
from typing import Any

import pytest

from aiops.model.frame import Lines
from aiops.model.series import SeriesIndex
from aiops.plugin import Connector, Fatal, Retryable
from aiops.plugin.load import load
from tests.search_api import SearchApi

NOW = 1.7e9


def source(api: SearchApi, **fields: Any) -> Connector:
    kind = load("connectors", "elasticsearch", Connector)  # type: ignore[type-abstract]
    made = kind.model_validate({"name": "es", "url": api.url} | fields)
    made.open(SeriesIndex())
    return made


async def texts(one: Connector, since: float, until: float) -> list[str]:
    batches = [batch async for batch in one.pull(since, until)]
    return [text for batch in batches if isinstance(batch, Lines) for text in batch.text]


async def test_pages_of_any_size_lose_and_double_nothing_and_late_documents_come_once() -> None:
    with SearchApi() as api:
        for n in range(40):
            api.add(NOW - 20 + n // 4, f"line {n}")
        for limit in (5, 7, 5000):
            one = source(api, limit=limit)
            assert sorted(await texts(one, NOW - 30, NOW)) == sorted(f"line {n}" for n in range(40))
            api.add(NOW - 3, "late")
            other = source(api, limit=limit)
            other.restore(json.loads(json.dumps(one.snapshot())))
            assert await texts(other, NOW, NOW + 10) == ["late"]
            api.documents.pop()
            await one.close()
            await other.close()


async def test_labels_levels_and_lines_are_taken_from_fields_nested_or_dotted() -> None:
    with SearchApi() as api:
        api.add(NOW - 2, "no route", **{"log": {"level": "error"}, "host": {"name": "web-1"}})
        api.add(NOW - 1, "fine", **{"log.level": "info", "service.name": "shop"})
        api.documents.append((round(NOW * 1000), "x", {"other": 1}))
        one = source(api, labels={"env": "prod"}, query="NOT debug")
        batches = [b async for b in one.pull(NOW - 5, NOW) if isinstance(b, Lines)]
        assert [(dict(b.labels), b.text) for b in batches] == [
            ({"env": "prod", "host": "web-1"}, ["ERROR no route"]),
            ({"env": "prod", "service": "shop"}, ["INFO fine"]),
            ({"env": "prod"}, ['{"other": 1}']),
        ]
        assert {"query_string": {"query": "NOT debug"}} in api.bodies[0]["query"]["bool"]["filter"]
        await one.close()


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (429, b"es_rejected_execution_exception", Retryable),
        (503, b"", Retryable),
        (400, b"parsing_exception", Fatal),
        (401, b"security_exception", Fatal),
        (200, b'{"timed_out": true}', Retryable),
        (200, b'{"timed_out": false, "_shards": {"failed": 1}, "hits": {"hits": []}}', Retryable),
        (200, b"<html>", Retryable),
    ],
)
async def test_failures_are_classified(status: int, body: bytes, kind: type[Exception]) -> None:
    with SearchApi() as api:
        api.fail.append((status, {}, body))
        one = source(api)
        with pytest.raises(kind):
            await texts(one, NOW - 5, NOW)
        api.add(NOW - 1, "x")
        assert await texts(one, NOW - 5, NOW) == ["x"]
        await one.close()
