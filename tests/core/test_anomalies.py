"""From scores to anomalies: debounce, and what few samples can support."""

from dataclasses import replace

import numpy as np
import pytest

from aiops.core.anomalies import MAJOR_ABOVE, SUPPORT, AnomalyWatch
from aiops.core.detect import Scored
from aiops.model.series import SeriesIndex
from aiops.model.signal import AlertKind, Severity, Signal
from tests.making import NOW, alerting, labels

BAR = 5.0


class Stand:
    def __init__(self, series: int = 1, seen: int = 10**9, **keys: object) -> None:
        self.index = SeriesIndex()
        self.slots = self.index.slots(labels("load", instance=str(i)) for i in range(series))
        self.watch = AnomalyWatch(self.index, alerting(**keys))
        self.watch.welcome(self.index.take_fresh())
        self.watch.warm(self.slots, np.full(series, seen))

    def row(self, *scores: float | None) -> list[Signal]:
        """One row; None is a missing sample."""
        values = np.array([np.nan if s is None else 1.0 for s in scores])
        score = np.array([s or 0.0 for s in scores], float)
        nothing = np.full(len(scores), np.nan)
        by = np.zeros(len(scores), np.int8)
        scored = Scored(NOW, self.slots, values, score, nothing, nothing, nothing, by)
        return self.watch.step(scored, BAR, ["adaptive"])


def fired(stand: Stand, *scores: float | None) -> list[bool]:
    """Per row with a signal, whether it counts."""
    return [signal.fires for score in scores for signal in stand.row(score)]


def test_an_alert_needs_three_of_five_samples() -> None:
    assert fired(Stand(), 9, 0, 9, 0, 9) == [False, False, True]
    assert fired(Stand(), 9, 9, 0, 0, 0, 9, 9) == [False, False, False, False]
    assert fired(Stand(), 9, 9, 9, 9) == [False, False, True, True]


@pytest.mark.parametrize(("fire", "of"), [(1, 1), (2, 2), (64, 64), (1, 64)])
def test_any_m_of_n_can_be_configured(fire: int, of: int) -> None:
    assert fired(Stand(fire=fire, of=of), *[9] * 64) == [n + 1 >= fire for n in range(64)]


def test_a_missing_sample_neither_counts_nor_pushes_others_out() -> None:
    assert fired(Stand(), 9, None, None, None, None, 9, None, 9) == [False, False, True]
    assert Stand().row(None) == []


def test_a_score_at_the_bar_counts_and_one_below_does_not() -> None:
    assert len(Stand().row(BAR)) == 1
    assert Stand().row(BAR - 1e-6) == []


def test_no_score_claims_more_than_its_samples_support() -> None:
    stand = Stand(seen=99)
    assert stand.row(50.0) == []
    stand = Stand(seen=10**4 - 1)
    (signal,) = stand.row(50.0)
    assert signal.score == pytest.approx(SUPPORT + 4.0)


def test_samples_lived_through_count_as_support() -> None:
    stand = Stand(seen=0)
    assert fired(stand, *[50.0] * 999) == []
    assert fired(stand, 50.0, 50.0, 50.0) == [False, False, True]


def test_far_above_the_bar_is_major() -> None:
    assert Stand().row(BAR + MAJOR_ABOVE)[0].severity is Severity.MAJOR
    assert Stand().row(BAR + MAJOR_ABOVE - 0.01)[0].severity is Severity.MINOR


def test_series_are_counted_apart() -> None:
    stand = Stand(series=3)
    for _ in range(2):
        stand.row(9, 0, 9)
    got = stand.row(9, 9, None)
    assert {dict(s.labels)["instance"]: s.fires for s in got} == {"0": True, "1": False}


def test_a_reused_slot_starts_with_a_clean_record() -> None:
    stand = Stand()
    fired(stand, 9, 9)
    stand.watch.welcome(stand.slots)
    assert fired(stand, 9, 9) == []


def test_no_band_of_what_was_never_negative_reaches_below_zero() -> None:
    stand = Stand(3)
    nothing, by = np.zeros(3), np.zeros(3, np.int8)
    for values, lower in (([1.0, -1.0, 1.0], [-5.0, -5.0, 2.0]), ([1.0, 1.0, 1.0], [-5.0, -5.0, 2.0])):
        low = np.array(lower)
        stand.watch.step(
            Scored(NOW, stand.slots, np.array(values), nothing, nothing, low, low, by), BAR, ["a"]
        )
        assert low.tolist() == [0.0, -5.0, 2.0]


def test_no_band_of_a_ratio_reaches_above_all_of_it_unless_a_value_did() -> None:
    index = SeriesIndex()
    names = ("errors_ratio", "cpu_percent", "load", "odd_ratio")
    slots = index.slots(labels(name) for name in names)
    watch = AnomalyWatch(index, alerting())
    watch.welcome(slots)
    taken_up = AnomalyWatch(index, alerting())
    taken_up.columns.ensure(index.capacity)
    for one in (watch, taken_up):
        for values in ([0.9, 90.0, 0.9, 1.7], [0.9, 90.0, 0.9, 0.9]):
            upper, by = np.array([1.2, 120.0, 1.2, 1.2]), np.zeros(4, np.int8)
            expected, lower = np.array(values), np.array([0.5, 50.0, 0.5, 0.5])
            one.step(
                Scored(NOW, slots, np.array(values), np.zeros(4), expected, lower, upper, by), BAR, ["a"]
            )
            assert upper.tolist() == [1.0, 100.0, 1.2, 1.2]


def test_one_odd_series_is_one_alert_whichever_detector_says_so() -> None:
    stand = Stand()
    (one,) = stand.row(9.0)
    assert one.key == replace(one, rule="river").key
    assert one.key != replace(one, rule="river", kind=AlertKind.LIMIT).key
