"""The one knob: false pages a week, asked for and met."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from aiops.core import budget
from aiops.core.budget import WEEK, Budget, firing_levels


def _levels(rng: np.random.Generator, a_week: float, decades: float) -> NDArray[np.float64]:
    """A week of episodes: exponential beyond level 1, `decades` of counts to a level."""
    return 1.0 + rng.exponential(1 / (decades * math.log(10)), rng.poisson(a_week))


@pytest.mark.parametrize("asked", [0.5, 1.0, 5.0])
@pytest.mark.parametrize("decades", [0.5, 1.0, 2.5])
def test_as_many_pages_come_as_were_asked_for(asked: float, decades: float) -> None:
    rng, knob, pages, weeks = np.random.default_rng(1), Budget(asked), 0, 0
    for day in range(7 * 600):
        levels = _levels(rng, 300.0 / 7, decades)
        if day >= 28:
            pages, weeks = pages + int((levels >= knob.bar(9.0)).sum()), weeks + 1
        knob.take(levels, day * 86400.0)
    assert 0.7 <= pages / (weeks / 7) / asked <= 1.3


def test_the_prior_holds_until_enough_was_seen() -> None:
    knob = Budget(1.0)
    assert knob.bar(6.5) == 6.5
    knob.take(np.full(100, 2.0), 0.0)
    knob.take(np.zeros(0), WEEK)
    assert knob.bar(6.5) == 6.5
    assert math.isnan(knob.expected(6.5))


def test_a_few_great_faults_do_not_move_the_bar() -> None:
    rng, clean, struck = np.random.default_rng(2), Budget(1.0), Budget(1.0)
    for week in range(20):
        levels = _levels(rng, 300, 1.0)
        clean.take(levels, week * WEEK)
        struck.take(np.r_[levels, [20.0] * (week % 5 == 0)], week * WEEK)
    assert struck.bar(9.0) == pytest.approx(clean.bar(9.0), abs=0.4)


def test_what_it_expects_at_its_bar_is_what_was_asked() -> None:
    rng = np.random.default_rng(3)
    for asked in (0.5, 20.0):
        knob = Budget(asked)
        for week in range(12):
            knob.take(_levels(rng, 400, 1.2), week * WEEK)
        assert knob.expected(knob.bar(9.0)) == pytest.approx(asked, rel=0.1)


def test_the_level_of_an_episode_is_the_bar_below_which_it_pages() -> None:
    scores = np.zeros((40, 2))
    scores[10:14, 1] = [6, 4, 5, 3]
    scores[30, 0] = 9
    rows, columns, levels = firing_levels(scores, fire=3, of=5, apart=3)
    assert (rows.tolist(), columns.tolist(), levels.tolist()) == ([15], [1], [4.0])
    assert budget.LOWEST > 0
