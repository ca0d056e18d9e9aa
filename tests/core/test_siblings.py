"""A new series is given what its siblings know: how they vary, not where they stand."""

import numpy as np
import pytest
from numpy.typing import NDArray

from aiops.core import siblings
from aiops.core.siblings import ENOUGH, EVERY, Siblings
from aiops.engine.attention import acquaint
from aiops.engine.state import State
from aiops.model.frame import Frame
from aiops.model.series import Labels, SeriesIndex
from detectors.adaptive import Adaptive
from tests.making import NOW, labels
from tests.walk import config_of


def pod(number: int, service: str = "web", metric: str = "load") -> Labels:
    return labels(metric, service=service, pod=f"{service}-{number}", instance=f"10.0.0.{number}:80")


class Stand:
    """Elder pods of two workloads; `new` slots come later."""

    def __init__(self) -> None:
        self.index = SeriesIndex()
        self.elder = self.index.slots([pod(1), pod(2), pod(3, "db"), pod(4, metric="up")])
        self.index.take_fresh()
        self.siblings = Siblings(self.index)

    def come(self, *new: Labels) -> NDArray[np.int32]:
        self.index.slots(new)
        fresh = self.index.take_fresh()
        self.siblings.welcome(fresh)
        return fresh

    def ready(self, *slots: int) -> NDArray[np.bool_]:
        found = np.zeros(self.index.capacity, bool)
        found[list(slots)] = True
        return found


def test_siblings_agree_on_metric_and_workload_and_are_ready() -> None:
    stand = Stand()
    fresh = stand.come(pod(9), pod(9, "db"), pod(9, "shop"), pod(8))
    found = stand.siblings.of(fresh, stand.ready(*stand.elder))
    assert {slot: those.tolist() for slot, those in found.items()} == {
        fresh[0]: [stand.elder[0], stand.elder[1]],
        fresh[3]: [stand.elder[0], stand.elder[1]],
        fresh[1]: [stand.elder[2]],
    }
    assert stand.siblings.of(fresh, stand.ready()) == {}


@pytest.mark.parametrize(
    ("pod_name", "workload"),
    [
        ("web-dc6486c47-vlcjn", "web"),
        ("node-exporter-x7k2p", "node-exporter"),
        ("kafka-broker-12", "kafka-broker"),
        ("nightly-28374650-4bzkt", "nightly"),
        ("web-login", "web-login"),
        ("web", "web"),
    ],
)
def test_pods_of_one_workload_are_siblings_whatever_they_are_called(pod_name: str, workload: str) -> None:
    assert siblings.workload_of(pod_name) == workload
    index = SeriesIndex()
    named = [labels("load", namespace="a", pod=name) for name in (pod_name, f"{workload}-0", "other-0")]
    slots = index.slots(named)
    kinds = Siblings(index).columns["kind"][slots].tolist()
    assert kinds == [siblings.kind_of(each) for each in named]
    assert kinds[0] == kinds[1] != kinds[2]


def test_a_kind_is_that_of_the_labels_also_where_their_numbers_were_anothers() -> None:
    stand = Stand()
    for service in ("gone", "shop"):
        fresh = stand.come(pod(9, service), pod(8, service, metric="other"), labels("load", node="n"))
        kinds = stand.siblings.columns["kind"][fresh].tolist()
        assert kinds == [siblings.kind_of(stand.index.labels(slot)) for slot in fresh.tolist()]
        stand.index.evict(-np.inf)
        stand.index.touch(stand.elder, 2.0)
        assert len(stand.index.evict(1.0)) == 3, "so the next ones are given their numbers"


def test_a_series_waits_for_samples_of_its_own_and_is_looked_at_once() -> None:
    stand = Stand()
    fresh = stand.come(pod(9), pod(8))
    seen = np.zeros(stand.index.capacity, np.uint32)
    assert len(stand.siblings.due(seen, NOW)) == 0
    seen[fresh[0]] = ENOUGH
    assert len(stand.siblings.due(seen, NOW + 1)) == 0, "not each row asks"
    assert stand.siblings.due(seen, NOW + EVERY).tolist() == [fresh[0]]
    assert len(stand.siblings.due(seen, NOW + 2 * EVERY)) == 0


def test_a_first_contact_has_no_elder_siblings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(siblings, "MOST", 3)
    stand = Stand()
    fresh = stand.come(*(pod(n) for n in range(10, 14)))
    seen = np.full(stand.index.capacity, ENOUGH, np.uint32)
    assert len(fresh) == 4
    assert len(stand.siblings.due(seen, NOW)) == 0


def _learnt(detector: Adaptive, values: NDArray[np.float64], slot: int, start: float = NOW) -> None:
    times = start + 15.0 * np.arange(len(values), dtype=float)
    frame = Frame(times, np.array([slot], np.int32), values[:, None])
    detector.learn(frame, np.ones((len(values), 1), np.bool_))


def test_a_borrowed_spread_is_that_of_the_siblings_and_the_level_its_own() -> None:
    rng, detector = np.random.default_rng(0), Adaptive()
    for slot in (0, 1, 2):
        _learnt(detector, 100.0 + rng.standard_t(3, 2000), slot)
    _learnt(detector, 500.0 + rng.standard_t(3, ENOUGH), 3, NOW + 30_000)
    assert not detector.ready()[3]
    assert detector.borrow(3, np.array([0, 1, 2], np.int32))
    assert detector.ready()[3]
    scores = detector.score(
        Frame(np.array([NOW + 30_150.0]), np.arange(4, dtype=np.int32), np.full((1, 4), 500.0))
    )
    assert scores.score[0, 3] < 1.5
    assert scores.score[0, 0] > 4
    width = scores.upper[0] - scores.lower[0]
    assert width[3] == pytest.approx(width[:3].mean(), rel=0.5)


def test_what_is_not_alike_or_not_ready_lends_nothing() -> None:
    rng, detector = np.random.default_rng(0), Adaptive()
    _learnt(detector, rng.normal(size=2000), 0)
    _learnt(detector, 50 * rng.normal(size=ENOUGH), 1, NOW + 30_000)
    _learnt(detector, rng.normal(size=ENOUGH), 2, NOW + 30_000)
    before = detector.columns.snapshot()["blocks"]
    assert not detector.borrow(1, np.array([0], np.int32))
    assert not detector.borrow(1, np.array([2], np.int32))
    np.testing.assert_array_equal(detector.columns["blocks"], before)
    assert not detector.ready()[1]


def test_the_engine_makes_a_new_pod_ready_by_its_siblings() -> None:
    rng, index = np.random.default_rng(1), SeriesIndex()
    state = State(config_of(detection={"detectors": [Adaptive()]}), [], index)
    elder = index.slots([pod(1), pod(2)])
    times = NOW + 15.0 * np.arange(3000.0)
    state.learn(Frame(times, elder, rng.normal(size=(3000, 2))))
    (new, stranger) = index.slots([pod(9), pod(9, "shop")]).tolist()
    for at in range(ENOUGH):
        now = float(times[-1]) + 15.0 * (at + 1)
        state.learn(Frame(np.array([now]), np.array([new, stranger], np.int32), rng.normal(size=(1, 2))))
        assert not state.detection.ready()[new]
    acquaint(state, now)
    assert state.detection.ready()[[new, stranger]].tolist() == [True, False]
    assert state.anomalies.columns["seen"][[new, stranger]].tolist() == [3000, ENOUGH]
