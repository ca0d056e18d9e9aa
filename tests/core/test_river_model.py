from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from aiops.model.frame import Frame
from aiops.model.series import SeriesIndex, labels_of
from aiops.plugin import Fatal
from detectors.river_model import RiverModel

START = 1_700_000_000.0
TREES = {"model": "river.anomaly.HalfSpaceTrees", "params": {"n_trees": 10, "height": 6}, "scale": "minmax"}


def _feed(detector: RiverModel, values: np.ndarray[Any, Any], start: float = START) -> np.ndarray[Any, Any]:
    slots = np.arange(values.shape[1], dtype=np.int32)
    rows = Frame(start + 15.0 * np.arange(len(values)), slots, values).rows()
    return np.concatenate([detector.update(row, np.zeros(len(slots), np.bool_)).score for row in rows])


def _index(groups: list[str]) -> SeriesIndex:
    index = SeriesIndex()
    index.slots(labels_of({"__name__": f"m{n}", "service": group}) for n, group in enumerate(groups))
    return index


@pytest.mark.parametrize(
    "block",
    [
        {"model": "river.anomaly.GaussianScorer"},
        {"model": "river.anomaly.StandardAbsoluteDeviation"},
        {"model": "river.anomaly.LocalOutlierFactor", "params": {"n_neighbors": 5}, "window": 64},
    ],
    ids=lambda block: block["model"].rpartition(".")[2],
)
def test_an_outlier_of_one_series_scores_and_the_noise_does_not(block: dict[str, Any]) -> None:
    rng = np.random.default_rng(1)
    values = 10 + rng.standard_normal((400, 2))
    values[399, 0] = 30
    scores = _feed(RiverModel.model_validate(block), values)
    assert scores[399, 0] > 2
    assert scores[399, 0] > 2 * scores[399, 1]
    assert np.mean(scores[100:399] > 4) < 0.01


def test_a_drift_is_told_for_a_few_samples_and_then_over() -> None:
    values = np.concatenate([np.zeros(300), np.full(300, 5.0)])[:, None]
    values += 0.1 * np.random.default_rng(2).standard_normal(values.shape)
    scores = _feed(RiverModel.model_validate({"model": "river.drift.ADWIN"}), values)[:, 0]
    assert not scores[:300].any()
    first = int(np.flatnonzero(scores)[0])
    assert 300 < first < 350
    assert np.all(scores[first : first + 5] == 6)
    assert not scores[500:].any()


def test_a_group_sees_what_no_series_shows_alone() -> None:
    """Two series that always move together part, each within its own range."""
    rng = np.random.default_rng(3)
    common = rng.uniform(0, 1, 500)
    values = np.stack([common, common], axis=1) + 0.01 * rng.standard_normal((500, 2))
    values[490:] = [0.1, 0.9]
    block = {**TREES, "params": {"n_trees": 25, "height": 8}, "per": "group", "group_by": ["service"]}
    together = RiverModel.model_validate(block)
    together.open(_index(["web", "web"]))
    alone = RiverModel.model_validate({**block, "per": "series"})
    parted, each = _feed(together, values), _feed(alone, values)
    assert np.array_equal(parted[:, 0], parted[:, 1])
    assert parted[490:, 0].mean() > 1.3 * each[490:].mean()


def test_groups_do_not_mix() -> None:
    rng = np.random.default_rng(4)
    values = rng.uniform(0, 1, (300, 4))
    other = values.copy()
    other[:, :2] += rng.uniform(0, 5, (300, 2))
    scores = []
    for one in (values, other):
        detector = RiverModel.model_validate({**TREES, "per": "group", "group_by": ["service"]})
        detector.open(_index(["web", "web", "db", "db"]))
        scores.append(_feed(detector, one))
    assert np.array_equal(scores[0][:, 2], scores[0][:, 3])
    assert np.array_equal(scores[0][:, 2:], scores[1][:, 2:])
    assert not np.array_equal(scores[0][:, :2], scores[1][:, :2])


def test_a_model_forgets_what_is_older_than_its_window_and_survives_restores_alike() -> None:
    rng = np.random.default_rng(5)
    block = {**TREES, "window": 64}
    values = rng.standard_normal((333, 2))
    old, other = RiverModel.model_validate(block), RiverModel.model_validate(block)
    _feed(old, values)
    other.columns.restore(old.columns.snapshot())
    assert 32 <= len(other._units.recent(0)) < 64
    later = rng.standard_normal((100, 2))
    assert np.array_equal(_feed(old, later, START + 1e5), _feed(other, later, START + 1e5))


def test_a_model_within_a_model_is_built() -> None:
    block = {
        "model": "river.anomaly.PredictiveAnomalyDetection",
        "params": {"predictive_model": {"model": "river.linear_model.LinearRegression"}},
    }
    assert RiverModel.model_validate(block)._face == "supervised"


@pytest.mark.parametrize(
    ("block", "says"),
    [
        ({"model": "os.system"}, "a model of river"),
        ({"model": "river.anomaly.NoSuch"}, "NoSuch"),
        ({"model": "river.nowhere.NoSuch"}, "nowhere"),
        ({"model": "river.linear_model.LinearRegression"}, "neither an anomaly nor a drift model"),
        ({"model": "river.anomaly.HalfSpaceTrees", "params": {"trees": 3}}, "trees"),
        ({**TREES, "per": "group"}, "group_by"),
        ({"model": "river.drift.ADWIN", "per": "group", "group_by": ["a"]}, "cannot watch a group"),
        ({**TREES, "max_series": 0}, "max_series"),
    ],
)
def test_a_block_that_cannot_work_is_refused_with_its_reason(block: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        RiverModel.model_validate(block)


def test_too_many_series_are_refused_by_name_and_those_known_stay() -> None:
    detector = RiverModel.model_validate({**TREES, "max_series": 2})
    _feed(detector, np.zeros((3, 2)))
    with pytest.raises(Fatal, match="max_series = 2"):
        _feed(detector, np.zeros((1, 3)))
    assert int(detector.columns["count"][0]) >= 3


def test_too_wide_a_group_is_refused() -> None:
    detector = RiverModel.model_validate({**TREES, "per": "group", "group_by": ["service"]})
    detector.open(_index(["web"] * 20))
    with pytest.raises(Fatal, match="group_by"):
        _feed(detector, np.zeros((1, 20)))


def test_a_place_left_by_one_series_is_taken_by_the_next() -> None:
    detector = RiverModel.model_validate({**TREES, "max_series": 2})
    rng = np.random.default_rng(6)
    _feed(detector, rng.standard_normal((100, 2)))
    for _ in range(5):
        detector.columns.reset(np.array([1], np.int32))
        scores = _feed(detector, rng.standard_normal((30, 2)), START + 1e6)
        assert not scores[:, 1].any()


def test_a_group_needs_to_be_opened() -> None:
    detector = RiverModel.model_validate({**TREES, "per": "group", "group_by": ["service"]})
    with pytest.raises(Fatal, match="open"):
        _feed(detector, np.zeros((1, 2)))
