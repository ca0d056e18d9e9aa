"""What would have paged at other bars, counted as the samples pass."""

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from aiops.core.anomalies import MAJOR_ABOVE
from aiops.core.budget import LOWEST, STEP, WEEK
from aiops.core.detect import Scored
from aiops.core.pages import BLOCK, NARROWEST, SETTLED, WIDEST, Pages
from aiops.model.series import Labels
from tests.making import alerting, grouping, labels

START = 1_700_000_400.0 // BLOCK * BLOCK
EVERY = 15.0
ROWS = int(BLOCK / EVERY)


class Stand:
    """Series of one team, row by row; `entities[i]` is the service that series i belongs to."""

    def __init__(self, entities: Sequence[str], asked: float = 2.0, open_at: int = 1) -> None:
        self.pages = Pages(asked, alerting(), grouping(open_at=open_at))
        self.names = [labels("load", service=name, i=str(i)) for i, name in enumerate(entities)]
        self.seen = np.full(len(entities), SETTLED, np.uint32)
        self.now, self.real = START, set[Labels]()

    def row(self, score: NDArray[np.float64], after: float = EVERY) -> None:
        nothing, slots = np.zeros(len(score)), np.arange(len(score), dtype=np.int32)
        if self.pages.due(self.now):
            self.pages.close(self.now, self.names.__getitem__, lambda named: named not in self.real)
        self.seen += np.uint32(1)
        by = np.zeros(len(score), np.int8)
        self.pages.see(Scored(self.now, slots, nothing, score, nothing, nothing, nothing, by), self.seen)
        self.now += after

    def block(self, **scores: float) -> None:
        """A whole block; ``s0=6`` lets series 0 score 6 in 3 samples."""
        for at in range(ROWS):
            row = np.zeros(len(self.names))
            for name, score in scores.items():
                row[int(name[1:])] = score if at < 3 else 0.0
            self.row(row)

    def counts(self) -> dict[float, float]:
        """Level -> how often it was counted, rounded down to the grid."""
        found = self.pages.snapshot()["counts"]
        return {round(LOWEST + STEP * int(place), 2): round(n, 3) for place, n in found.items() if n > 1e-9}


def test_the_third_highest_of_five_scores_is_counted_when_the_block_is_over() -> None:
    stand = Stand(["web"])
    for score in (0.0, 9.0, 5.0, 0.0, 6.0, *[0.0] * (ROWS - 5)):
        stand.row(np.array([score]))
    assert stand.counts() == {}
    stand.block()
    assert stand.counts() == {5.0: 1.0}


def test_one_component_has_one_page_and_a_long_one_is_counted_once() -> None:
    stand = Stand(["web", "web", "db"])
    stand.block(s0=6.0, s1=8.0, s2=3.0)
    stand.block(s0=6.0)
    stand.block(s0=9.0)
    stand.block()
    assert stand.counts() == {3.0: 1.0, 8.0: 1.0, 9.0: 1.0}
    stand = Stand(["web"])
    for score in (5.0, 7.0, 4.0):
        stand.block(s0=score)
    stand.block()
    assert stand.counts() == {7.0: 1.0}, "the level of 5 was surpassed in the same episode"


def test_it_takes_as_many_series_as_a_problem_does_or_one_that_is_major() -> None:
    stand = Stand(["web", "web", "web"], open_at=3)
    stand.block(s0=6.0, s1=8.0, s2=5.0)
    stand.block()
    stand.block(s0=6.0, s1=8.0)
    stand.block()
    assert stand.counts() == {5.0: 1.0, 8.0 - MAJOR_ABOVE: 1.0}


def test_faults_that_were_real_and_series_that_are_young_do_not_count() -> None:
    stand = Stand(["web", "db"])
    stand.real.add(stand.names[0])
    stand.seen[1] = 10
    stand.block(s0=9.0, s1=9.0)
    stand.block()
    assert stand.counts() == {}


def test_as_many_pages_come_as_were_asked_for() -> None:
    """Independent noise, a sample a block, by a count that knows nothing of blocks."""
    series, asked, weeks = 200, 40.0, 4
    rng, stand, pages = np.random.default_rng(4), Stand([str(i) for i in range(series)], asked), 0
    last, quiet = np.zeros((5, series)), np.full(series, 99)
    for step in range(int(weeks * WEEK / BLOCK)):
        row = -np.log10(rng.random(series))
        last = np.vstack([last[1:], row])
        fires = (last >= stand.pages.bar(9.0)).sum(axis=0) >= 3
        pages += int((fires & (quiet > 1)).sum()) if step > weeks * WEEK / BLOCK / 2 else 0
        quiet = np.where(fires, 0, quiet + 1)
        stand.row(row, after=BLOCK)
    assert 0.7 <= pages / (weeks / 2) / asked <= 1.3
    assert stand.pages.expected(9.0) == pytest.approx(asked, rel=0.2)


def test_a_week_has_to_pass_before_the_prior_is_left_and_the_bar_stays_within_reason() -> None:
    stand = Stand([str(i) for i in range(40)], asked=1e9)
    rng = np.random.default_rng(1)
    while stand.now < START + 1.1 * WEEK:
        assert stand.now >= START + WEEK or stand.pages.bar(6.5) == 6.5
        stand.row(np.where(rng.random(40) < 0.1, 29.0, 0.0), after=BLOCK / 2)
    assert stand.pages.bar(6.5) == NARROWEST
    stand.pages.budget.asked = 1e-9
    stand.block()
    assert stand.pages.bar(6.5) == WIDEST


def test_time_that_nobody_watched_is_not_counted_as_quiet() -> None:
    stand = Stand(["web"])
    stand.block()
    stand.now += 30 * 86400.0
    stand.block()
    stand.block()
    assert stand.pages.budget.watched == pytest.approx(BLOCK, rel=0.2)


def test_it_goes_on_after_a_restart() -> None:
    stand, again = Stand(["web"]), Stand(["web"], asked=3.0)
    for _ in range(30):
        stand.block(s0=5.0)
        stand.block()
    data: dict[str, Any] = json.loads(json.dumps(stand.pages.snapshot()))
    again.pages.restore(data)
    assert again.counts() == stand.counts() != {}
    assert again.pages.budget.asked == 3.0
    for broken in ({}, data | {"counts": {"x": 1}}, data | {"watched": math.inf}, data | {"step": 1.0}):
        with pytest.raises(ValueError, match=r"no snapshot|invalid literal"):
            again.pages.restore(broken)
    assert again.counts() == stand.counts()
