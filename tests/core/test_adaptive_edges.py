"""The default detector on what is hardly a series: sane scores, no NaN, nothing that lasts."""

import numpy as np
import pytest
from numpy.typing import NDArray

from aiops.model.frame import Frame
from detectors import _adaptive_fields as k
from detectors.adaptive import Adaptive

START = 1.7e9
Matrix = NDArray[np.float64]


def run(values: Matrix, detector: Adaptive | None = None, start: float = START) -> Matrix:
    """Scores of ``values[T, S]`` every 15 s, each learnt; every number of the state is checked."""
    detector = detector or Adaptive()
    slots, free = np.arange(values.shape[1], dtype=np.int32), np.zeros(values.shape[1], np.bool_)
    detector.columns.ensure(len(slots))
    found = []
    for step, row in enumerate(values):
        known = detector.ready()[: len(slots)]
        scores = detector.update(Frame(np.array([start + 15.0 * step]), slots, row[None]), free)
        found.append(np.asarray(scores.score[0], float))
        for part in (scores.expected, scores.lower, scores.upper):
            assert (np.isfinite(part[0]) == known).all()
    assert np.isfinite(detector.columns["blocks"]).all()
    result = np.array(found)
    assert ((result >= 0) & (result <= k.MAX_SCORE)).all()
    return result


@pytest.mark.parametrize("size", [5e-324, 1e-310, 1e-45, 1e-40, 1e-38, 1e-20])
@pytest.mark.parametrize("level", [0.0, 1.0])
def test_noise_too_small_to_be_normal_is_quiet(size: float, level: float) -> None:
    values = level + size * np.random.default_rng(1).standard_normal((200, 20))
    assert run(values).max() < 3


def test_a_subnormal_leaves_no_subnormal_behind() -> None:
    """They make every later step some hundred cycles slower."""
    detector = Adaptive()
    run(np.tile([[1e-39, -3e-42, 1e-30, 5e-324]], (100, 1)) * np.arange(100)[:, None], detector)
    blocks = detector.columns["blocks"]
    raw = (k.ANCHOR_HIGH, k.ANCHOR_LOW, k.LAST, k.BUCKET_SUM)  # values as they were, or sums of them
    learnt = [field for field in range(4, k.FIELDS) if field * 16 not in raw]
    sizes = np.abs(blocks[:, learnt])
    assert not ((sizes > 0) & (sizes < np.finfo(np.float32).tiny)).any()


def test_one_sample_and_no_more() -> None:
    values = np.full((50, 5), np.nan)
    values[0] = [0.0, 1e9, -1e-40, 1e29, 7.0]
    detector = Adaptive()
    assert not run(values, detector).any()
    assert not detector.ready().any()
    assert "still learning" in detector.explain(1)


def test_the_second_sample_may_be_anything() -> None:
    values = np.array([[0.0, 1e9, -1e29, 1e-40], [1e29, -1e9, 1e29, 1e20]])
    assert not run(values).any()


@pytest.mark.parametrize("silent", [3, 40, 400])
def test_bursts_of_nothing_leave_the_scores_as_they_were(silent: int) -> None:
    """Half the series fall silent again and again; when they speak, they say what they always said."""
    rng = np.random.default_rng(2)
    values = 50 + 2 * rng.standard_normal((2400, 40))
    for start in range(200, 2400, 2 * silent):
        values[start : start + silent, ::2] = np.nan
    scores = run(values)
    assert not scores[np.isnan(values)].any()
    assert np.mean(scores[200:] > 4) < 5e-4
    assert run(np.full((1, 40), 90.0), _taught(values), START + 15.0 * 2400).min() > 4


def _taught(values: Matrix) -> Adaptive:
    detector = Adaptive()
    run(values, detector)
    return detector


def test_the_largest_and_what_is_larger_still() -> None:
    rng = np.random.default_rng(3)
    values = np.stack(
        [9e29 + 1e28 * rng.standard_normal(200), 2e30 * np.ones(200), rng.standard_normal(200)], 1
    )
    values[100, 2] = 1e300
    scores = run(values)
    assert scores[:, 0].max() < 6
    assert not scores[:, 1].any()
    assert scores[100, 2] == 0
    assert scores[101:, 2].max() < 6


@pytest.mark.parametrize("parts", [2, 7, 40])
def test_a_half_hour_ends_for_each_block_by_itself_as_it_does_for_all(parts: int) -> None:
    """Series that come in other frames, out of order and at other times of the same half hours."""
    rng = np.random.default_rng(parts)
    slots = rng.permutation(160).astype(np.int32)
    values = 50 + rng.standard_normal((36, 160)).cumsum(axis=0)
    together, apart = Adaptive(), Adaptive()
    apart.columns.ensure(160)
    together.columns.ensure(160)
    for step, row in enumerate(values):
        times = np.array([START + 600.0 * step])
        together.update(Frame(times, np.arange(160, dtype=np.int32), row[None]), np.zeros(160, np.bool_))
        for some in np.array_split(slots, parts):
            apart.update(Frame(times, some, row[None, some]), np.zeros(len(some), np.bool_))
    for name, array in together.columns.snapshot().items():
        assert np.array_equal(array, apart.columns[name]), name
    assert np.count_nonzero(apart.columns["season"][:48, :160].any(axis=1)) == 12


def test_a_new_series_in_an_old_block_leaves_its_neighbours_half_hour_alone() -> None:
    detector, free, slots = Adaptive(), np.zeros(16, np.bool_), np.arange(16, dtype=np.int32)
    morning = 1800.0 * 944_000
    for step in range(29):
        detector.update(Frame(np.array([morning + 60.0 * step]), slots, np.full((1, 16), 5.0)), free)
    detector.columns.reset(np.arange(3, dtype=np.int32))
    detector.update(Frame(np.array([morning + 1740.0]), slots, np.full((1, 16), 5.0)), free)
    assert not detector.columns.allocated("season")
    assert (detector.columns["blocks"][0, k.BUCKET_COUNT // 16] == [1, 1, 1, *[30] * 13]).all()
    detector.update(Frame(np.array([morning + 1800.0]), slots, np.full((1, 16), 5.0)), free)
    assert (detector.columns["season"][48 + 3, :16] == 1).all()
