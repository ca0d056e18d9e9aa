"""Error budgets: when a burn is told, against a plain sum over windows, and when the budget will be gone."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from aiops.core.objectives import BURNS, COARSE, FINE, Burn, Objective, ObjectiveWatch
from aiops.model.frame import Frame
from aiops.model.selector import Selector
from aiops.model.series import SeriesIndex
from aiops.model.signal import AlertKind, Severity, Signal
from tests.making import NOW, labels

MONTH = 30 * 86400.0
MINUTE, HOUR = 60.0, 3600.0
Floats = NDArray[np.float64]


class Stand:
    """One objective of 99.9 % over 30 days, fed row by row; a minute lies between two samples."""

    def __init__(self, series: int = 1, **fields: object) -> None:
        self.index = SeriesIndex()
        self.slots = self.index.slots(labels("m", instance=str(i)) for i in range(series))
        known = {"target": 0.999, "window": MONTH, "share": True, "bound": 0.5, "sign": 1} | fields
        self.rule = Objective("errors", Selector.parse("m"), severity=Severity.CRITICAL, **known)  # type: ignore[arg-type]
        self.watch = ObjectiveWatch(self.rule, self.index)
        self.index.take_fresh()
        self.now = NOW - NOW % HOUR

    def row(self, *values: float, after: float = MINUTE) -> list[Signal]:
        self.now += after
        return self.watch.step(Frame(np.array([self.now]), self.slots, np.array([values])))

    def until(self, value: float, done: Callable[[list[Signal]], bool], most: int) -> float:
        """Seconds of `value` until `done`."""
        began = self.now
        for _ in range(most):
            if done(self.row(value)):
                return self.now - began
        return float("inf")


def told(signals: list[Signal]) -> bool:
    return bool(signals)


@pytest.mark.parametrize(
    ("ratio", "after", "severity"),
    [
        (1.0, (MINUTE, 4 * MINUTE), Severity.CRITICAL),
        (0.1, (8 * MINUTE, 12 * MINUTE), Severity.CRITICAL),
        (0.02, (40 * MINUTE, 50 * MINUTE), Severity.CRITICAL),
        (0.0071, (4.5 * HOUR, 6 * HOUR), Severity.CRITICAL),
        (0.0040, (16 * HOUR, 20 * HOUR), Severity.MAJOR),
        (0.0012, (55 * HOUR, 64 * HOUR), Severity.MAJOR),
    ],
)
def test_a_burn_is_told_as_soon_as_the_workbook_says(
    ratio: float, after: tuple[float, float], severity: Severity
) -> None:
    stand = Stand()
    stand.row(0.0)
    took = stand.until(ratio, told, 4000)
    assert after[0] <= took <= after[1]
    (signal,) = stand.row(ratio)
    assert (signal.kind, signal.rule, signal.severity, signal.fires) == (
        AlertKind.BURN, "errors", severity, True,
    )  # fmt: skip


def test_within_its_budget_nothing_is_told_and_a_short_outage_is_over_at_once() -> None:
    assert Stand().until(0.0009, told, 5000) == float("inf")
    stand = Stand()
    stand.row(0.0)
    assert stand.until(0.3, told, 10) <= 4 * MINUTE
    assert stand.until(0.0, lambda signals: not signals, 40) <= 7 * MINUTE


def test_windows_are_what_a_plain_sum_says() -> None:
    """Bursts of errors over three days: which burn holds when, against sums over all samples."""
    rng = np.random.default_rng(5)
    values = np.zeros(3 * 1440)
    for at in rng.integers(0, len(values), 12):
        values[at : at + rng.integers(2, 400)] = rng.choice([0.002, 0.01, 0.05, 1.0])
    stand = Stand()
    stand.row(0.0)
    start = stand.now
    times: Floats = start + MINUTE * np.arange(1.0, len(values) + 1)
    seen = []
    for i, value in enumerate(values):
        stand.row(float(value))
        if i % 97 == 0:
            rows = stand.watch.dense.of(stand.slots)
            over = stand.watch._burning(rows, stand.now)[:, 0]
            plain = [naive(values[: i + 1], times[: i + 1], stand.now, burn) for burn in BURNS]
            assert over.tolist() == plain
            seen.append(plain)
    assert np.array(seen).any(0).all()
    assert not np.array(seen).all(0).any()


def naive(values: Floats, times: Floats, now: float, burn: Burn) -> bool:
    """Each sample stands for the minute before it; windows begin with a whole step."""

    def rate(steps: int, size: float) -> float:
        begin = (int(now / size) - steps + 1) * size
        return float(values[times - MINUTE >= begin].sum()) * MINUTE / (now - begin) / 0.001

    both = rate(burn.long, MONTH / (FINE if burn.fine else COARSE)), rate(burn.short, MONTH / FINE)
    return min(both) >= burn.rate * (1 - 1e-9)


def test_of_a_latency_the_time_beyond_its_bound_counts() -> None:
    slow, fast = Stand(share=False, bound=0.5, target=0.99), Stand(share=False, bound=0.5, target=0.99)
    slow.row(0.1)
    fast.row(0.1)
    assert slow.until(0.6, told, 60) <= 10 * MINUTE
    assert fast.until(0.4, told, 600) == float("inf")


def test_what_is_left_is_the_worst_series_share_as_of_its_last_sample() -> None:
    stand = Stand(series=3)
    assert np.isnan(stand.watch.left())
    stand.row(0.0, 0.0, np.nan)
    assert stand.watch.left() == 1
    for _ in range(20):
        signals = stand.row(0.0, 0.5, np.nan)
    (signal,) = signals
    budget = 0.001 * MONTH
    assert stand.watch.left() == pytest.approx(1 - 20 * MINUTE * 0.5 / budget)
    assert stand.watch.left() == pytest.approx(1 - signal.observed)
    for _ in range(3 * 1440):
        stand.row(0.0, 0.0, np.nan)
    assert stand.watch.left() == pytest.approx(1 - 20 * MINUTE * 0.5 / budget)  # the window holds it yet
    for _ in range(60):
        stand.row(1.0, 0.0, np.nan)
    assert stand.watch.left() < 0


def test_what_is_left_forgets_what_left_the_window() -> None:
    stand = Stand(window=HOUR * 24)
    stand.row(0.0)
    stand.row(1.0)
    assert stand.watch.left() < 1
    for _ in range(25 * 60):
        stand.row(0.0)
    assert stand.watch.left() == 1


def test_a_gap_is_not_bad_time_and_a_spent_budget_is_gone() -> None:
    stand = Stand()
    stand.row(1.0)
    stand.row(1.0)
    stand.row(1.0, after=20 * HOUR)
    (row,) = stand.watch.dense.of(stand.slots)
    assert stand.watch.dense.rows["total"][row] == 3 * MINUTE
    stand.until(1.0, lambda signals: signals[-1:] != [] and signals[-1].observed >= 1, 60)
    (signal,) = stand.row(1.0)
    assert signal.observed > 1 == signal.breach.chance
    assert signal.breach.expected == stand.now


def test_what_left_the_window_is_forgiven() -> None:
    stand = Stand(window=HOUR * 24)
    stand.until(0.5, lambda signals: bool(signals) and signals[0].observed > 0.5, 100)
    (row,) = stand.watch.dense.of(stand.slots)
    rows = np.array([row], np.int32)
    assert stand.watch._bad(rows, stand.now, COARSE, fine=False)[0][0] > 0
    for _ in range(25 * 60):
        signals = stand.row(0.0)
    assert signals == []
    assert stand.watch._bad(rows, stand.now, COARSE, fine=False)[0][0] == 0


def test_a_steady_burn_is_told_with_the_time_when_nothing_is_left() -> None:
    rng = np.random.default_rng(3)
    stand = Stand()
    stand.row(0.0)
    began = stand.now
    told_at = []
    while True:
        signals = stand.row(float(np.clip(0.05 + rng.normal(0, 0.02), 0, 1)))
        if signals and signals[0].observed >= 1:
            break
        told_at += [(stand.now, signals[0].breach)] if signals else []
    gone = stand.now
    assert gone - began == pytest.approx(MONTH / 50, rel=0.05)
    inside = [breach.earliest <= gone <= breach.latest for _, breach in told_at]
    assert np.mean(inside) >= 0.9
    late = [breach for at, breach in told_at if gone - at < 3 * HOUR]
    assert all(abs(breach.expected - gone) < HOUR for breach in late)
    assert late[-1].chance > 0.9


def test_chances_are_kept_where_bursts_last_as_long_as_they_may() -> None:
    """Of outages that last half as long there are twice as many: their age tells whether they end in time."""
    rng = np.random.default_rng(11)
    count, minutes = 300, 75
    lasts = 3 / rng.uniform(0, 1, count)
    stand = Stand(series=count)
    stand.row(*np.zeros(count))
    said: dict[int, dict[int, float]] = {at: {} for at in (6, 12, 24)}
    gone = np.zeros(count, bool)
    for minute in range(1, minutes):
        for signal in stand.row(*np.where(minute <= lasts, 0.6, 0.0)):
            place = int(dict(signal.labels)["instance"])
            gone[place] |= signal.observed >= 1
            if minute in said and minute <= lasts[place]:
                said[minute][place] = signal.breach.chance
    for at, chances in said.items():
        places = np.array(list(chances))
        assert len(places) > 25
        assert gone[places].mean() == pytest.approx(np.mean(list(chances.values())), abs=0.12), at


def test_a_reused_slot_begins_afresh_and_a_snapshot_goes_on() -> None:
    stand, other = Stand(), Stand()
    for _ in range(3):
        stand.row(1.0)
    for name, columns in other.watch.parts().items():
        columns.restore(stand.watch.parts()[name].snapshot())
    other.now = stand.now
    assert other.row(1.0) == stand.row(1.0) != []
    stand.watch.welcome(stand.slots)
    assert stand.row(1.0) == []
