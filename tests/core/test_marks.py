"""What people said moves the bar of a signature: bounded, decaying, taken back; limits and SLIs never."""

import numpy as np
import pytest

from aiops.core.detect import Scored
from aiops.core.marks import HALF_LIFE, HIGHEST, LOWEST, Said, moved
from aiops.core.siblings import Siblings, kind_of
from aiops.model.problem import Verdict
from aiops.model.series import SeriesIndex
from tests.core.test_anomalies import BAR, Stand
from tests.making import NOW, labels

LOAD = labels("load", service="web", pod="web-1")


def said(verdict: Verdict, made: float = NOW) -> Said:
    alert = {"labels": dict(LOAD), "kind": "anomaly"}
    return Said.of({"verdict": verdict.value, "made": made, "evidence": {"alerts": [alert, alert]}})


def test_a_false_alarm_moves_the_bar_of_its_kind_on_every_instance() -> None:
    index = SeriesIndex()
    slots = index.slots(
        [LOAD, labels("load", service="web", pod="web-2"), labels("load", service="db", pod="web-1")]
    )
    found = Siblings(index)
    ((kind, by),) = moved([said(Verdict.FALSE)], NOW).items()
    assert (kind, by) == (kind_of(LOAD), 1.0)
    assert found.bearing(kind).tolist() == slots[:2].tolist()


def test_it_is_bounded_decays_and_is_taken_back() -> None:
    kind = kind_of(LOAD)
    assert moved([said(Verdict.FALSE)] * 9, NOW) == {kind: HIGHEST}
    assert moved([said(Verdict.TRUE)] * 9, NOW) == {kind: LOWEST}
    assert moved([said(Verdict.FALSE)], NOW + HALF_LIFE) == {kind: pytest.approx(0.5)}
    assert moved([said(Verdict.FALSE)], NOW + 20 * HALF_LIFE) == {}
    assert moved([said(Verdict.FALSE), said(Verdict.TRUE), said(Verdict.TRUE)], NOW) == {}
    assert moved([said(Verdict.DUPLICATE)], NOW) == {}


@pytest.mark.parametrize("kind", ["sli", "limit", "forecast", "log"])
def test_only_anomalies_are_moved(kind: str) -> None:
    one = {"labels": dict(LOAD), "kind": kind}
    assert Said.of({"verdict": "false", "made": NOW, "evidence": {"alerts": [one]}}).anomalies == ()


def test_the_moved_bar_holds_for_its_series_alone() -> None:
    stand = Stand(series=3)
    stand.watch.moved = {0: 2.0, 1: -1.0}
    named = [dict(one.labels)["instance"] for one in stand.row(BAR + 1, BAR - 0.5, BAR - 0.5)]
    assert named == ["1"]
    named = [dict(one.labels)["instance"] for one in stand.row(BAR + 2, BAR - 1.5, BAR)]
    assert named == ["0", "2"]
    stand.watch.welcome(np.array([0], np.int32))
    assert stand.watch.moved == {1: -1.0}, "a slot's next series is another one"


def test_scores_are_compared_by_one_bar() -> None:
    stand, nothing, by = Stand(series=2), np.zeros(2), np.zeros(2, np.int8)
    scored = Scored(NOW, stand.slots, nothing, np.array([6.0, 7.0]), nothing, nothing, nothing, by)
    assert stand.watch.by_one_bar(scored) is scored
    stand.watch.moved = {1: 2.5}
    assert stand.watch.by_one_bar(scored).score.tolist() == [6.0, 4.5]
    assert scored.score.tolist() == [6.0, 7.0]
