"""Has a series drifted for good? The tests are river's; what follows from them is `residual`'s."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from river.drift import PageHinkley

from aiops.core import drift as d
from aiops.core.drift import Drift, DriftKind, DriftWatch
from aiops.model.frame import Frame
from detectors import _residual_fields as k
from detectors.adaptive import Adaptive
from detectors.residual import Residual

Matrix = NDArray[np.float64]
START, EVERY = 1_700_000_000.0 // 86400 * 86400, 300.0
DAY = int(86400 / EVERY)


def walked(
    values: Matrix, relearns: bool = True, waits: Callable[[int], bool] = lambda t: False
) -> tuple[list[tuple[int, Drift]], Residual]:
    """(row, drift) of all that `residual` and the tests make of ``values[T, S]``."""
    detector, watch, found = Residual(), DriftWatch(), []
    slots = np.arange(values.shape[1], dtype=np.int32)
    hold = np.zeros(len(slots), np.bool_)
    for t, row in enumerate(values):
        at = START + EVERY * t
        detector.update(Frame(np.array([at]), slots, row[None]), hold)
        waiting = np.full(len(slots), waits(t))
        for one in watch.step(at, slots, detector.deviation(slots), waiting):
            if one.sure:
                found.append((t, one))
                if relearns:
                    detector.relearn(one.slot, one.moved, one.widened, one.since, at)
                watch.settle(one, at)
    return found, detector


def seasonal(days: int, series: int = 4, seed: int = 3) -> Matrix:
    rows = days * DAY
    course = 100 + 30 * np.sin(2 * np.pi * np.arange(rows)[:, None] / DAY)
    return np.asarray(course + np.random.default_rng(seed).normal(size=(rows, series)))


@pytest.mark.parametrize("seed", range(4))
def test_the_tests_are_rivers(seed: int) -> None:
    """A block is one sample here; what blocks usually are is learnt as by `DriftWatch`, in plain Python."""
    rng, watch, slot = np.random.default_rng(seed), DriftWatch(), np.zeros(1, np.int32)
    values = rng.normal(scale=1 + 2 * rng.random(), size=1500)
    for at in range(750, 1500, 250):
        values[at:] += rng.choice([-9.0, 9.0])
    values = values.clip(-d.FARTHEST, d.FARTHEST)
    river = PageHinkley(
        min_instances=d.FEWEST, delta=d.SLACK, threshold=d.SURE[DriftKind.LEVEL], alpha=d.FORGET
    )
    usual = size = blocks = 0.0
    wait, told = d.SETTLE, []
    for t, value in enumerate(values):
        found = watch.step(t * d.BLOCK, slot, np.array([[value], [1.0]]), np.zeros(1, np.bool_))
        surely = [one for one in found if one.sure]
        assert all(one.kind is DriftKind.LEVEL for one in surely)
        if t:
            before, ready = values[t - 1], wait <= 0
            least = max(size, d.LEAST[0])
            off = float(np.clip((before - usual) / least, -d.CAP, d.CAP))
            blocks, wait = blocks + 1, wait - 1
            bound = d.CAP * least if blocks > d.ANEW else np.inf
            bounded = float(np.clip(before - usual, -bound, bound))
            usual += bounded / min(blocks, d.MEMORY)
            size += (abs(bounded) - size) / min(blocks, d.MEMORY)
            if ready:
                river.update(off)  # type: ignore[no-untyped-call]
            assert river.drift_detected == bool(surely), t
        for one in surely:
            told.append(t)
            watch.settle(one, t * d.BLOCK)
            river = river.clone()
            blocks, wait = float(d.ANEW), d.ANEW
    assert told


def test_a_lasting_shift_moves_what_was_learnt_of_the_hours_to_come() -> None:
    values, until = seasonal(10, 2), 9 * DAY + DAY // 4
    values[9 * DAY :] += 6.0
    (_, as_before), (found, anew) = (walked(values[:until], relearns) for relearns in (False, True))
    assert sorted(one.slot for _, one in found) == [0, 1]
    assert all(one.kind is DriftKind.LEVEL and 2.5 < one.moved < 8 for _, one in found)
    quarters = np.arange(96)
    usual = 100 + 30 * np.sin(2 * np.pi * (quarters + 0.5) / 96)
    evening = quarters >= 48  # not come by since
    off = [np.abs(head.columns["day"][:2] - usual - 6.0)[:, evening].mean() for head in (as_before, anew)]
    assert off[0] > 5
    assert off[1] < 1.5


def test_noise_that_grows_or_falls_for_good_is_told() -> None:
    rng, watch, found = np.random.default_rng(4), DriftWatch(), []
    slots, free = np.arange(3, dtype=np.int32), np.zeros(3, np.bool_)
    for t in range(1100):
        swing = 1.5 ** np.sin(2 * np.pi * t / 96)  # by the day, as it always did
        loud = swing * rng.lognormal(0.0, 0.2, 3) * (np.array([4.0, 0.25, 1.0]) if t >= 900 else 1.0)
        told = watch.step(t * d.BLOCK, slots, np.stack([rng.normal(size=3), loud]), free)
        assert not any(one.sure for one in told)  # noise is learnt anew where a change explains it, only
        for one in (one for one in told if one.strength > 48):  # half a day, to hold the factor as well
            found.append(one)
            watch.settle(one, t * d.BLOCK)
    assert [one.kind for one in found] == [DriftKind.NOISE] * 2
    factors = {one.slot: one.widened for one in found}
    assert factors == {0: pytest.approx(4.0, rel=0.4), 1: pytest.approx(0.25, rel=0.4)}
    assert all(898 <= one.since / d.BLOCK <= 902 for one in found)


@pytest.mark.parametrize("factor", [3.0, 1 / 3])
def test_scales_follow_the_noise_and_what_was_no_noise_stays(factor: float) -> None:
    detector, slots = Residual(), np.arange(1, dtype=np.int32)
    times, values = START + EVERY * np.arange(3.0 * DAY), seasonal(3, 1)
    detector.learn(Frame(times, slots, values), np.ones(values.shape, np.bool_))
    core = detector.columns["core"][0]
    before, profile = core.copy(), detector.columns["day"][0].copy()
    detector.relearn(0, 0.0, factor, times[-1] - 7200, times[-1])
    assert core[k.SCALES + 1] == pytest.approx(factor * before[k.SCALES + 1])
    for mixed in (k.SCALES, k.SCALES + 2):
        assert min(1, factor) <= core[mixed] / before[mixed] <= max(1, factor)
        added = before[mixed] ** 2 + (factor**2 - 1) * before[k.SCALES + 1] ** 2
        assert core[mixed] >= 0.999 * min(np.sqrt(max(added, 0)), factor * before[mixed])
    np.testing.assert_array_equal(detector.columns["day"][0], profile)


def test_what_only_swings_is_no_drift() -> None:
    assert walked(seasonal(21))[0] == []


@pytest.mark.parametrize(("a_day", "told"), [(0.2, False), (6.0, True)])
def test_a_slow_drift_is_followed_without_a_word_and_a_fast_one_is_told(a_day: float, told: bool) -> None:
    values = seasonal(13, 2)
    late = np.maximum(0, np.arange(len(values)) - 9 * DAY)[:, None]
    assert bool(walked(values + a_day / DAY * late)[0]) is told


def test_nothing_near_a_problem_counts_nor_what_led_to_it() -> None:
    values = seasonal(11, 2)
    values[9 * DAY :] += 6.0
    assert walked(values, waits=lambda t: t > 9 * DAY)[0] == []
    found, _ = walked(values, waits=lambda t: 9 * DAY < t < 9 * DAY + 20)
    assert found, "the problem is over, and the level stayed"
    assert min(t for t, _ in found) >= 9 * DAY + 20 + 3 * 10
    back = values.copy()
    back[9 * DAY + 20 :] -= 6.0
    assert walked(back, waits=lambda t: 9 * DAY < t < 9 * DAY + 20)[0] == [], "a fault that was repaired"


def test_a_series_is_learnt_anew_once_a_day_at_most() -> None:
    rng = np.random.default_rng(8)
    values = seasonal(16) + 10 * np.repeat(rng.integers(-2, 3, (32, 4)), DAY // 2, axis=0)
    found = walked(values)[0]
    for slot in range(4):
        gaps = np.diff([t for t, one in found if one.slot == slot])
        assert (gaps >= DAY).all()


def test_a_slot_given_anew_starts_anew_and_says_nothing_of_the_old() -> None:
    watch, slot = DriftWatch(), np.array([5], np.int32)
    watch.step(0.0, slot, np.ones((2, 1)), np.zeros(1, np.bool_))
    drift = Drift(5, DriftKind.NOISE, 20.0, 0.0, 2.0, 0.0)
    watch.settle(drift, 1000.0)
    assert watch.hint(5, 4600.0) == "learnt anew 1 h ago, as its noise had changed"
    assert watch.hint(5, 1000.0 + d.KEPT + 1) == ""
    watch.welcome(slot)
    assert watch.hint(5, 4600.0) == ""


def test_heads_that_follow_by_themselves_tell_no_deviations() -> None:
    assert Adaptive().deviation(np.zeros(0, np.int32)) is None


def test_it_is_said_by_how_much_for_how_long_and_after_what() -> None:
    level = Drift(0, DriftKind.LEVEL, 20.0, -2.345, 1.0, 0.0)
    assert level.said(7200.0) == "learnt anew: 2.35 usual deviations below its course for 2 h"
    noise = Drift(0, DriftKind.NOISE, 20.0, 0.0, 3.0, 0.0)
    assert noise.said(5400.0, "deploy: api 2.0") == (
        "learnt anew: its noise has been 3 times the usual for 1 h 30 min, following deploy: api 2.0"
    )
