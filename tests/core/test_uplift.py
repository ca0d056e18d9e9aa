"""Uplift: intervals against published figures, and which problem counts on which side."""

import math

import pytest

from aiops.core.uplift import Course, Share, Uplift, by_history, randomised

NEVER = math.nan


# Newcombe 1998, Statistics in Medicine 17:873-890, table II, method 10
@pytest.mark.parametrize(
    ("one", "other", "low", "high"),
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0000),
        ((10, 10), (0, 10), 0.6075, 1.0000),
    ],
)
def test_intervals_are_those_that_were_published(
    one: tuple[int, int], other: tuple[int, int], low: float, high: float
) -> None:
    found = Uplift(Share(*one), Share(*other)).interval
    assert found == pytest.approx((low, high), abs=6e-5)


def test_nothing_known_is_no_number() -> None:
    empty = Uplift(Share(0, 0), Share(3, 4))
    assert math.isnan(empty.difference)
    assert all(math.isnan(end) for end in empty.interval)


def test_who_counts_on_which_side() -> None:
    courses = [
        Course(0, 30, acted=True, verified=True),
        Course(0, 700, acted=True, verified=True),
        Course(0, 30, acted=True, verified=False),
        Course(0, 30, acted=False),
        Course(0, NEVER, acted=False),
        Course(0, 30, acted=False, by_hand=True),
        Course(0, 10, acted=False, held_until=60.0),
        Course(9_900, NEVER, acted=False),
    ]
    found = by_history(courses, 600.0, 10_000.0)
    assert (found.acted, found.left) == (Share(1, 3), Share(1, 3))


def test_who_was_held_back_is_looked_at_as_long_as_it_was() -> None:
    courses = [
        Course(0, 20, acted=True, verified=True, eligible=True),
        Course(0, 100, acted=True, verified=True, eligible=True),
        Course(0, 20, acted=True, verified=True, eligible=False),
        Course(0, 40, acted=False, held_until=60.0),
        Course(0, 90, acted=True, verified=True, held_until=60.0),
    ]
    found = randomised(courses, 1000.0)
    assert found is not None
    uplift, delay = found
    assert delay == 60.0
    assert (uplift.acted, uplift.left) == (Share(1, 2), Share(1, 2))
    assert randomised(courses[:3], 1000.0) is None
