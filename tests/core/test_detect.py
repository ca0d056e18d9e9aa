"""Detectors side by side: score before learn, what is held is not learnt, the most surprised one speaks."""

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import PrivateAttr

from aiops.core.detect import Detection, Scored
from aiops.model.frame import Frame
from aiops.model.selector import Selector
from aiops.model.series import SeriesIndex
from aiops.model.signal import Scores
from aiops.plugin import Column, Columns, Detector
from tests.making import NOW, labels


class Surprise(Detector):
    """Scores `factor` times the distance from the last value learnt, so that every answer can be foretold."""

    factor: float = 1.0
    _columns: Columns = PrivateAttr(default_factory=lambda: Columns(last=Column(np.float64, np.nan)))

    @property
    def columns(self) -> Columns:
        return self._columns

    def score(self, frame: Frame) -> Scores:
        last = self._columns["last"][frame.slots][None, :]
        score = np.nan_to_num(self.factor * abs(frame.values - last))
        return Scores(score, last, last - 1, last + 1)

    def learn(self, frame: Frame, mask: NDArray[np.bool_]) -> None:
        for values, wanted in zip(frame.values, mask & ~np.isnan(frame.values), strict=True):
            self._columns["last"][frame.slots[wanted]] = values[wanted]

    def ready(self) -> NDArray[np.bool_]:
        ready: NDArray[np.bool_] = ~np.isnan(self._columns["last"])
        return ready

    def explain(self, slot: int) -> str:
        return f"last was {self._columns['last'][slot]:g}"


class Stand:
    def __init__(self, *detectors: Detector, metrics: tuple[str, ...] = ("a", "b")) -> None:
        self.index = SeriesIndex()
        self.detection = Detection(detectors, self.index)
        self.slots = self.index.slots(labels(metric) for metric in metrics)
        self.detection.welcome(self.index.take_fresh())

    def row(self, *values: float, hold: tuple[int, ...] = ()) -> Scored:
        held = np.zeros(self.index.capacity, bool)
        held[list(hold)] = True
        return self.detection.step(Frame(np.array([NOW]), self.slots, np.array([values])), held)


def test_a_sample_is_scored_by_what_was_learnt_before_it() -> None:
    stand = Stand(Surprise())
    stand.row(1.0, 5.0)
    assert stand.row(3.0, 5.0).score.tolist() == [2.0, 0.0]
    assert stand.row(3.0, 6.0).score.tolist() == [0.0, 1.0]


def test_what_is_held_is_scored_and_not_learnt() -> None:
    stand = Stand(Surprise())
    stand.row(1.0, 1.0)
    stand.row(9.0, 9.0, hold=(0,))
    assert stand.row(9.0, 9.0).score.tolist() == [8.0, 0.0]


def test_the_most_surprised_detector_speaks_with_its_own_band() -> None:
    quick = Surprise(factor=2.0, match=Selector.parse("a"))
    stand = Stand(Surprise(), quick)
    stand.row(1.0, 1.0)
    got = stand.row(4.0, 4.0)
    assert got.score.tolist() == [6.0, 3.0]
    assert got.by.tolist() == [1, 0]
    assert got.expected.tolist() == [1.0, 1.0]


def test_a_series_that_no_detector_looks_at_has_no_score_and_no_band() -> None:
    stand = Stand(Surprise(match=Selector.parse("a")))
    stand.row(1.0, 1.0)
    got = stand.row(4.0, 4.0)
    assert (got.score.tolist(), got.by.tolist()) == ([3.0, 0.0], [0, -1])
    assert np.isnan(got.expected[1])
    assert stand.detection.ready()[:2].tolist() == [True, False]


def test_history_is_learnt_and_not_scored() -> None:
    stand = Stand(Surprise())
    past = Frame(np.array([NOW - 2, NOW - 1]), stand.slots, np.array([[1.0, 2.0], [3.0, np.nan]]))
    stand.detection.warm(past)
    assert stand.row(3.0, 2.0).score.tolist() == [0.0, 0.0]
    assert stand.detection.ready()[:2].all()


def test_a_reused_slot_starts_afresh_and_is_covered_by_its_new_labels() -> None:
    stand = Stand(Surprise(match=Selector.parse("a")))
    stand.row(1.0, 1.0)
    stand.index.evict(0.0)
    stand.index.evict(1.0)
    stand.slots = stand.index.slots([labels("b"), labels("a")])
    stand.detection.welcome(stand.index.take_fresh())
    covered = [int(slot) for slot in stand.slots if dict(stand.index.labels(int(slot)))["__name__"] == "a"]
    assert not stand.detection.ready().any()
    stand.row(5.0, 5.0)
    assert np.flatnonzero(stand.detection.ready()).tolist() == covered


def test_a_reused_slot_is_not_let_go_as_if_its_former_series_were_still_near_a_problem() -> None:
    stand = Stand(Surprise(match=Selector.parse("a"), near_problems=True))
    (b,) = (slot for slot, one in stand.index.items() if dict(one)["__name__"] == "b")
    nothing = Frame(np.zeros(0), np.array([b], np.int32), np.zeros((0, 1)))
    stand.detection.promote(np.array([b], np.int32), lambda slot: nothing)
    stand.index.evict(0.0)
    stand.index.evict(1.0)
    stand.slots = stand.index.slots([labels("a", host=host) for host in "xy"])
    assert b in stand.slots
    stand.detection.welcome(stand.index.take_fresh())
    stand.detection.promote(np.zeros(0, np.int32), lambda slot: nothing)
    stand.row(5.0, 5.0)
    assert np.flatnonzero(stand.detection.ready()).tolist() == sorted(stand.slots.tolist())


def test_series_known_before_the_start_are_covered() -> None:
    index = SeriesIndex()
    slots = index.slots([labels("a")])
    detection = Detection([Surprise(match=Selector.parse("a"))], index)
    for value in (1.0, 4.0):
        got = detection.step(Frame(np.array([NOW]), slots, np.array([[value]])), np.zeros(1, bool))
    assert got.score.tolist() == [3.0]


def test_an_explanation_comes_from_those_who_look_at_the_series() -> None:
    stand = Stand(Surprise(), Surprise(match=Selector.parse("b")))
    stand.row(1.0, 2.0)
    assert stand.detection.explain(0) == "last was 1"
    assert stand.detection.explain(1) == "last was 2 last was 2"


@pytest.mark.parametrize("detectors", [(), (Surprise(match=Selector.parse("c")),)])
def test_a_row_that_nobody_looks_at_passes_through(detectors: tuple[Detector, ...]) -> None:
    got = Stand(*detectors).row(1.0, np.nan)
    assert got.values.tolist()[0] == 1.0
    assert got.by.tolist() == [-1, -1]


def test_a_series_near_a_problem_is_looked_at_by_more_heads_while_it_lasts() -> None:
    near = Surprise(factor=10.0, match=Selector.parse("a"), near_problems=True)
    far = Surprise(factor=100.0, match=Selector.parse("a"))
    stand = Stand(Surprise(), near, far)
    b = stand.slots[1:]
    past = Frame(np.array([NOW - 2.0, NOW - 1.0]), b, np.array([[5.0], [7.0]]))
    stand.row(1.0, 8.0)
    stand.detection.promote(b, lambda slot: past)
    assert stand.row(1.0, 8.0).score.tolist() == [0.0, 10.0], "by what was learnt from the past"
    assert stand.detection.explain(int(b[0])) == "last was 8 last was 8"
    stand.detection.promote(b, lambda slot: past)
    assert stand.row(1.0, 9.0).score.tolist() == [0.0, 10.0], "learnt once"
    stand.detection.promote(b[:0], lambda slot: past)
    assert stand.row(2.0, 10.0).score.tolist() == [100.0, 1.0]
