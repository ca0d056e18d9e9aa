"""Declared limits and SLIs: breached now, and coming."""

import numpy as np
import pytest

from aiops.core.rules import CONFIRM, Rule, RuleWatch
from aiops.model.frame import Frame
from aiops.model.selector import Selector
from aiops.model.series import SeriesIndex
from aiops.model.signal import AlertKind, Severity, Signal
from tests.making import NOW, labels


class Stand:
    """One rule over series ``m{instance}``, fed row by row every 2 s."""

    def __init__(self, series: int = 1, **fields: object) -> None:
        self.index = SeriesIndex()
        self.slots = self.index.slots(labels("m", instance=str(i)) for i in range(series))
        known = {"bound": 10.0, "sign": 1, "kind": AlertKind.LIMIT, "severity": Severity.MAJOR, **fields}
        self.watch = RuleWatch(Rule(name="too much", selector=Selector.parse("m"), **known), self.index)  # type: ignore[arg-type]
        self.index.take_fresh()
        self.now = NOW

    def row(self, *values: float) -> list[Signal]:
        self.now += 2.0
        return self.watch.step(Frame(np.array([self.now]), self.slots, np.array([values])))


def kinds(signals: list[Signal]) -> list[tuple[AlertKind, bool]]:
    return [(signal.kind, signal.fires) for signal in signals]


@pytest.mark.parametrize(
    ("sign", "value", "breached"), [(1, 10.1, 1), (1, 10.0, 0), (-1, 9.9, 1), (-1, 10.0, 0)]
)
def test_a_limit_is_crossed_beyond_its_bound_and_not_at_it(sign: int, value: float, breached: int) -> None:
    assert len(Stand(sign=sign).row(value)) == breached


def test_a_limit_with_a_hold_counts_only_without_a_break() -> None:
    stand = Stand(hold=6.0)
    got = [stand.row(value) for value in (11, 11, 11, 9, 11, 11, 11, 11)]
    assert [[s.fires for s in row] for row in got] == [
        [False], [False], [False], [], [False], [False], [False], [True],
    ]  # fmt: skip


def test_a_missing_sample_neither_breaches_nor_breaks() -> None:
    stand = Stand(hold=6.0)
    assert [bool(stand.row(value)) for value in (11, np.nan, np.nan)] == [True, False, False]
    assert kinds(stand.row(11)) == [(AlertKind.LIMIT, True)]


def test_a_signal_carries_what_people_need() -> None:
    (signal,) = Stand(series=2).row(3.0, 42.0)
    assert dict(signal.labels)["instance"] == "1"
    assert (signal.rule, signal.observed, signal.bound) == ("too much", 42.0, 10.0)
    assert signal.severity is Severity.MAJOR


def test_series_that_do_not_match_are_left_alone() -> None:
    stand = Stand()
    other = stand.index.slots([labels("other")])
    stand.watch.welcome(stand.index.take_fresh())
    assert stand.watch.step(Frame(np.array([NOW]), other, np.array([[99.0]]))) == []
    assert len(stand.row(99.0)) == 1


def test_a_reused_slot_is_judged_by_its_new_labels() -> None:
    stand = Stand()
    stand.row(99.0)
    stand.index.evict(0.0)
    stand.index.evict(2 * NOW)
    slot = stand.index.slots([labels("other")])
    stand.watch.welcome(stand.index.take_fresh())
    assert slot.tolist() == stand.slots.tolist()
    assert stand.row(99.0) == []


def climb(stand: Stand, start: float, by: float, rows: int) -> list[list[Signal]]:
    return [stand.row(start + by * n) for n in range(rows)]


def test_a_coming_crossing_is_told_after_three_samples_in_a_row_and_goes_on_when_it_came() -> None:
    stand = Stand(bound=100.0, horizon=600.0)
    rows = climb(stand, 0.0, 2.0, 60)
    ahead = [signal for row in rows for signal in row if signal.kind is AlertKind.FORECAST]
    assert [s.fires for s in ahead[: CONFIRM + 1]] == [False] * (CONFIRM - 1) + [True] * 2
    first = next(s for s in ahead if s.fires)
    assert first.observed < 50.0
    assert first.breach.earliest <= NOW + 2 + 100.0 <= first.breach.latest
    # past the bound both speak, so that the one forecast does not resolve as its limit is crossed
    assert kinds(rows[-1]) == [(AlertKind.LIMIT, True), (AlertKind.FORECAST, True)]
    crossed = rows[-1][1].breach
    assert crossed.earliest == crossed.expected == crossed.latest == stand.now


def test_a_forecast_says_how_likely_and_within_what_time() -> None:
    stand = Stand(bound=100.0, horizon=600.0)
    rows = [stand.row(float(value)) for value in range(60, 104)]
    ahead = [signal for row in rows for signal in row if signal.kind is AlertKind.FORECAST]
    chances = [signal.breach.chance for signal in ahead]
    assert {signal.breach.within for signal in ahead} == {600.0}
    before = [signal.breach for signal in ahead if signal.breach.chance < 1.0]
    assert 0.25 < chances[0] < before[-1].chance < 1.0 == chances[-1]
    true = stand.now - 2.0 * 3
    assert all(breach.earliest <= true <= breach.latest for breach in before)


def test_a_countdown_is_known_at_once_and_to_the_second() -> None:
    week, day = 7 * 86400.0, 86400.0
    stand = Stand(bound=week, sign=-1, horizon=week, countdown=True)
    expiry = stand.now + 10 * day
    assert stand.row(15 * day) == []
    for _ in range(CONFIRM):
        (signal,) = stand.row(expiry - stand.now - 2.0)
    assert (signal.kind, signal.fires, signal.breach.chance) == (AlertKind.FORECAST, True, 1.0)
    assert signal.breach.earliest == signal.breach.latest == pytest.approx(expiry - week)
    assert kinds(stand.row(week - 1.0)) == [(AlertKind.LIMIT, True), (AlertKind.FORECAST, True)]


def test_a_limit_crossed_out_of_the_blue_is_no_forecast() -> None:
    stand = Stand(bound=100.0, horizon=600.0)
    climb(stand, 1.0, 0.0, 30)
    assert [kinds(row) for row in climb(stand, 200.0, 0.0, 10)] == [[(AlertKind.LIMIT, True)]] * 10


def test_one_sample_off_the_ramp_does_not_take_a_forecast_back() -> None:
    stand = Stand(bound=100.0, horizon=600.0)
    climb(stand, 0.0, 2.0, 44)
    stand.row(70.0)
    rows = climb(stand, 90.0, 20.0, 3)
    assert (AlertKind.FORECAST, True) in kinds(rows[-1])


def test_without_a_horizon_nothing_is_foreseen() -> None:
    rows = climb(Stand(bound=100.0), 0.0, 2.0, 50)
    assert all(row == [] for row in rows)


def test_a_ramp_learnt_from_history_is_foreseen_at_once() -> None:
    stand = Stand(bound=70.0, horizon=600.0)
    times = np.arange(NOW - 58.0, NOW + 1.0, 2.0)
    stand.watch.warm(Frame(times, stand.slots, np.arange(30.0)[:, None]))
    rows = climb(stand, 30.0, 1.0, CONFIRM)
    assert kinds(rows[-1]) == [(AlertKind.FORECAST, True)]
