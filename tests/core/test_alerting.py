"""Alerts: when they fire, how long they hold, when they end."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.core.alerting import AlertChange, Alerting
from aiops.model.lifecycle import AlertState, check
from aiops.model.series import SeriesIndex
from aiops.model.signal import Alert, AlertKind, Breach, Severity
from tests.making import NOW, alerting, labels, signal

LOAD = labels("load", service="web")
FREE = labels("free", service="db")


class Stand:
    """One `Alerting` fed row by row; `row` gives what changed as (state, reason)."""

    def __init__(self, **keys: object) -> None:
        self.index = SeriesIndex()
        self.alerting = Alerting(self.index, alerting(**keys), "ops")
        self.slot = self.index.slot(LOAD)
        self.now = NOW

    def row(self, after: float, *signals: object, sample: bool = True) -> list[AlertChange]:
        self.now += after
        have = {self.slot: 1.0} if sample else {}
        return self.alerting.step(signals, have, "prod", self.now)  # type: ignore[arg-type]


def over(fires: bool = True, **fields: object) -> object:
    return signal(LOAD, fires, **fields)


def moves(changes: list[AlertChange]) -> list[str]:
    return [f"{change.current} => {change.to}" for change in changes]


def test_an_alert_is_pending_until_its_signal_counts() -> None:
    stand = Stand()
    assert stand.row(2, over(fires=False)) == []
    assert [a.state for a in stand.alerting.live.values()] == [AlertState.PENDING]
    assert moves(stand.row(2, over(fires=True))) == ["pending => firing"]
    (alert,) = stand.alerting.live.values()
    assert (alert.started, alert.fired, alert.source, alert.team) == (NOW + 2, NOW + 4, "prod", "ops")


def test_a_pending_alert_that_comes_to_nothing_leaves_no_trace() -> None:
    stand = Stand(resolve_after="10s")
    stand.row(2, over(fires=False))
    assert [stand.row(2) for _ in range(6)] == [[]] * 6
    assert stand.alerting.live == {}


def test_an_alert_resolves_after_quiet_and_not_before() -> None:
    stand = Stand(resolve_after="10s")
    stand.row(2, over())
    assert [stand.row(2) for _ in range(4)] == [[]] * 4
    (resolved,) = stand.row(2)
    assert (resolved.to, resolved.reason) == (AlertState.RESOLVED, "quiet for 10 s")
    assert resolved.alert.resolved == stand.now


def test_one_sample_over_starts_the_quiet_anew() -> None:
    stand = Stand(resolve_after="10s")
    stand.row(2, over())
    stand.row(8)
    assert stand.row(1, over()) == []
    assert stand.row(8) == []
    assert moves(stand.row(2)) == ["firing => resolved"]


def test_a_missing_sample_is_no_quiet() -> None:
    stand = Stand(resolve_after="10s", stale_after="60s")
    stand.row(2, over())
    assert stand.row(30, sample=False) == []
    assert moves(stand.row(1)) == ["firing => resolved"]


def test_an_alert_whose_series_stopped_ends_when_it_is_stale() -> None:
    stand = Stand(stale_after="60s")
    stand.row(2, over())
    assert stand.row(59, sample=False) == []
    (gone,) = stand.row(1, sample=False)
    assert gone.reason == "the series stopped"


def test_a_source_that_yields_nothing_at_all_lets_its_alerts_go_stale() -> None:
    stand = Stand(stale_after="60s")
    stand.row(2, over())
    assert stand.alerting.quiet({"other"}, stand.now + 100) == []
    assert stand.alerting.quiet({"prod"}, stand.now + 59) == []
    assert moves(stand.alerting.quiet({"prod"}, stand.now + 60)) == ["firing => resolved"]


def test_a_settled_alert_whose_series_stopped_is_not_waited_for_as_long() -> None:
    stand = Stand(stale_after="300s", resolve_after="30s")
    stand.row(2, over())
    stand.alerting.settle(stand.alerting.live.values())
    assert stand.row(29, sample=False) == []
    assert moves(stand.row(1, sample=False)) == ["firing => resolved"]


def test_rows_of_other_sources_do_not_count() -> None:
    stand = Stand(resolve_after="10s")
    stand.row(2, over())
    assert stand.alerting.step([], {stand.slot: 1.0}, "other", stand.now + 500) == []


def test_flapping_lengthens_the_quiet_up_to_its_bound() -> None:
    stand = Stand(resolve_after="10s", flapping={"count": 3, "window": "1h", "max_hold": "60s"})
    holds = []
    for _ in range(8):
        stand.row(1, over())
        since = stand.now
        while not stand.row(1):
            pass
        holds.append(stand.now - since)
    assert holds == [10, 10, 20, 40, 60, 60, 60, 60]


def test_flapping_hides_no_new_fault_once_the_problem_is_resolved() -> None:
    stand = Stand(resolve_after="10s", flapping={"count": 2, "window": "1h", "max_hold": "600s"})
    for _ in range(3):
        stand.row(1, over())
        (alert,) = stand.alerting.live.values()
        stand.alerting.settle([alert])
        assert stand.row(9) == []
        assert moves(stand.row(1)) == ["firing => resolved"]


def test_what_dies_again_right_after_its_repair_fires_anew() -> None:
    stand = Stand(resolve_after="30s")
    stand.row(2, over())
    (first,) = stand.alerting.live.values()
    stand.alerting.settle([first])
    assert [stand.row(2) for _ in range(3)] == [[]] * 3
    assert moves(stand.row(2, over())) == ["firing => resolved"]
    assert moves(stand.row(2, over())) == ["pending => firing"]
    assert first.state is AlertState.RESOLVED


@pytest.mark.parametrize(("well", "settled"), [(2, True), (3, False)])
def test_what_was_hardly_well_or_is_not_repaired_goes_on_firing(well: int, settled: bool) -> None:
    """A value over a window comes and goes while the window drains; without a repair nothing is over."""
    stand = Stand(resolve_after="30s")
    stand.row(2, over())
    if settled:
        stand.alerting.settle(stand.alerting.live.values())
    for _ in range(4):
        assert [stand.row(2) for _ in range(well)] == [[]] * well
        assert [stand.row(2, over()) for _ in range(2)] == [[]] * 2


def test_flapping_is_forgotten_after_its_window() -> None:
    stand = Stand(resolve_after="10s", flapping={"count": 2, "window": "100s", "max_hold": "80s"})
    for _ in range(4):
        stand.row(1, over())
        while not stand.row(1):
            pass
    stand.row(200, over())
    (alert,) = stand.alerting.live.values()
    assert alert.flaps == 1


def test_an_alert_keeps_its_worst_severity_and_its_peak() -> None:
    stand = Stand()
    stand.row(2, over(score=9.0, severity=Severity.MAJOR, observed=7.0))
    stand.row(2, over(score=5.0, observed=6.0, breach=Breach(1.0, 2.0, 3.0, 0.7, 60.0)))
    (alert,) = stand.alerting.live.values()
    assert (alert.score, alert.peak, alert.observed) == (5.0, 9.0, 6.0)
    assert alert.severity is Severity.MAJOR
    assert (alert.breach_earliest, alert.breach_expected, alert.breach_latest) == (1.0, 2.0, 3.0)
    assert (alert.breach_chance, alert.breach_within) == (0.7, 60.0)


def test_one_series_may_have_an_alert_a_rule() -> None:
    stand = Stand()
    changes = stand.row(2, over(), over(rule="limit", kind=AlertKind.LIMIT))
    assert len(changes) == len(stand.alerting.live) == 2


def test_a_series_team_goes_before_the_installations() -> None:
    stand = Stand()
    stand.row(2, signal(labels("x", team="payments")))
    (alert,) = stand.alerting.live.values()
    assert alert.team == "payments"


def test_only_confirmed_anomalies_are_held_from_learning_and_not_for_ever() -> None:
    stand = Stand()
    stand.index.slot(FREE)
    stand.row(2, over(fires=False))
    assert not stand.alerting.hold(3600, stand.now).any()
    stand.row(2, over())
    assert stand.alerting.hold(3600, stand.now).tolist() == [True, False]
    assert not stand.alerting.hold(3600, stand.now + 3600).any()


def test_a_restored_alert_goes_on_and_does_not_fire_twice() -> None:
    stand = Stand(resolve_after="10s")
    stand.row(2, over())
    (alert,) = stand.alerting.live.values()
    again = Stand(resolve_after="10s")
    again.alerting.restore([alert])
    again.now = stand.now
    assert again.row(5, over()) == []
    assert moves(again.row(10)) == ["firing => resolved"]


steps = st.lists(
    st.tuples(st.floats(0.1, 40), st.sampled_from(["over", "pending", "quiet", "missing"])), max_size=60
)


@settings(deadline=None)
@given(steps, st.integers(2, 5), st.floats(0, 60), st.floats(0, 400))
def test_whatever_signals_come_alerts_keep_to_the_table_and_end(
    course: list[tuple[float, str]], count: int, resolve_after: float, max_hold: float
) -> None:
    flapping = {"count": count, "window": 600, "max_hold": max_hold}
    stand = Stand(resolve_after=resolve_after, stale_after=100, flapping=flapping)
    known: list[tuple[Alert, AlertState]] = []
    for after, what in course:
        signals = [over(fires=what == "over")] if what in ("over", "pending") else []
        for change in stand.row(after, *signals, sample=what != "missing"):
            before = [to for alert, to in known if alert is change.alert] or [AlertState.PENDING]
            check(before[-1], change.to)
            assert change.current is before[-1]
            known.append((change.alert, change.to))
    bound = max(resolve_after, max_hold)
    changes = stand.row(bound + 1e-6)
    assert stand.alerting.live == {}
    assert all(change.to is AlertState.RESOLVED for change in changes)
    assert not stand.alerting.hold(1e9, stand.now).any()


def test_a_row_that_repeats_its_time_is_harmless() -> None:
    stand = Stand()
    stand.row(2, over())
    assert stand.row(0, over()) == []


@pytest.mark.parametrize("slots", [0, 3])
def test_hold_covers_the_whole_index(slots: int) -> None:
    index = SeriesIndex()
    for place in range(slots):
        index.slot(labels(f"m{place}"))
    held = Alerting(index, alerting()).hold(10.0, NOW)
    assert held.shape == (slots,)
    assert held.dtype == np.bool_
