"""What any head measures becomes scores that mean the same."""

import numpy as np
import pytest
from numpy.typing import NDArray

from aiops.plugin.calibration import BAR, TAIL, Calibrator, calibrated
from tests.bench.calibration import NOISES

Matrix = NDArray[np.float64]


def _scored(distances: Matrix) -> tuple[Matrix, Matrix]:
    series = distances.shape[1]
    rows = np.zeros((series, TAIL + 1))
    every = np.ones(series, np.bool_)
    return Calibrator().step(rows, np.arange(series, dtype=np.int32), distances, every), rows


@pytest.mark.parametrize("noise", ["gaussian", "student t3"])
def test_four_is_one_in_ten_thousand_whatever_the_tail(noise: str) -> None:
    """60 samples of 600,000 are expected."""
    scores, _ = _scored(np.abs(NOISES[noise](np.random.default_rng(1), (9000, 100))))
    assert 20 <= np.count_nonzero(scores[3000:] > BAR) <= 150


def test_scores_do_not_depend_on_the_unit() -> None:
    distances = np.abs(np.random.default_rng(2).normal(size=2000))
    np.testing.assert_allclose(calibrated(distances), calibrated(distances * 1e6), atol=1e-6)


def test_the_edge_is_the_distance_that_scores_four() -> None:
    rng = np.random.default_rng(3)
    _, rows = _scored(np.abs(np.stack([rng.normal(size=3000), rng.standard_t(3, 3000)], axis=1)))
    at, before = np.arange(2, dtype=np.int32), rows.copy()
    edges = Calibrator().edges(rows, at)
    for factor, above in ((0.99, False), (1.01, True)):
        scores = Calibrator().step(rows, at, (edges * factor)[None], np.zeros(2, np.bool_))
        assert ((scores[0] > BAR) == above).all()
    assert (rows == before).all()


def test_what_is_missing_scores_nothing_and_teaches_nothing() -> None:
    distances = np.abs(np.random.default_rng(4).normal(size=(500, 2)))
    _, rows = _scored(distances)
    before = rows.copy()
    scores = Calibrator().step(rows, np.array([1], np.int32), np.full((3, 1), np.nan), np.ones(1, np.bool_))
    assert not scores.any()
    assert (rows == before).all()


def test_too_few_samples_say_nothing() -> None:
    scores = calibrated(np.r_[np.ones(150), 1e9], warmup_samples=200)
    assert not scores.any()
