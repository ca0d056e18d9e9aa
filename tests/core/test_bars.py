"""The one knob: how many false pages a week are bearable."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.core.bars import HIGHEST, LOWEST, WEEK, bar


def test_the_bar_of_a_typical_installation() -> None:
    # 1,000 series each 15 s are 40 million samples a week
    assert bar(1000, 15.0, 2.0) == pytest.approx(0.7 * math.log10(1000 * WEEK / 15 / 2))
    assert 5.0 < bar(1000, 15.0, 2.0) < 5.3


@given(st.integers(0, 10**7), st.floats(0, 3600), st.floats(1e-3, 1e4))
def test_a_bar_is_always_within_what_scores_can_reach(series: int, every: float, pages: float) -> None:
    assert LOWEST <= bar(series, every, pages) <= HIGHEST


@given(st.integers(1, 10**6), st.floats(0.5, 3600), st.floats(0.01, 100))
def test_more_series_raise_the_bar_and_more_patience_lowers_it(
    series: int, every: float, pages: float
) -> None:
    assert bar(series * 10, every, pages) >= bar(series, every, pages)
    assert bar(series, every, pages * 10) <= bar(series, every, pages)
    assert bar(series, every * 10, pages) <= bar(series, every, pages)
