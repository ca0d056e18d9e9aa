"""One replica unlike its siblings."""

import numpy as np
import pytest
from numpy.typing import NDArray

from aiops.model.frame import Frame
from aiops.model.series import SeriesIndex, labels_of
from detectors.peers import Peers, _cross_section

START = 1_700_000_000.0


def _peers(series: int, services: int = 1) -> Peers:
    index = SeriesIndex()
    index.slots(
        labels_of({"__name__": "latency", "service": f"s{n % services}", "pod": str(n)})
        for n in range(series)
    )
    detector = Peers()
    detector.open(index)
    return detector


def _scores(detector: Peers, values: NDArray[np.float64]) -> NDArray[np.float32]:
    slots, free = np.arange(values.shape[1], dtype=np.int32), np.zeros(values.shape[1], np.bool_)
    rows = [
        detector.update(Frame(np.array([START + 15.0 * t]), slots, row[None]), free).score
        for t, row in enumerate(values)
    ]
    return np.concatenate(rows)


def test_the_odd_one_is_found_and_what_all_do_is_not() -> None:
    rng = np.random.default_rng(1)
    load = 100 + 50 * np.sin(np.arange(1200) / 60)[:, None] + np.where(np.arange(1200) > 1100, 80, 0)[:, None]
    values = load * (1 + 0.02 * rng.normal(size=(1200, 8)))
    values[1150:, 3] *= 1.5
    scores = _scores(_peers(8), values)
    assert scores[1150, 3] > 6
    assert np.mean(scores[1150:1160, 3] > 4) >= 0.7
    others = np.delete(scores, 3, axis=1)
    assert np.mean(others[600:] > 4) < 5e-3
    assert others[1101].max() < 4  # the load of all of them rises by half


def test_what_a_replica_always_does_differently_is_its_habit() -> None:
    rng = np.random.default_rng(2)
    values = 100 + rng.normal(size=(2000, 6))
    values[:, 2] += 30
    scores = _scores(_peers(6), values)
    assert np.mean(scores[1500:, 2] > 4) < 5e-3


def test_groups_are_judged_apart_and_small_ones_not_at_all() -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(size=(400, 11)) + np.where(np.arange(11) % 2, 500, 0)
    values[390, 1] += 60
    values[395, 2:] = np.nan
    scores = _scores(_peers(11, services=2), values)
    assert scores[390].argmax() == 1
    assert not scores[395].any()


@pytest.mark.parametrize("seed", range(20))
def test_medians_are_numpys(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values, groups = rng.normal(size=40), rng.integers(1, 6, 40)
    values[rng.random(40) < 0.2] = np.nan
    middle, spread, many = _cross_section(values, groups)
    for i, group in enumerate(groups):
        own = values[(groups == group) & np.isfinite(values)]
        assert many[i] == len(own)
        if len(own):
            want = np.median(own)
            assert middle[i] == pytest.approx(want)
            wide = 1.4826 * np.median(np.abs(own - want)) + 1e-3 * abs(want)
            assert spread[i] == pytest.approx(wide, rel=1e-9, abs=1e-9)
