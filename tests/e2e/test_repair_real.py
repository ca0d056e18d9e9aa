"""The whole path on real parts: nginx dies, one ticket, one repair that is verified, or a person is asked."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.repair_world import World, stolen_port, world
from tests.receiver import Receiver

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("repair")]

SOON = 30.0
"""Seconds from fault to end, with a scrape a second."""


def reasons(receiver: Receiver) -> list[list[str]]:
    """Per ticket, what it was told, in order."""
    return [[event["type"].rsplit(".", 1)[-1] for event in events] for events in receiver.tickets().values()]


async def told(receiver: Receiver, reason: str, within: float) -> None:
    end = time.monotonic() + within
    while not any(reason in ticket for ticket in reasons(receiver)):
        assert time.monotonic() < end, f"no ticket was told {reason}: {reasons(receiver)}"
        await asyncio.sleep(0.05)


def one_of_each(here: World) -> dict[str, Any]:
    """The only problem, after checking that nothing was doubled."""
    problems = here.forewarn.problems()
    assert len(problems) == 1, [p["title"] for p in problems]
    assert len(problems[0]["tickets"]) == 1
    assert len(here.receiver.tickets()) == 1
    assert not here.receiver.unsigned
    return problems[0]


async def test_a_killed_nginx_is_ticketed_restarted_verified_and_resolved(folder: Path, db_url: str) -> None:
    async with world(folder, db_url) as here:
        fault = time.monotonic()
        await asyncio.to_thread(here.nginx.kill)
        await asyncio.to_thread(here.forewarn.wait_for, "resolved", SOON)
        await told(here.receiver, "resolved", SOON)
        seconds = time.monotonic() - fault
        assert here.nginx.answers()
        problem = await asyncio.to_thread(one_of_each, here)
        assert problem["stage"] == "active"
        assert [run["state"] for run in problem["runs"]] == ["succeeded"]
        assert reasons(here.receiver)[0][0] == "opened"
        assert reasons(here.receiver)[0][-1] == "resolved"
        print(f"\nfrom fault to told: {seconds:.1f} s")
        assert seconds < SOON
        assert here.forewarn.rss_bytes() < 300 * 2**20


async def test_a_stolen_port_ends_with_a_person(folder: Path, db_url: str) -> None:
    async with world(folder, db_url) as here:
        fault = time.monotonic()
        with stolen_port(here.nginx):
            await asyncio.to_thread(here.forewarn.wait_for, "escalated", SOON)
            await told(here.receiver, "escalated", SOON)
            seconds = time.monotonic() - fault
            problem = await asyncio.to_thread(one_of_each, here)
            assert [run["state"] for run in problem["runs"]] == ["failed"]
            assert problem["escalation"] == "the repair did not verify"
            print(f"\nfrom fault to escalated: {seconds:.1f} s")
            assert seconds < SOON


async def test_ctrl_c_drains_and_a_second_start_goes_on(folder: Path) -> None:
    async with world(folder, f"sqlite:///{folder}/forewarn.db") as here:
        series = {one["id"] for one in here.forewarn.get("/series?limit=200")["items"]}
        assert series
        assert await asyncio.to_thread(here.forewarn.stop) == 0
        await asyncio.to_thread(here.forewarn.start)
        assert "took up what was learnt" in here.forewarn.log.read_text()
        assert series <= {one["id"] for one in here.forewarn.get("/series?limit=200")["items"]}
