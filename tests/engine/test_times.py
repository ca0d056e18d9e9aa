"""Times as a person wants them: how long ago or when, in the zone that they are in."""

from collections.abc import AsyncIterator
from datetime import UTC

import httpx
import pytest
import pytest_asyncio
from starlette.datastructures import Headers

from aiops.engine.engine import Engine
from aiops.web import times
from aiops.web.app import create_app
from tests.world import config_in, running

pytestmark = pytest.mark.asyncio(loop_scope="module")
AT = 1_767_974_400.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Engine]:
    async with running(config_in(tmp_path_factory.mktemp("times")), live=1200) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def client(engine: Engine) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(engine), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8750") as made:
        yield made


@pytest.mark.parametrize(
    ("cookie", "absolute", "zone", "chosen"),
    [
        ("", False, "UTC", ""),
        ("forewarn_zone=Europe/Berlin", False, "Europe/Berlin", ""),
        ("forewarn_zone=Europe/Berlin; forewarn_times=absolute@", True, "Europe/Berlin", ""),
        (
            "forewarn_zone=Europe/Berlin; forewarn_times=relative@Asia/Shanghai",
            False,
            "Asia/Shanghai",
            "Asia/Shanghai",
        ),
        ("forewarn_zone=Nowhere/At_All; forewarn_times=rubbish@../../etc/passwd", False, "UTC", ""),
        ("forewarn_zone=Europe; forewarn_times=absolute@" + "x" * 999, True, "UTC", ""),
    ],
)
async def test_cookies_tell_how_times_are_shown(cookie: str, absolute: bool, zone: str, chosen: str) -> None:
    found = times.wished(Headers({"cookie": cookie}))
    token = times.begin(Headers({"cookie": cookie}))
    assert (found.absolute, times.zone_name(), found.chosen) == (absolute, zone, chosen)
    times.end(token)
    assert times.times().zone is UTC


async def test_a_stamp_tells_its_offset_and_the_instant_is_for_machines() -> None:
    assert times.stamp(AT) == "2026-01-09 16:00:00 UTC"
    token = times.begin(Headers({"cookie": "forewarn_zone=Asia/Kolkata"}))
    assert times.stamp(AT) == "2026-01-09 21:30:00 +05:30"
    assert times.day(AT + 3 * 3600) == "2026-01-10"
    assert times.instant(AT) == "2026-01-09T16:00:00Z"
    times.end(token)
    assert times.stamp(None) == times.clock(None) == times.instant(None) == ""


async def test_the_choice_is_remembered_and_pages_follow_it(client: httpx.AsyncClient) -> None:
    relative = (await client.get("/alerts")).text
    assert " ago</time>" in relative
    asked = {"style": "absolute", "zone": "Asia/Shanghai", "next": "/alerts?state=firing"}
    answer = await client.get("/times", params=asked)
    assert (answer.status_code, answer.headers["location"]) == (303, "/alerts?state=firing")
    shown = (await client.get("/alerts")).text
    assert " ago</time>" not in shown
    # the clock stands at 15:20 UTC, which is 23:20 there
    assert ">2026-01-09 23:" in shown
    assert 'datetime="2026-01-09T15:' in shown
    assert 'data-zone="Asia/Shanghai"' in shown
    assert (await client.get("/times", params={"zone": "Middle/Earth"})).status_code == 422
    assert (await client.get("/times", params={"style": "upside-down"})).status_code == 422
    away = await client.get("/times", params={"next": "//evil.example"})
    assert away.headers["location"] == "/"
    # the browser's zone again
    assert 'data-zone=""' in (await client.get("/alerts")).text
