"""A short day of `tests.bench.delivery` on a real Request Tracker: nothing lost, doubled or out of order."""

from pathlib import Path

import pytest

from tests.bench.delivery import judge, run
from tests.ticket_servers import SERVERS

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("rt")]


async def test_a_bad_day_with_a_kill(db_url: str, tmp_path: Path) -> None:
    with SERVERS["rt"](tmp_path) as server:
        found = await run(db_url, server, messages=16, kills=1)
    counted = {
        name: found[name] for name in ("messages", "duplicates", "lost", "out_of_order", "undone", "kills")
    }
    assert counted == {
        "messages": 16, "duplicates": 0, "lost": 0, "out_of_order": 0, "undone": 0, "kills": 1
    }  # fmt: skip
    assert found["faults"]["lost"] > 0


async def test_two_relays_that_are_killed_share_one_outbox(db_url: str, tmp_path: Path) -> None:
    with SERVERS["webhook"](tmp_path) as server:
        found = await run(db_url, server, messages=40, kills=2, engines=2)
    counted = {name: found[name] for name in ("duplicates", "lost", "out_of_order", "undone", "kills")}
    assert counted == {"duplicates": 0, "lost": 0, "out_of_order": 0, "undone": 0, "kills": 2}


@pytest.mark.parametrize(
    ("tickets", "what"),
    [
        ([[1, 2, 3]], (0, 0, 0)),
        ([[1, 2, 3], [1]], (1, 0, 0)),
        ([[1, 2, 2, 3]], (1, 0, 0)),
        ([[1, 3]], (0, 1, 0)),
        ([[1, 3, 2]], (0, 0, 1)),
        ([], (0, 3, 0)),
    ],
)
def test_the_judge_sees_every_fault(tickets: list[list[int]], what: tuple[int, int, int]) -> None:
    assert tuple(judge({"k": tickets}, ["k"], 3).values()) == what
