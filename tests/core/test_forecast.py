"""Crossings foreseen: early enough where there is a ramp, and not at all where there is none."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from aiops.core.forecast import FARTHEST, LEAST, Ramps
from aiops.core.rules import CONFIRM

START = 1_767_225_600.0
MiB = 2.0**20
Course = NDArray[np.float64]


class Outcome:
    """What `walk` found, per series: the step of the first forecast (-1: none), alarms, intervals."""

    def __init__(self, steps: int, series: int) -> None:
        self.first = np.full(series, -1)
        self.alarms = np.zeros(series, int)
        self.interval = np.full((steps, 3, series), np.inf)


def walk(values: Course, bound: float, horizon: float, every: float = 2.0, sign: int = 1) -> Outcome:
    """Feed ``values[T, S]`` to `Ramps` and confirm as the rules do; alarms within 30 s are one."""
    out = Outcome(*values.shape)
    ramps, slots = Ramps(bound, sign, horizon), np.arange(values.shape[1], dtype=np.int32)
    ahead = np.zeros(len(slots), int)
    latest = np.full(len(slots), -np.inf)
    for step, row in enumerate(values):
        now = START + step * every
        ramps.learn(now, slots, row)
        out.interval[step] = ramps.crossing(now, slots, row)[:3]
        ahead = np.where(np.isfinite(out.interval[step, 1]), ahead + 1, 0)
        on = ahead >= CONFIRM
        out.alarms += on & (now - latest > 30.0)
        latest[on] = now
        out.first[on & (out.first < 0)] = step
    return out


def leads(values: Course, bound: float, found: Outcome, every: float = 2.0) -> NDArray[np.float64]:
    """Seconds from the first forecast to the crossing; -inf where there was no forecast."""
    crossing = np.argmax(values > bound, axis=0)
    return np.where(found.first >= 0, (crossing - found.first) * every, -np.inf)


def leak(
    rate: float, start: float, bound: float, noise: float, every: float = 2.0, series: int = 10
) -> Course:
    """Flat for ten minutes, then `rate` a second up past the bound."""
    flat, steps = int(600 / every), int(1.2 * (bound - start) / rate / every) + 2
    ramp = np.maximum(0, np.arange(flat + steps) - flat)[:, None] * rate * every
    return start + ramp + np.random.default_rng(1).normal(0, noise, (flat + steps, series))


# -- ramps


@pytest.mark.parametrize("noise", [0.0, 0.2, 2.0])
def test_a_fast_leak_is_announced_at_least_eight_seconds_ahead(noise: float) -> None:
    """10 MB a second from 40 MB to 256 MiB takes 23 s: what `forewarn drill memory-leak` does."""
    values = leak(10e6 / MiB, 40e6 / MiB, 256.0, noise)
    assert leads(values, 256.0, walk(values, 256.0, 300.0)).min() >= 8.0


@pytest.mark.parametrize(
    ("rate", "horizon", "ahead"),
    [(1.0, 600.0, 120.0), (0.1, 600.0, 380.0), (0.1, 7200.0, 1200.0)],
)
def test_a_slower_leak_is_announced_minutes_ahead(rate: float, horizon: float, ahead: float) -> None:
    values = leak(rate, 40.0, 256.0, 2.0)
    assert leads(values, 256.0, walk(values, 256.0, horizon)).min() >= ahead


def test_a_disk_that_fills_over_hours_is_announced_hours_ahead() -> None:
    """Free space falls from 50 % by 3 % an hour at 15 s a sample; the limit is at 5 %: 15 hours away."""
    hours = np.arange(0, 10, 15 / 3600)
    free = 0.5 - 0.03 * hours[:, None] + np.random.default_rng(2).normal(0, 0.001, (len(hours), 4))
    found = walk(free, 0.05, 3 * 86400.0, every=15.0, sign=-1)
    assert (found.first >= 0).all()
    assert (hours[found.first] <= 6.0).all()
    expected = found.interval[-1, 1] - START
    assert expected == pytest.approx(15 * 3600, rel=0.35)


def test_a_falling_series_meets_a_lower_limit_as_a_rising_one_meets_an_upper() -> None:
    values = leak(1.0, 40.0, 256.0, 1.0)
    rising, falling = walk(values, 256.0, 600.0), walk(-values, -256.0, 600.0, sign=-1)
    assert (rising.first == falling.first).all()
    assert np.array_equal(rising.interval, falling.interval)


def test_the_crossing_of_a_straight_line_lies_within_the_interval() -> None:
    values = leak(0.5, 40.0, 256.0, 0.0, series=1)[300:]
    found = walk(values, 256.0, 3600.0)
    crossing = START + (256.0 - 40.0) / 0.5
    for step in range(LEAST, len(values)):
        earliest, expected, latest = found.interval[step, :, 0]
        if np.isfinite(expected):
            assert earliest <= crossing <= latest * (1 + 1e-9)
            assert earliest <= expected <= latest
    assert (len(values) - found.first[0]) * 2.0 > 300.0


def test_intervals_cover_most_crossings_of_noisy_lines_in_their_last_minute() -> None:
    values = leak(0.5, 40.0, 256.0, 1.0, series=40)[300:]
    found = walk(values, 256.0, 3600.0)
    crossing = START + (256.0 - 40.0) / 0.5
    step = int((256.0 - 40.0) / 0.5 / 2) - 25
    earliest, expected, latest = found.interval[step]
    told = np.isfinite(expected)
    assert told.mean() > 0.5
    covered = (earliest[told] - 2 <= crossing) & (crossing <= latest[told] + 2)
    assert covered.mean() >= 0.8


def test_a_ramp_says_nothing_beyond_the_horizon_or_once_it_has_crossed() -> None:
    values = leak(1.0, 40.0, 256.0, 0.0, series=1)
    found = walk(values, 256.0, 60.0)
    left = (256.0 - values[:, 0]) / 1.0
    assert not np.isfinite(found.interval[left > 62.0, 1]).any()
    assert not np.isfinite(found.interval[values[:, 0] > 256.0]).any()


# -- what is no ramp

HOURS = 1
STEPS, SERIES = HOURS * 1800, 32
CLOCK = np.arange(STEPS)[:, None]


def ar(phi: float, sigma: float, rng: np.random.Generator) -> Course:
    """Stationary AR(1) around 50 with the given standard deviation."""
    shocks = rng.normal(0, sigma * np.sqrt(1 - phi * phi), (STEPS, SERIES))
    out = np.zeros((STEPS, SERIES))
    for step in range(1, STEPS):
        out[step] = phi * out[step - 1] + shocks[step]
    return 50 + out


def bursts(rng: np.random.Generator) -> Course:
    """Twenty seconds at 80, five times an hour, over noise around 50."""
    starts = rng.uniform(size=(STEPS, SERIES)) < 5 / 1800
    lasting = np.cumsum(starts, axis=0) - np.cumsum(np.roll(starts, 10, axis=0), axis=0) > 0
    return 50 + rng.normal(0, 1, (STEPS, SERIES)) + 30 * lasting


def steps(rng: np.random.Generator) -> Course:
    """A new level between 30 and 90, four times an hour."""
    levels = rng.uniform(30, 90, (4 * HOURS + 1, SERIES))
    changes = np.sort(rng.integers(0, STEPS, (4 * HOURS, SERIES)), axis=0)
    which = (changes[None] <= np.arange(STEPS)[:, None, None]).sum(axis=1)
    return np.take_along_axis(levels, which, axis=0) + rng.normal(0, 1, (STEPS, SERIES))


def saw(rng: np.random.Generator) -> Course:
    """From 50 to 70 in five minutes and back at once, as a garbage-collected heap."""
    return 50 + 20 * ((CLOCK / 150 + rng.uniform(0, 1, SERIES)) % 1) + rng.normal(0, 0.3, (STEPS, SERIES))


def wave(rng: np.random.Generator) -> Course:
    """Between 30 and 70, once an hour."""
    turns = CLOCK / 1800 * 2 * np.pi + rng.uniform(0, 6, SERIES)
    return 50 + 20 * np.sin(turns) + rng.normal(0, 0.5, (STEPS, SERIES))


CALM: dict[str, tuple[Callable[[np.random.Generator], Course], float, float]] = {
    # name: (course, bound, the most false alarms an hour and series)
    "white noise": (lambda rng: ar(0.0, 3.0, rng), 66.0, 0.02),
    "AR .9": (lambda rng: ar(0.9, 3.0, rng), 66.0, 1.0),
    "AR .99": (lambda rng: ar(0.99, 3.0, rng), 66.0, 1.0),
    "random walk": (lambda rng: 50 + np.cumsum(rng.normal(0, 0.2, (STEPS, SERIES)), 0), 100.0, 0.1),
    "saw-tooth": (saw, 80.0, 1.0),  # once: its first rise is a ramp like any other
    "bursts": (bursts, 100.0, 0.1),
    "steps": (steps, 100.0, 0.3),
    "wave": (wave, 100.0, 0.1),
}


@pytest.mark.parametrize("name", CALM)
def test_false_alarms_are_rare(name: str) -> None:
    course, bound, most = CALM[name]
    values = course(np.random.default_rng(7))
    calm = ~(values > bound).any(axis=0)
    assert calm.sum() >= SERIES / 2
    found = walk(values[:, calm], bound, 600.0)
    assert found.alarms.sum() / calm.sum() / HOURS <= most


# -- odd input


def test_no_time_lies_beyond_all_calendars() -> None:
    """The latest time of a slow series' crossing, here of a sample a day, is not known rather than 2067."""
    rng = np.random.default_rng(5)
    days = np.arange(600.0)[:, None]
    values = days * 0.02 + rng.normal(0, 1.0, (600, 20))
    latest = walk(values, 30.0, 3e9, every=86400.0).interval[:, 2]
    now = START + 86400.0 * days
    told = np.isfinite(latest)
    assert told.any()
    assert ((latest - now)[told] <= FARTHEST).all()
    assert not np.isnan(latest).any()


def test_missing_and_infinite_samples_change_nothing() -> None:
    values = leak(1.0, 40.0, 256.0, 0.0, series=1)
    holes = values.copy()
    holes[::3] = np.nan
    holes[::7] = np.inf
    found = walk(np.where(np.isfinite(holes), holes, np.nan), 256.0, 600.0)
    again = walk(holes, 256.0, 600.0)
    assert found.first[0] == again.first[0]
    assert found.first[0] < np.argmax(values > 256.0)


def test_irregular_samples_of_a_line_give_its_crossing() -> None:
    rng = np.random.default_rng(3)
    ramps, slots = Ramps(100.0, 1, 3600.0), np.zeros(1, np.int32)
    times = np.cumsum(rng.uniform(0.5, 8.0, 60))
    for at in times:
        ramps.learn(START + at, slots, np.array([0.2 * at]))
    earliest, expected, latest, _ = ramps.crossing(START + times[-1], slots, np.array([0.2 * times[-1]]))
    assert earliest[0] <= START + 500.0 <= latest[0]
    assert np.isfinite(expected[0])


def test_times_that_stand_still_or_go_back_forecast_nothing_and_do_no_harm() -> None:
    ramps, slots = Ramps(100.0, 1, 3600.0), np.zeros(1, np.int32)
    for value in range(20):
        ramps.learn(START, slots, np.array([float(value)]))
    assert np.isinf(ramps.crossing(START, slots, np.array([19.0]))[1]).all()
    for value in range(20):
        ramps.learn(START - value, slots, np.array([float(value)]))
    assert np.isinf(ramps.crossing(START - 19, slots, np.array([19.0]))[1]).all()


def test_a_new_schedule_is_learnt() -> None:
    """From 2 s to 15 s: the former points must not make the new ones look too old for ever."""
    ramps, slots = Ramps(1000.0, 1, 3600.0), np.zeros(1, np.int32)
    now = START
    for _ in range(100):
        now += 2.0
        ramps.learn(now, slots, np.array([10.0]))
    for value in range(40):
        now += 15.0
        ramps.learn(now, slots, np.array([10.0 + 12.0 * value]))
    assert np.isfinite(ramps.crossing(now, slots, np.array([10.0 + 12.0 * 39]))[1]).all()


def test_a_reused_slot_has_no_past() -> None:
    values = leak(1.0, 40.0, 256.0, 0.0, series=1)[300:340]
    ramps, slots = Ramps(256.0, 1, 600.0), np.zeros(1, np.int32)
    for step, row in enumerate(values):
        ramps.learn(START + 2.0 * step, slots, row)
    now = START + 2.0 * len(values)
    assert np.isfinite(ramps.crossing(now, slots, values[-1])[1]).all()
    ramps.welcome(slots)
    assert np.isinf(ramps.crossing(now, slots, values[-1])[1]).all()


def test_no_series_no_answer() -> None:
    empty = np.zeros(0)
    answers = Ramps(1.0, 1, 60.0).crossing(START, np.zeros(0, np.int32), empty)
    assert [len(answer) for answer in answers] == [0, 0, 0, 0]
