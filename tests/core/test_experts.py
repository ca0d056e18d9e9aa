"""Time to breach by experts: early on what will cross, silent on what will not, and calibrated."""

import numpy as np
import pytest

from aiops.core.experts import HORIZONS, NEAR, Experts
from aiops.core.experts_past import DAY, STEP
from aiops.core.odds import T95, at_tail, first, tail, times

START = 1_767_225_600.0
HOURS = 3600.0


def days(count, amplitude=10.0, level=40.0, noise=0.5, series=4, seed=1):
    """A daily sine, ``[T, S]`` at 5-minute steps."""
    t = np.arange(int(count * DAY))[:, None]
    shift = np.linspace(0, 1, series, endpoint=False)
    rng = np.random.default_rng(seed)
    return level + amplitude * np.sin(2 * np.pi * (t / DAY + shift)) + rng.normal(0, noise, (len(t), series))


def feed(model, values, start=START, each=STEP):
    slots = np.arange(values.shape[1], dtype=np.int32)
    for i, row in enumerate(values):
        model.learn(start + i * each, slots, row)
    return start + (len(values) - 1) * each, slots


def test_a_steady_rise_is_timed_within_its_interval():
    rise = 20 + 0.1 * np.arange(2 * DAY)[:, None] + np.random.default_rng(2).normal(0, 0.2, (2 * DAY, 3))
    model = Experts(rise[-1, 0] + 3.0, 1, 6 * HOURS)
    now, slots = feed(model, rise)
    earliest, expected, latest, chance = model.crossing(now, slots, rise[-1])
    assert (chance > 0.7).all()
    true = now + 30 * STEP
    assert (earliest <= expected).all()
    assert (expected <= latest).all()
    assert (np.abs(expected - true) < 1800).all()
    assert ((earliest - 600 <= true) & (true <= latest + 600)).all()


def test_a_day_that_always_turns_before_the_limit_is_no_breach():
    values = days(8, noise=0.2)
    model = Experts(56.0, 1, 4 * HOURS)
    slots = np.arange(4, dtype=np.int32)
    said = 0
    for i, row in enumerate(values):
        now = START + i * STEP
        model.learn(now, slots, row)
        if i > 4 * DAY:
            said += int(np.isfinite(model.crossing(now, slots, row).expected).sum())
    assert said == 0


def test_what_the_day_brings_is_known_before_any_slope_shows_it():
    """A job adds 40 every day at the same time: half an hour before it nothing rises yet."""
    values = np.full((6 * DAY - 6, 2), 30.0) + np.random.default_rng(4).normal(0, 0.2, (6 * DAY - 6, 2))
    t = np.arange(len(values))
    values[(t % DAY >= 0) & (t % DAY < 24) & (t >= DAY)] += 40.0
    model = Experts(60.0, 1, 4 * HOURS)
    now, slots = feed(model, values)
    assert (model.chance(slots, values[-1]) > 0.3).all()
    expected = model.crossing(now, slots, values[-1])[1]
    assert (expected <= now + 15 * STEP).all()


@pytest.mark.parametrize("seed", [5, 6])
def test_intervals_cover_nine_in_ten(seed):
    values = days(9, noise=1.5, series=12, seed=seed)
    model = Experts(90.0, 1, 4 * HOURS)
    slots = np.arange(12, dtype=np.int32)
    inside = total = 0
    for i, row in enumerate(values):
        model.learn(START + i * STEP, slots, row)
        low, high = model.intervals(slots)
        for j, ahead in enumerate(model.ahead):
            if i > 3 * DAY and i + ahead < len(values):
                then = values[i + ahead]
                inside += int(((then >= low[:, j]) & (then <= high[:, j])).sum())
                total += len(slots)
    assert inside / total == pytest.approx(0.90, abs=0.03)


def test_below_is_the_mirror_of_above():
    values = 80 - 0.1 * np.arange(2 * DAY)[:, None] + np.random.default_rng(3).normal(0, 0.1, (2 * DAY, 2))
    down, up = Experts(20.0, -1, 6 * HOURS), Experts(-20.0, 1, 6 * HOURS)
    now, slots = feed(down, values)
    feed(up, -values)
    assert np.allclose(down.crossing(now, slots, values[-1]), up.crossing(now, slots, -values[-1]))
    low, high = down.intervals(slots)
    assert (low < high).all()


def test_a_breached_series_has_chance_one():
    values = days(2)
    model = Experts(45.0, 1, 4 * HOURS)
    _, slots = feed(model, values)
    assert list(model.chance(slots, np.array([46.0, 99.0, 46.0, 46.0]))) == [1.0] * 4


def test_many_samples_a_step_weigh_as_their_mean():
    values = days(3)
    sparse, dense = Experts(90.0, 1, 4 * HOURS), Experts(90.0, 1, 4 * HOURS)
    _, slots = feed(sparse, values)
    feed(dense, np.repeat(values, 10, axis=0), START - 9 * STEP / 10, STEP / 10)
    mine, theirs = sparse.rows["week"][slots], dense.rows["week"][slots]
    both = np.isfinite(mine) & np.isfinite(theirs)
    assert both.sum() == values.size
    assert np.allclose(mine[both], theirs[both], rtol=1e-6)


def test_a_gap_is_not_learnt_from():
    values = days(5)
    whole, torn = Experts(90.0, 1, 4 * HOURS), Experts(90.0, 1, 4 * HOURS)
    _, slots = feed(whole, values)
    for i, row in enumerate(values):
        if not 3 * DAY < i < 3 * DAY + 40:
            torn.learn(START + i * STEP, slots, row)
    low, high = torn.intervals(slots)
    assert np.isfinite(low).all()
    other_low, other_high = whole.intervals(slots)
    assert np.median((high - low) / (other_high - other_low)) == pytest.approx(1.0, abs=0.35)
    assert np.isfinite(model_state(torn)).all()


def model_state(model):
    used = model.rows["owner"] >= 0
    return np.concatenate([model.rows[name][used].ravel() for name in ("ends", "error", "usual", "forecast")])


def test_after_more_than_a_week_away_nothing_is_remembered():
    model = Experts(90.0, 1, 4 * HOURS)
    now, slots = feed(model, days(3))
    model.learn(now + 9 * 86400.0, slots, np.full(4, 40.0))
    week = model.rows["week"][model.rows["owner"] >= 0]
    assert (np.isfinite(week).sum(1) == 1).all()


def test_nan_is_skipped():
    model = Experts(90.0, 1, 4 * HOURS)
    model.learn(START, np.arange(3, dtype=np.int32), np.array([1.0, np.nan, 2.0]))
    assert sorted(model.rows["owner"][model.rows["owner"] >= 0]) == [0, 2]


def test_a_slot_given_to_another_series_starts_afresh():
    model = Experts(60.0, 1, 4 * HOURS)
    now, slots = feed(model, days(3))
    model.welcome(np.array([1, 2], np.int32))
    assert sorted(model.rows["owner"][model.rows["owner"] >= 0]) == [0, 3]
    low, _ = model.intervals(slots)
    assert np.isnan(low[[1, 2]]).all()
    assert np.isfinite(low[[0, 3]]).all()
    assert not (model.rows["total"][model.rows["owner"] < 0]).any()
    assert now > 0


def test_only_watched_series_take_memory():
    model = Experts(90.0, 1, 4 * HOURS)
    far = np.array([100_000], np.int32)
    model.learn(START, far, np.array([1.0]))
    assert model.rows.capacity <= 64
    assert model.rows.nbytes / model.rows.capacity < 14_000


def test_a_short_horizon_is_the_ramps_alone():
    model = Experts(150.0, 1, 300.0)
    assert not len(model.ahead)
    values = np.maximum(0, np.arange(200) - 100)[:, None] * 1.0
    now, slots = feed(model, values + np.random.default_rng(1).normal(0, 0.01, values.shape), each=2.0)
    assert model.rows.nbytes / model.rows.capacity < 100
    assert 60 < model.crossing(now, slots, values[-1])[1][0] - now < 300


def test_a_fast_leak_is_seen_between_steps():
    """Ten minutes from flat to the limit: far too quick for five-minute steps."""
    model = Experts(100.0, 1, 12 * HOURS)
    quiet = np.random.default_rng(7).normal(40, 0.2, (2 * DAY, 1))
    now, slots = feed(model, quiet)
    for i in range(1, 200):
        value = np.array([40 + 0.2 * i])
        model.learn(now + 2.0 * i, slots, value)
    expected = model.crossing(now + 398.0, slots, value)[1]
    assert expected[0] - (now + 398.0) < NEAR


def test_before_anything_is_learnt_nothing_is_said():
    model = Experts(10.0, 1, 12 * HOURS)
    slots = np.arange(2, dtype=np.int32)
    assert np.isinf(model.crossing(START, slots, np.array([1.0, 2.0]))[:3]).all()
    assert list(model.chance(slots, np.array([1.0, 2.0]))) == [0.0, 0.0]
    empty = model.crossing(START, slots[:0], np.zeros(0))
    assert [len(one) for one in empty] == [0, 0, 0, 0]


def test_horizons_reach_a_week():
    assert Experts(1.0, 1, 7 * 86400.0).ahead[-1] * STEP == 7 * 86400
    assert list(HORIZONS) == sorted(HORIZONS)
    assert Experts(1.0, 1, 6 * HOURS).ahead[-1] * STEP == 6 * HOURS
    assert list(Experts(1.0, 1, 4 * HOURS).ahead) == [6, 12, 24, 36, 48]


def test_snapshots_go_on_where_they_were():
    values = days(3)
    one, other = Experts(60.0, 1, 4 * HOURS), Experts(60.0, 1, 4 * HOURS)
    now, slots = feed(one, values)
    for mine, theirs in (
        (one.columns, other.columns),
        (one.rows, other.rows),
        (one.ramps.columns, other.ramps.columns),
    ):
        theirs.restore(mine.snapshot())
    assert np.array_equal(one.crossing(now, slots, values[-1]), other.crossing(now, slots, values[-1]))
    alone = Experts(60.0, 1, 4 * HOURS)
    alone.columns.restore(one.columns.snapshot())
    assert list(alone.chance(slots, values[-1])) == [0.0] * 4


def test_the_tail_is_students():
    stats = pytest.importorskip("scipy.stats")
    t = np.linspace(-8, 8, 33)
    assert np.allclose(tail(t), stats.t.sf(t, 4))


def test_first_crossing_of_a_broken_line():
    ahead, rise = np.array([6.0, 12.0]), np.array([[2.0, 6.0], [np.nan, 6.0], [1.0, 2.0]])
    assert list(first(ahead, rise, np.array([4.0, 3.0, 9.0]))) == [9.0, 6.0, np.inf]


def test_the_inverse_of_the_tail():
    odds = np.linspace(0.001, 0.999, 99)
    assert np.allclose(tail(at_tail(odds)), odds)
    assert at_tail(np.array([0.05]))[0] == pytest.approx(T95, abs=1e-4)


def test_an_unlikely_crossing_is_late_and_a_likely_one_when_the_middle_gets_there():
    ahead, middle = np.array([10.0, 20.0, 30.0]), np.array([[10.0, 20.0, 30.0]])
    scale = np.full((1, 3), 2.0)
    likely = times(ahead, middle, scale, scale, np.array([15.0]), np.array([0.999]))
    assert likely[1] == pytest.approx(15.0)
    assert likely[0] < 15.0 < likely[2] < 30.0
    unlikely = times(ahead, middle, scale, scale, np.array([31.0]), np.array([0.33]))
    assert likely[2] < unlikely[0] < unlikely[1] < unlikely[2] == 30.0


@pytest.mark.parametrize("seed", [3, 8])
def test_chances_and_intervals_keep_what_they_promise(seed):
    """Tanks that fill at a pace of their own, with noise that adds up: some are full in six hours."""
    rng = np.random.default_rng(seed)
    count, length, ahead = 120, 3 * DAY, 72
    pace = rng.uniform(0.02, 0.06, count)
    values = 20 + np.cumsum(pace + rng.normal(0, 0.1, (length, count)), axis=0)
    model = Experts(50.0, 1, ahead * STEP)
    slots = np.arange(count, dtype=np.int32)
    said, came, inside = [], [], []
    for i, row in enumerate(values[:-ahead]):
        now = START + i * STEP
        model.learn(now, slots, row)
        if i < DAY or i % 6:
            continue
        found = model.crossing(now, slots, row)
        open_ = values[: i + 1].max(0) < 50
        over = values[i : i + ahead + 1] >= 50
        first_at = np.where(over.any(0), now + over.argmax(0) * STEP, np.inf)
        told = open_ & np.isfinite(found.expected)
        said += found.chance[told].tolist()
        came += np.isfinite(first_at[told]).tolist()
        hit = told & np.isfinite(first_at)
        inside += ((found.earliest <= first_at) & (first_at - STEP <= found.latest))[hit].tolist()
    assert len(said) > 300
    assert np.mean(came) == pytest.approx(np.mean(said), abs=0.12)
    assert 0.85 < np.mean(inside) <= 1.0
