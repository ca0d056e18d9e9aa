"""A series that has drifted for good is learnt anew on the one path: told, and never near a problem."""

from typing import Any

import numpy as np
import pytest

from aiops.core import drift
from aiops.model.frame import Change, Frame
from aiops.model.series import labels_of, text_of
from aiops.store import tables
from aiops.store.database import Database
from tests.making import NOW, labels
from tests.walk import DOWN, SOURCE, Walk, config_of

LOAD, UP = labels("load", service="web"), labels("up", service="web")
EVERY, KNOWN = 300.0, 216
"""Seconds between samples; rows that are judged before anything happens."""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarter of a day of blocks before they are tested, instead of a week."""
    monkeypatch.setattr(drift, "SETTLE", 24)


class Shifting:
    """A walk over a series that `residual` has known for ten days."""

    def __init__(self, db: Database, **keys: Any) -> None:
        self.rng = np.random.default_rng(6)
        head = {"kind": "residual", "warmup_samples": 60}
        self.made = Walk(db, config_of(limits=[DOWN], detection={"detectors": [head]}, **keys))
        times = NOW - EVERY * np.arange(2880.0, 0, -1)
        slot = self.made.state.index.slots([LOAD])
        self.made.state.learn(Frame(times, slot, self.rng.normal(100.0, 1.0, (2880, 1))))

    async def rows(self, count: int, level: float, up: float = 1.0) -> int:
        """How many rows it took until the series was learnt anew, at most `count`."""
        before = len(await self.told())
        for taken in range(count):
            await self.made.row({LOAD: level + self.rng.normal(), UP: up}, after=EVERY)
            if taken % 6 == 5 and len(await self.told()) > before:
                return taken + 1
        return count

    async def known(self) -> None:
        """It is watched for a while, and then as if for a month."""
        assert await self.rows(KNOWN, 100.0) == KNOWN
        for name in ("count", "blocks"):
            self.made.state.drift.dense.rows[name][:] = 3000.0

    async def told(self) -> list[dict[str, Any]]:
        return await self.made.stored(tables.audit, tables.audit.c.entity == "series")


async def test_a_lasting_shift_is_learnt_anew_and_told(db: Database) -> None:
    one = Shifting(db)
    await one.known()
    assert await one.rows(78, 102.5) < 78
    (row,) = await one.told()
    assert row["entity_id"] == text_of(LOAD)
    assert row["reason"].startswith("learnt anew: ")
    assert "usual deviations above its course for" in row["reason"]
    assert one.made.state.drift.hint(one.made.state.index.slot(LOAD), one.made.clock.now()).endswith(
        "as its level had moved"
    )
    counted = one.made.metrics.registry.get_sample_value("forewarn_series_relearnt_total", {"kind": "level"})
    assert counted == 1.0
    (head,) = one.made.state.config.detection.detectors
    day = head.columns["day"][one.made.state.index.slot(LOAD)]
    assert np.median(day) > 101


async def test_a_fault_is_no_new_normal_while_its_problem_is_open(db: Database) -> None:
    one = Shifting(db)
    await one.known()
    assert await one.rows(60, 102.5, up=0.0) == 60, "its service is down"
    assert one.made.problem.alerts
    assert await one.told() == []
    assert await one.rows(18, 100.0) == 18, "it was repaired"
    assert await one.told() == []


async def test_a_deploy_makes_less_evidence_enough(db: Database) -> None:
    one = Shifting(db)
    await one.known()
    deploy = Change(one.made.clock.now() + 5, "deploy", "web 2.0", labels_of({"service": "web"}))
    await one.made.clock.advance(10)
    await one.made.hear((SOURCE, deploy))
    assert await one.rows(60, 102.5) < 30
    (row,) = await one.told()
    assert row["reason"].endswith(", following deploy: web 2.0 (service web)")


async def test_the_evidence_outlives_a_restart(db: Database) -> None:
    one = Shifting(db)
    await one.known()
    await one.rows(10, 102.5)
    again = await one.made.reopened()
    for name, array in one.made.state.drift.dense.rows.snapshot().items():
        np.testing.assert_array_equal(again.state.drift.dense.rows[name][: len(array)], array)
