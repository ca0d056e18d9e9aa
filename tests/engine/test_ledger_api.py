"""The ledger over the API of a real engine whose last hour went wrong (tests/world.py)."""

from pathlib import Path

import httpx
import pytest

from aiops.web.app import create_app
from tests.world import config_in, running


@pytest.mark.asyncio
async def test_the_ledger_counts_every_problem_once(tmp_path: Path) -> None:
    async with running(config_in(tmp_path)) as engine:
        transport = httpx.ASGITransport(create_app(engine), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8750") as client:
            problems = (await client.get("/api/v1/problems", params={"limit": 500})).json()["items"]
            told = (await client.get("/api/v1/ledger", params={"within": "365d"})).json()
            pages = (await client.get("/api/v1/ledger/pages", params={"within": "365d"})).json()
            wrong = await client.get("/api/v1/ledger", params={"within": "soon"})
    assert {one["key"] for one in told["items"]} == {one["key"] for one in problems}
    assert sum(told["outcomes"].values()) == len(problems) > 0
    breached = [one for one in told["items"] if one["breached"]]
    assert all((one["lead"] is not None) == (one["breached"] is not None) for one in told["items"])
    assert (told["p50"] is not None) == bool(breached)
    assert wrong.status_code == 422
    assert [one["asked"] for one in pages if one["team"] == "default"] == [2.0]
    over = [one for one in told["items"] if one["resolved"] and not one["breached"]]
    assert sum(one["observed"] for one in pages) * 365 / 7 <= len(over) + 1e-6
