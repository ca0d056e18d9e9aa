"""The ring of the last minutes, and the evidence that is kept of an alert."""

import numpy as np
import pytest

from aiops.core.detect import Scored
from aiops.core.recent import MOST_EVIDENCE, POINTS, Evidence, Recent


def row(time: float, slots: list[int], values: list[float]) -> Scored:
    wide = np.array(values, float)
    return Scored(
        time,
        np.array(slots, np.int32),
        wide,
        np.zeros(len(slots)),
        wide + 1,
        wide - 1,
        wide + 2,
        np.zeros(len(slots), np.int8),
    )


def slots(*many: int) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    return np.array(many, np.int32)


def test_points_come_back_oldest_first_with_their_band() -> None:
    recent = Recent()
    recent.welcome(slots(0, 1))
    for t in range(5):
        recent.take(row(1.0 + t, [0, 1], [10.0 + t, 20.0]))
    got = recent.points(0)
    assert got["times"].tolist() == [1, 2, 3, 4, 5]
    assert got["observed"].tolist() == [10, 11, 12, 13, 14]
    assert got["expected"].tolist() == [11, 12, 13, 14, 15]
    assert (got["lower"].tolist()[0], got["upper"].tolist()[0]) == (9.0, 12.0)


def test_the_ring_keeps_the_newest() -> None:
    recent = Recent()
    recent.welcome(slots(0))
    for t in range(POINTS + 7):
        recent.take(row(float(t), [0], [1.0]))
    times = recent.points(0)["times"]
    assert times.tolist() == list(range(7, POINTS + 7))
    assert recent.points(0, since=POINTS + 4.0)["times"].tolist() == [POINTS + 5, POINTS + 6]


def test_a_slot_without_a_sample_has_no_point() -> None:
    recent = Recent()
    recent.welcome(slots(0, 1))
    recent.take(row(1.0, [0, 1], [np.nan, 2.0]))
    assert recent.points(0)["times"].tolist() == []
    assert recent.points(1)["observed"].tolist() == [2.0]


def test_a_reused_slot_starts_empty() -> None:
    recent = Recent()
    recent.welcome(slots(0))
    recent.take(row(1.0, [0], [1.0]))
    recent.welcome(slots(0))
    assert recent.points(0)["times"].tolist() == []


def test_slots_beyond_the_budget_have_no_ring_and_do_no_harm() -> None:
    recent = Recent()
    recent.most = 2
    recent.welcome(slots(0, 1, 2, 3))
    recent.take(row(1.0, [1, 3], [1.0, 3.0]))
    assert recent.points(1)["observed"].tolist() == [1.0]
    assert recent.points(3)["observed"].tolist() == []
    assert recent.points(99)["times"].tolist() == []


def test_growing_keeps_what_was_there() -> None:
    recent = Recent()
    recent.welcome(slots(0))
    recent.take(row(1.0, [0], [1.0]))
    recent.welcome(slots(500))
    recent.take(row(2.0, [0, 500], [2.0, 3.0]))
    assert recent.points(0)["observed"].tolist() == [1.0, 2.0]
    assert recent.points(500)["observed"].tolist() == [3.0]


def follow(recent: Recent, course: Evidence) -> None:
    course.extend(recent.points(0, course.latest))


def test_evidence_takes_each_point_once_however_fine_its_time() -> None:
    """Clocks give microseconds, evidence shows milliseconds."""
    recent, course = Recent(), Evidence()
    recent.welcome(slots(0))
    for t in range(20):
        recent.take(row(1_767_225_600.000_4 + t * 0.1003, [0], [float(t)]))
        follow(recent, course)
    assert course.to_json()["observed"] == [float(t) for t in range(20)]


def test_evidence_shows_what_is_not_known_as_null() -> None:
    course = Evidence()
    nan = np.array([np.nan])
    course.extend(
        {"times": np.array([1.0]), "observed": nan + 1, "expected": nan, "lower": nan, "upper": nan}
    )
    assert course.to_json() == {
        "times": [1.0],
        "observed": [None],
        "expected": [None],
        "lower": [None],
        "upper": [None],
    }


def test_long_evidence_is_thinned_in_its_older_half_and_keeps_both_ends() -> None:
    recent, course = Recent(), Evidence()
    recent.welcome(slots(0))
    for t in range(1, 5001):
        recent.take(row(float(t), [0], [float(t)]))
        follow(recent, course)
    got = course.to_json()
    times = [t for t in got["times"] if t is not None]
    assert len(times) <= MOST_EVIDENCE
    assert times[0] == 1.0
    assert times[-300:] == [float(t) for t in range(4701, 5001)]
    assert times == sorted(set(times))
    assert all(len(column) == len(times) for column in got.values())
    assert got["observed"] == pytest.approx(times)
