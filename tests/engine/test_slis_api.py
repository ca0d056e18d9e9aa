"""How SLIs stand: by the engine's state, by the API, and on the ledger's page."""

import math
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import numpy as np
import pytest
import pytest_asyncio

from aiops.config import Config
from aiops.engine.engine import Engine
from aiops.engine.slis import standings
from aiops.engine.state import State
from aiops.engine.watch import unscored
from aiops.model.frame import Frame
from aiops.model.series import SeriesIndex
from aiops.web.app import create_app
from tests.making import NOW, labels
from tests.walk import config_of

DAY = 86400.0


def state_of() -> tuple[Config, State]:
    errors: dict[str, Any] = {
        "name": "errors",
        "of": {"match": "errors_ratio"},
        "breach": {"above": 0.5, "for": "2m"},
        "objective": {"target": 0.99, "window": "1d", "counts": "share"},
    }
    free = {"name": "free", "of": {"match": "free_ratio"}, "breach": {"below": 0.1}}
    config = config_of(slis=[errors, free])
    state = State(config, [], SeriesIndex())
    return config, state


def fed(state: State, minutes: int, *values: float) -> None:
    """So many samples, a minute apart, of two series of errors and one of what is free."""
    names = [labels("errors_ratio", host="a"), labels("errors_ratio", host="b"), labels("free_ratio")]
    slots = state.index.slots(names)
    state.welcome()
    for step in range(minutes):
        row = Frame(np.array([NOW + 60.0 * step]), slots, np.array([values]))
        for watch in state.rules:
            watch.step(row)
        state.recent.take(unscored(row))


def test_a_breach_counts_when_it_has_lasted_and_the_worst_series_speaks() -> None:
    config, state = state_of()
    before = standings(config.slis, state)
    assert [one.sli.name for one in before] == ["errors", "free"]
    assert [one.series for one in before] == [0, 0]
    assert all(math.isnan(one.value) and math.isnan(one.breached) for one in before)
    fed(state, 2, 0.2, 0.6, 0.05)
    errors, free = standings(config.slis, state)
    assert (errors.series, errors.value) == (2, pytest.approx(0.6))
    assert math.isnan(errors.breached), "for a minute only"
    assert (free.value, free.breached) == (pytest.approx(0.05), NOW)
    fed(state, 4, 0.2, 0.7, 0.5)
    errors, free = standings(config.slis, state)
    assert errors.breached == NOW
    assert math.isnan(free.breached)


def test_the_budget_is_that_of_the_series_which_has_the_least_left() -> None:
    config, state = state_of()
    fed(state, 31, 0.0, 0.02, 0.5)
    errors, free = standings(config.slis, state)
    assert (free.rates, math.isnan(free.left)) == ((), True)
    assert errors.left == pytest.approx(1 - 30 * 60 * 0.02 / (0.01 * DAY))
    over = [seconds for seconds, _ in errors.rates]
    assert over == [DAY / 43_200 * 60, DAY / 43_200 * 360, DAY / 720 * 24, DAY / 720 * 72]
    # the first three windows of a day are 2, 12 and 48 minutes long: half an hour fills two of them
    assert errors.rates[0][1] == pytest.approx(2.0, rel=0.02)
    assert errors.rates[1][1] == pytest.approx(2.0, rel=0.02)
    assert errors.rates[2][1] == pytest.approx(2.0 * 30 / 48, rel=0.05)


@pytest_asyncio.fixture(loop_scope="module")
async def client(engine: Engine) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(engine))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8750") as made:
        yield made


@pytest.mark.asyncio(loop_scope="module")
async def test_api_and_ledger_tell_them(client: httpx.AsyncClient, engine: Engine) -> None:
    (one,) = (await client.get("/api/v1/slis")).json()["items"]
    assert one["name"] == "checkout errors"
    assert one["labels"] == {"service": "checkout"}
    assert (one["above"], one["below"], one["hold"], one["series"]) == (0.01, None, 60.0, 1)
    assert one["value"] > 0.01
    assert one["breached"].startswith("2026-01-09T15:5")
    assert one["budget"] is None
    page = (await client.get("/ledger")).text
    assert "What users notice" in page
    assert re.search(
        r"<td class=\"subject\">checkout errors<span class=\"meta\">service=checkout</span></td>", page
    )
    assert "users notice</span>" in page
    assert "no objective over a window" in page
    chinese = (await client.get("/ledger", headers={"Accept-Language": "zh"})).text
    assert "用户已察觉" in chinese


@pytest.mark.asyncio(loop_scope="module")
async def test_an_error_budget_is_shown(client: httpx.AsyncClient, engine: Engine) -> None:
    before = engine.config, engine.pipeline.state
    engine.config, engine.pipeline.state = state_of()
    try:
        fed(engine.pipeline.state, 31, 0.0, 0.02, 0.5)
        errors, free = (await client.get("/api/v1/slis")).json()["items"]
        page = (await client.get("/ledger")).text
    finally:
        engine.config, engine.pipeline.state = before
    budget = errors["budget"]
    assert (budget["target"], budget["window"], budget["counts"]) == (0.99, DAY, "share")
    assert budget["left"] == pytest.approx(0.9583, abs=1e-3)
    assert [one["over"] for one in budget["burns"]] == [120, 720, 2880, 8640]
    assert (free["below"], free["budget"]) == (0.1, None)
    assert "95.8 %" in page
    assert "99 % to be good over 24 h" in page
