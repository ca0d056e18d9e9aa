"""What people may rely on in the default detector; its arithmetic is held against `tests/naive.py`."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numba import njit
from numpy.typing import NDArray

from aiops.model.frame import Frame
from detectors import _adaptive_judge, _adaptive_kernel
from detectors.adaptive import Adaptive
from tests.naive import Naive

Matrix = NDArray[np.float64]
START = 1_700_000_000.0


def _run(values: Matrix, every: float = 2.0, held_from: int | None = None) -> tuple[Matrix, Adaptive]:
    """Scores ``[T, S]`` of values ``[T, S]``, each learnt after it was scored."""
    detector, slots = Adaptive(), np.arange(values.shape[1], dtype=np.int32)
    rows = []
    for t, row in enumerate(values):
        hold = np.full(len(slots), held_from is not None and t >= held_from)
        rows.append(detector.update(Frame(np.array([START + every * t]), slots, row[None]), hold).score[0])
    return np.array(rows, np.float64), detector


def _column(*parts: Any) -> Matrix:
    return np.concatenate([np.atleast_1d(np.asarray(part, float)) for part in parts])[:, None]


# --- the same arithmetic as the oracle


@st.composite
def _streams(draw: st.DrawFn) -> tuple[Matrix, Matrix, NDArray[np.bool_]]:
    """Times, values of six series and what is held: noise, counts, walks, constants, gaps and steps."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows, level = draw(st.integers(40, 400)), draw(st.sampled_from([0.0, 50.0, -3e4]))
    values = np.stack(
        [
            rng.normal(size=rows),
            rng.standard_t(3, rows),
            rng.poisson(0.2, rows) * 1.0,
            np.cumsum(rng.normal(size=rows)),
            np.full(rows, 1.0),
            (rng.random(rows) < 0.02) * rng.lognormal(2, 1, rows),
        ],
        axis=1,
    )
    if draw(st.booleans()):
        values[draw(st.integers(0, rows - 1)) :] += draw(st.sampled_from([-20.0, 5.0, 200.0]))
    values = draw(st.sampled_from([1e-3, 1.0, 1e6])) * (level + values)
    values[rng.random(values.shape) < draw(st.sampled_from([0.0, 0.1, 0.5]))] = np.nan
    gaps = rng.choice([15.0, 15.0, 15.2, 30.0, 600.0, -15.0], rows, p=[0.5, 0.2, 0.1, 0.1, 0.05, 0.05])
    return START + np.cumsum(gaps), values, rng.random(values.shape) < draw(st.sampled_from([0.0, 0.1]))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_streams())
def test_scores_are_the_oracles_to_one_in_ten_thousand(
    stream: tuple[Matrix, Matrix, NDArray[np.bool_]],
) -> None:
    """1e-4, relative or absolute, whichever is more."""
    times, values, held = stream
    slots = np.array([0, 1, 2, 17, 18, 40], np.int32)
    fast, plain = Adaptive(), Naive(values.shape[1])
    for time, row, hold in zip(times, values, held, strict=True):
        got = fast.update(Frame(np.array([time]), slots, row[None]), hold).score[0]
        want = plain.step(time, row, ~hold)
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


def test_the_logarithm_and_its_inverse_are_near_the_real_ones() -> None:
    both = njit(lambda x: (_adaptive_judge.log2(x), _adaptive_judge._exp2(x)))
    for x in np.geomspace(1e-30, 1e30, 997, dtype=np.float32):
        assert both(x)[0] == pytest.approx(np.log2(float(x)), abs=2e-5, rel=1e-6)
    for x in np.linspace(-90, 90, 997, dtype=np.float32):
        assert both(x)[1] == pytest.approx(2.0 ** float(x), rel=1e-4)
    assert np.isfinite(both(np.float32(0))[0])
    assert np.isfinite(both(np.float32(np.inf))[0])


# --- calibration

NOISES: dict[str, Callable[[np.random.Generator, tuple[int, int]], Matrix]] = {
    "gaussian": lambda rng, shape: rng.standard_normal(shape),
    "gaussian at 1e9": lambda rng, shape: 1e9 + 10 * rng.standard_normal(shape),
    "student t3": lambda rng, shape: rng.standard_t(3, shape),
    "ar(0.8)": lambda rng, shape: _ar(rng, shape, 0.8),
    "poisson(3)": lambda rng, shape: rng.poisson(3, shape).astype(float),
}


def _ar(rng: np.random.Generator, shape: tuple[int, int], rho: float) -> Matrix:
    values = rng.standard_normal(shape)
    for t in range(1, len(values)):
        values[t] += rho * values[t - 1]
    return values


def _history(values: Matrix, every: float = 15.0) -> Matrix:
    """Scores of a whole history in one compiled call, each sample learnt; the season is left out."""
    detector, slots = Adaptive(), np.arange(values.shape[1], dtype=np.int32)
    frame = Frame(START + every * np.arange(len(values)), slots, values)
    return np.asarray(detector._scored(frame, np.ones(values.shape, np.bool_)).score, np.float64)


@pytest.mark.parametrize("noise", NOISES)
def test_a_score_above_4_comes_once_in_ten_thousand(noise: str) -> None:
    """320 series, 15,000 samples each: the share's own deviation is some 3 %, of t3's learnt shape more."""
    values = NOISES[noise](np.random.default_rng(11), (15_000, 320))
    share = float(np.mean(_history(values)[3000:] > 4))
    assert 0.5e-4 <= share <= 2e-4


def test_a_young_series_is_not_rash() -> None:
    for noise in ("gaussian", "ar(0.8)", "poisson(3)"):
        scores = _history(NOISES[noise](np.random.default_rng(3), (300, 320)))
        assert np.mean(scores > 4) < 2e-4, noise


@pytest.mark.parametrize("share", [0.25, 0.05, 0.01])
def test_bursts_like_those_seen_before_are_no_news(share: float) -> None:
    """0,0,0,1,0,0,2,0...: mostly still, with counts now and then."""
    rng = np.random.default_rng(5)
    values = (rng.random((12_000, 160)) < share) * (1.0 + rng.poisson(0.5, (12_000, 160)))
    scores = _history(values)[6000:]
    assert np.mean(scores > 4) < 4e-4
    assert np.mean(scores[values[6000:] > 0] > 4) < 0.02


# --- constants


@pytest.mark.parametrize("value", [0.0, 1.0, 30e6, 1e9, 1e-40, -7.25])
def test_a_constant_is_quiet_and_so_is_its_float_noise(value: float) -> None:
    rng = np.random.default_rng(2)
    values = value * (1 + 1e-12 * rng.standard_normal((400, 16))) + 1e-15 * rng.standard_normal((400, 16))
    assert _run(values)[0].max() < 2


@pytest.mark.parametrize(
    ("before", "after"), [(1.0, 0.0), (0.0, 1.0), (30e6, 46e6), (1e9, 1.05e9), (5e-4, 2e-3)]
)
def test_a_real_step_of_a_constant_is_seen_at_once(before: float, after: float) -> None:
    scores, _ = _run(_column([before] * 31, [after] * 8))
    assert scores[31:39, 0].min() >= 8


def test_a_step_too_small_to_matter_on_a_constant_is_let_go() -> None:
    """A page more or less of a 30 MB process."""
    scores, _ = _run(_column([30e6] * 60, [30e6 + 4096] * 10))
    assert scores.max() < 3


# --- faults


def test_a_probe_that_fails_keeps_its_score_while_held_and_recovers() -> None:
    values = _column([1.0] * 31, [0.0] * 200, [1.0] * 5)
    scores, _ = _run(values, held_from=34)
    assert scores[31:231, 0].min() >= 8
    assert scores[231:, 0].max() < 1


def test_a_fault_that_comes_again_is_as_loud_as_the_first() -> None:
    """Ten kills, each held after three samples as the engine would: none may become normal."""
    detector, slots, alarms = Adaptive(), np.array([0], np.int32), 0
    for t in range(600):
        down = t >= 100 and (t - 100) % 45 < 5 and t < 550
        row = Frame(np.array([START + t]), slots, np.array([[0.0 if down else 1.0]]))
        score = float(detector.update(row, np.array([alarms >= 3])).score[0, 0])
        alarms = alarms + 1 if score > 4 else 0
        assert (score >= 8) == down, t


@pytest.mark.parametrize("noise", [0.0, 1e5, 1e6])
def test_a_leak_of_8_mb_a_second_is_seen_within_three_samples(noise: float) -> None:
    rng = np.random.default_rng(1)
    values = np.concatenate([np.full(60, 30e6), 30e6 + 16e6 * np.arange(1, 7)])[:, None]
    scores, _ = _run(values + noise * rng.standard_normal((66, 32)))
    assert scores[60:63].max(axis=0).min() >= 6


def test_a_slow_shift_adds_up() -> None:
    """Three sigma, of which no sample is alarming by itself."""
    rng = np.random.default_rng(4)
    values = rng.standard_normal((540, 64)) + 3.0 * (np.arange(540) >= 500)[:, None]
    scores, _ = _run(values)
    assert np.median(scores[500]) < 3.5
    assert np.median(scores[500:512].max(axis=0)) > 4


def test_a_new_level_that_stays_is_taken_over_if_nobody_holds_it() -> None:
    rng = np.random.default_rng(6)
    values = rng.standard_normal((700, 32)) + 50.0 * (np.arange(700) >= 500)[:, None]
    scores, detector = _run(values)
    assert np.median(scores[500:505], axis=1).min() > 6
    assert np.mean(scores[540:] > 4) < 1e-3
    assert "expected about" in detector.explain(0)


# --- odd input


def test_missing_late_doubled_and_infinite_samples_change_nothing() -> None:
    rng = np.random.default_rng(8)
    _, detector = _run(100 + rng.standard_normal((100, 4)))
    before = detector.columns.snapshot()["blocks"].tobytes()
    slots, last = np.arange(4, dtype=np.int32), START + 2.0 * 99
    for time, value in ((last + 2, np.nan), (last + 2, np.inf), (last, 500.0), (last - 60, 500.0)):
        row = Frame(np.array([time]), slots, np.full((1, 4), value))
        assert not detector.update(row, np.zeros(4, np.bool_)).score.any()
    assert detector.columns.snapshot()["blocks"].tobytes() == before


def test_a_clock_set_back_far_does_not_deafen() -> None:
    rng = np.random.default_rng(8)
    detector, slots = Adaptive(), np.arange(4, dtype=np.int32)
    for t in range(200):
        time = START + 2.0 * t - (3600.0 if t >= 100 else 0.0)
        value = 100 + rng.standard_normal((1, 4)) + (1000 if t == 199 else 0)
        scores = detector.update(Frame(np.array([time]), slots, value), np.zeros(4, np.bool_)).score
        assert t == 199 or scores.max() < 6
    assert scores.min() > 8


def test_gaps_raise_no_alarm_on_a_series_that_wanders() -> None:
    rng = np.random.default_rng(9)
    values = np.cumsum(rng.standard_normal((6000, 32)), axis=0)
    values[rng.random(values.shape) < 0.3] = np.nan
    assert np.mean(_history(values)[1000:] > 4) < 1e-3


def test_the_band_is_where_the_score_passes_4() -> None:
    rng = np.random.default_rng(10)
    _, detector = _run(20 + 3 * rng.standard_normal((3000, 16)))
    slots, time = np.arange(16, dtype=np.int32), np.array([START + 6000.0])
    band = detector.score(Frame(time, slots, np.full((1, 16), np.nan)))
    for edge, middle in ((band.lower, band.expected), (band.upper, band.expected)):
        outside = np.asarray(middle + 1.05 * (edge - middle), float)
        inside = np.asarray(middle + 0.95 * (edge - middle), float)
        assert detector.score(Frame(time, slots, outside)).score.min() > 4
        assert detector.score(Frame(time, slots, inside)).score.max() < 4


def test_a_value_at_1e9_keeps_its_digits() -> None:
    rng = np.random.default_rng(12)
    scores, detector = _run(
        1e9 + np.concatenate([10 * rng.standard_normal((500, 8)), np.full((1, 8), 400.0)])
    )
    assert scores[30:500].max() < 5
    assert scores[500].min() > 6
    slots = np.arange(8, dtype=np.int32)
    band = detector.score(Frame(np.array([START + 1002.0]), slots, np.full((1, 8), 1e9)))
    assert np.all(np.abs(band.expected - 1e9) < 10)


# --- the season


def _daily(days: int, every: float, rng: np.random.Generator) -> Matrix:
    t = every * np.arange(int(days * 86400 / every))
    return (100 + 60 * np.sin(2 * np.pi * t / 86400))[:, None] + 3 * rng.standard_normal((len(t), 32))


def test_time_of_day_is_used_once_it_foretells() -> None:
    values = _daily(6, 300.0, np.random.default_rng(13))
    detector, slots = Adaptive(), np.arange(32, dtype=np.int32)
    times = START + 300.0 * np.arange(len(values))
    detector.learn(Frame(times, slots, values), np.ones(values.shape, np.bool_))
    assert "time of day adds" in detector.explain(0)
    other = Adaptive()
    noise = np.random.default_rng(14).standard_normal(values.shape)
    other.learn(Frame(times, slots, noise), np.ones(values.shape, np.bool_))
    used = sum("time of day adds" in other.explain(int(slot)) for slot in slots)
    assert used <= 3


@pytest.mark.parametrize(
    ("zone", "before", "after"),
    [("UTC", 1, 2), ("Asia/Kolkata", 12, 13), ("Europe/Berlin", 3, 6), ("America/St_Johns", 44, 45)],
)
def test_the_day_follows_the_clock_of_its_zone_and_its_summer_time(
    zone: str, before: int, after: int
) -> None:
    """The half hours of the day before and after Berlin sets its clocks ahead."""
    ahead, told = 1_743_296_400.0, []
    detector, slots = Adaptive(timezone=zone), np.arange(16, dtype=np.int32)
    for time in (ahead - 1800.0, ahead):
        row = Frame(np.array([time]), slots, np.ones((1, 16)))
        detector.learn(row, np.ones((1, 16), np.bool_))
        told.append(int(detector.columns["bucket"].reshape(-1)[0]) % 48)
    assert told == [before, after]


def test_the_season_costs_nothing_in_the_first_half_hour_and_survives_a_restore() -> None:
    detector, slots = Adaptive(), np.arange(4, dtype=np.int32)
    morning = 1800.0 * 944_000
    rows = [Frame(np.array([morning + 60.0 * t]), slots, np.full((1, 4), float(t))) for t in range(40)]
    for row in rows[:30]:
        detector.update(row, np.zeros(4, np.bool_))
    assert not detector.columns.allocated("season")
    for row in rows[30:]:
        detector.update(row, np.zeros(4, np.bool_))
    assert detector.columns.allocated("season")
    other = Adaptive()
    other.columns.restore(detector.columns.snapshot())
    assert np.array_equal(other.columns["season"], detector.columns["season"])


# --- speed, without a clock


def _assembly() -> str:
    tick = _adaptive_kernel.tick

    @njit(nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
    def alone(block: Any, lanes: Any, x: Any) -> None:
        tick(block, 0, lanes, x, x, x)

    block = np.zeros(_adaptive_kernel.k.FIELDS * 16, np.float32)
    alone(block, 16, np.float32(30))
    return str(next(iter(alone.inspect_asm().values())))


def test_the_kernel_is_still_vectorised() -> None:
    """Scalar code is some 15 times slower. It came back silently before, by one call that was not inlined."""
    names = re.findall(r"^\s+(v?(?:mul|add|sub|div|sqrt)[ps]s)\b", _assembly(), re.MULTILINE)
    packed = sum(name.endswith("ps") for name in names)
    assert packed > 300
    assert packed > len(names) - packed, "each loop has a scalar twin, for arrays that overlap, and no more"


def test_the_kernel_stays_in_float32() -> None:
    """A literal of Python's float would halve the lanes."""
    doubles = re.findall(r"\b(?:v?cvtps2pd|v?(?:mul|add|sub|div)pd)\b", _assembly())
    assert not doubles


def test_the_cache_goes_where_it_may_write(tmp_path: Path) -> None:
    """Installed by root, the package's folder is read-only: numba then uses the user's cache."""
    house = Path(_adaptive_kernel.__file__).parent.parent
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from numba.core import caching\n"
        "def refuse(self): raise OSError('read-only')\n"
        "caching.InTreeCacheLocator.ensure_cache_path = refuse\n"
        "import numpy as np\n"
        "from detectors._adaptive_kernel import advance\n"
        "print(advance._cache.cache_path)\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, str(house)],
        env=os.environ | {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    assert Path(found).is_relative_to(tmp_path)


def test_describing_the_kind_does_not_need_numba() -> None:
    house = Path(_adaptive_kernel.__file__).parent.parent
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from detectors.adaptive import Adaptive\n"
        "Adaptive.model_json_schema()\n"
        "assert 'numba' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code, str(house)], check=True)
