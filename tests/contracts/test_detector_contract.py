"""What every detector keeps to. Finds each file of the shelf by itself."""

from typing import Any

import numpy as np
import pytest

from aiops.model.frame import Frame
from aiops.model.series import SeriesIndex, labels_of
from aiops.plugin import Detector
from aiops.plugin.load import kinds, load
from aiops.plugin.params import Plugin

EXAMPLES: dict[str, list[dict[str, Any]]] = {
    "adaptive": [{}, {"warmup_samples": 50}],
    "novelty": [{"warmup_samples": 60}, {"warmup_samples": 125}],
    "peers": [{"group_by": ["job"]}],
    "residual": [{"warmup_samples": 60}, {"warmup_samples": 60, "timezone": "Europe/Berlin"}],
    "river_model": [
        {"model": "river.anomaly.HalfSpaceTrees", "params": {"n_trees": 3, "height": 4}, "scale": "minmax"},
        {"model": "river.anomaly.GaussianScorer", "params": {"window_size": 50}},
        {"model": "river.drift.ADWIN"},
        {
            "model": "river.anomaly.HalfSpaceTrees",
            "params": {"n_trees": 3, "height": 4},
            "scale": "standard",
            "per": "group",
            "group_by": ["service"],
        },
    ],
}
"""Blocks without `kind`, by kind: a new detector adds its own."""

SERIES, LEARNT = 5, 150
KINDS = sorted(kind for kind in kinds("detectors") if issubclass(load("detectors", kind, Plugin), Detector))
"""The shelf holds log miners too, which have a contract of their own."""
CASES = [
    pytest.param((kind, block), id=f"{kind}-{number}")
    for kind in KINDS
    for number, block in enumerate(EXAMPLES.get(kind, [{}]))
]


def _index() -> SeriesIndex:
    index = SeriesIndex()
    index.slots(labels_of({"__name__": f"m{n}", "service": "web" if n < 3 else "db"}) for n in range(400))
    return index


INDEX = _index()


def _new(kind: str, block: dict[str, Any]) -> Detector:
    made = load("detectors", kind, Detector).model_validate(block)
    made.open(INDEX)
    return made


def _stream(rows: int, seed: int = 7, start: float = 1e9) -> Frame:
    rng = np.random.default_rng(seed)
    values = 50 + np.cumsum(rng.normal(size=(rows, SERIES)), axis=0) * 0.2 + rng.normal(size=(rows, SERIES))
    values[rng.random(values.shape) < 0.03] = np.nan
    return Frame(start + 15.0 * np.arange(rows), np.array([0, 1, 2, 3, 9], np.int32), values)


def _all(frame: Frame) -> Any:
    return np.ones(frame.values.shape, np.bool_)


def _state(detector: Detector) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in detector.columns.snapshot().items()}


def _scores(detector: Detector, frame: Frame) -> np.ndarray[Any, Any]:
    hold = np.zeros(len(frame.slots), np.bool_)
    return np.concatenate([detector.update(row, hold).score for row in frame.rows()])


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    found: tuple[str, dict[str, Any]] = request.param
    return found


@pytest.fixture
def learnt(case: tuple[str, dict[str, Any]]) -> Detector:
    detector = _new(*case)
    frame = _stream(LEARNT)
    detector.learn(frame, _all(frame))
    return detector


LATER = _stream(40, seed=8, start=1e9 + 15.0 * LEARNT)


def test_every_kind_has_an_example() -> None:
    missing = sorted(set(KINDS) - set(EXAMPLES))
    assert not missing, f"add an example block for {missing} to EXAMPLES in {__file__}"


def test_scoring_changes_no_state(learnt: Detector) -> None:
    before = _state(learnt)
    row = next(LATER.rows())
    first, again = learnt.score(row), learnt.score(row)
    assert _state(learnt) == before
    assert np.array_equal(first.score, again.score)


def test_update_scores_as_score_does_before_it(learnt: Detector) -> None:
    for row in LATER.rows():
        alone = learnt.score(row).score
        together = learnt.update(row, np.zeros(SERIES, np.bool_)).score
        assert np.array_equal(alone, together)


def test_scores_have_the_frames_shape_and_are_sane(learnt: Detector) -> None:
    for row in LATER.rows():
        scores = learnt.update(row, np.zeros(SERIES, np.bool_))
        for part in (scores.score, scores.expected, scores.lower, scores.upper):
            assert part.shape == row.values.shape
        assert np.all(np.isfinite(scores.score))
        assert np.all(scores.score >= 0)
        known = ~np.isnan(scores.expected)
        assert np.all(scores.lower[known] <= scores.expected[known])
        assert np.all(scores.expected[known] <= scores.upper[known])


def test_no_sample_scores_nothing_and_teaches_nothing(learnt: Detector) -> None:
    before = _state(learnt)
    row = Frame(LATER.times[:1], LATER.slots, np.full((1, SERIES), np.nan))
    assert not learnt.update(row, np.zeros(SERIES, np.bool_)).score.any()
    assert _state(learnt) == before


def test_unready_series_score_nothing(case: tuple[str, dict[str, Any]]) -> None:
    detector = _new(*case)
    wild = Frame(LATER.times[:10], LATER.slots, np.random.default_rng(1).normal(size=(10, SERIES)) * 1e6)
    assert not _scores(detector, wild).any()
    assert not detector.ready().any()


def test_ready_after_learning_enough(learnt: Detector) -> None:
    ready = learnt.ready()
    assert ready.shape == (learnt.columns.capacity,)
    assert sorted(np.flatnonzero(ready)) == sorted(LATER.slots)


def test_snapshot_and_restore_into_a_fresh_one_score_alike(
    learnt: Detector, case: tuple[str, dict[str, Any]]
) -> None:
    fresh = _new(*case)
    fresh.columns.restore(learnt.columns.snapshot())
    assert np.array_equal(fresh.ready(), learnt.ready())
    assert np.array_equal(_scores(fresh, LATER), _scores(learnt, LATER))


def test_a_snapshot_is_a_copy(learnt: Detector) -> None:
    snapshot = learnt.columns.snapshot()
    copies = {name: array.copy() for name, array in snapshot.items()}
    _scores(learnt, LATER)
    assert all(np.array_equal(snapshot[name], copies[name], equal_nan=True) for name in snapshot)


def test_restoring_an_older_snapshot_goes_back(learnt: Detector) -> None:
    snapshot = learnt.columns.snapshot()
    first = _scores(learnt, LATER)
    learnt.columns.restore(snapshot)
    assert np.array_equal(_scores(learnt, LATER), first)


def test_growth_keeps_what_was_learnt(learnt: Detector, case: tuple[str, dict[str, Any]]) -> None:
    other = _new(*case)
    other.columns.restore(learnt.columns.snapshot())
    other.columns.ensure(learnt.columns.capacity * 3)
    assert np.array_equal(_scores(other, LATER), _scores(learnt, LATER))


def test_reset_forgets_one_row_alone(learnt: Detector, case: tuple[str, dict[str, Any]]) -> None:
    learnt.columns.reset(np.array([9], np.int32))
    ready = learnt.ready()
    assert sorted(np.flatnonzero(ready)) == [0, 1, 2, 3]
    again = Frame(LATER.times[:5], LATER.slots, LATER.values[:5] + 1e6)
    if case[1].get("per") != "group":  # a newcomer to a group is judged with it
        assert not _scores(learnt, again)[:, 4].any()


def test_a_reset_row_learns_as_a_new_one(case: tuple[str, dict[str, Any]]) -> None:
    used, new = _new(*case), _new(*case)
    frame = _stream(LEARNT)
    used.learn(frame, _all(frame))
    used.columns.reset(frame.slots)
    for detector in (used, new):
        detector.learn(frame, _all(frame))
    assert np.array_equal(_scores(used, LATER), _scores(new, LATER))


def test_what_is_held_is_not_learnt(learnt: Detector) -> None:
    before = _state(learnt)
    for row in LATER.rows():
        learnt.update(row, np.ones(SERIES, np.bool_))
    assert _state(learnt) == before


def test_a_mask_is_as_good_as_a_missing_sample(case: tuple[str, dict[str, Any]]) -> None:
    masked, missing = _new(*case), _new(*case)
    frame = _stream(LEARNT)
    mask = np.random.default_rng(2).random(frame.values.shape) < 0.7
    masked.learn(frame, mask)
    missing.learn(Frame(frame.times, frame.slots, np.where(mask, frame.values, np.nan)), _all(frame))
    assert np.array_equal(_scores(masked, LATER), _scores(missing, LATER))


def test_many_rows_at_once_teach_as_rows_one_by_one(case: tuple[str, dict[str, Any]]) -> None:
    whole, single = _new(*case), _new(*case)
    frame = _stream(LEARNT)
    whole.learn(frame, _all(frame))
    for row in frame.rows():
        single.learn(row, _all(row))
    assert _state(whole) == _state(single)


@pytest.mark.parametrize("case", [c for c in CASES if c.values[0][1].get("per") != "group"])
def test_the_order_of_slots_does_not_matter(case: tuple[str, dict[str, Any]]) -> None:
    """Not so for groups: a member's place, on which trees split, goes by who comes first."""
    one, other = _new(*case), _new(*case)
    frame, turn = _stream(LEARNT), [3, 0, 4, 2, 1]
    one.learn(frame, _all(frame))
    turned = Frame(frame.times, frame.slots[turn], frame.values[:, turn])
    other.learn(turned, _all(turned))
    assert np.array_equal(_scores(one, LATER), _scores(other, LATER))


def test_an_empty_frame_is_no_trouble(learnt: Detector) -> None:
    empty = Frame(LATER.times[:1], np.zeros(0, np.int32), np.zeros((1, 0)))
    assert learnt.score(empty).score.shape == (1, 0)
    learnt.learn(empty, _all(empty))


def test_explains_itself_ready_or_not(learnt: Detector) -> None:
    assert learnt.explain(0)
    assert learnt.explain(200)
