"""Every anomaly says why it is one."""

import re

import numpy as np
import pytest

from aiops.core.marks import Said
from aiops.core.quiet import quiet_at
from aiops.core.siblings import kind_of
from aiops.engine.attention import heed
from aiops.model.frame import Change, Frame
from aiops.model.lifecycle import AlertState
from aiops.model.problem import Mark, Problem, Verdict
from aiops.model.series import Labels, labels_of
from aiops.model.signal import AlertKind
from aiops.store import problems, tables, ties
from aiops.store.database import Database
from detectors.adaptive import Adaptive
from tests.making import NOW, firing, labels
from tests.walk import SOURCE, Walk, config_of


def pod(number: int) -> Labels:
    return labels("queue_length", service="web", pod=f"web-{number}")


def learnt(made: Walk, rows: int = 20_000) -> None:
    """Three pods at 100, with a spread of 1."""
    slots = made.state.index.slots(pod(n) for n in range(3))
    noise = np.random.default_rng(0).normal(100.0, 1.0, (rows, 3))
    times = made.clock.now() - 2.0 * np.arange(rows, 0, -1, dtype=float)
    made.state.learn(Frame(times, slots, noise))


async def test_a_firing_anomaly_tells_why_it_is_one(
    db: Database,
) -> None:
    made = Walk(db, config_of(detection={"detectors": [{"kind": "adaptive"}]}))
    learnt(made)
    for _ in range(5):
        await made.row({pod(0): 140.0, pod(1): 99.5, pod(2): 100.5})
    (alert,) = [a for a in made.state.alerting.live.values() if a.state is AlertState.FIRING]
    assert re.search(r"adaptive scores it \d+\.\d, the bar is \d\.\d", alert.reason)
    assert "expected about" in alert.reason
    assert "trend" in alert.reason
    assert "its 2 siblings are at 99.5 to 100.5" in alert.reason
    told = re.search(r"at ([\d.]+), ([\d.]+) less, it would have kept quiet", alert.reason)
    assert told is not None
    assert 100 < float(told[1]) < 125
    assert float(told[1]) + float(told[2]) == pytest.approx(140.0, abs=0.1)


def test_the_value_that_would_have_kept_quiet_is_where_the_score_meets_the_bar() -> None:
    detector, slots = Adaptive(), np.array([0], np.int32)
    values = np.random.default_rng(1).normal(10.0, 1.0, (5000, 1))
    detector.learn(Frame(NOW + 2.0 * np.arange(5000.0), slots, values), np.ones((5000, 1), np.bool_))
    at = NOW + 10_000.0
    quiet = quiet_at(detector, 0, at, 10.0, -30.0, 5.0)

    def score(value: float) -> float:
        return float(detector.score(Frame(np.array([at + 0.5]), slots, np.array([[value]]))).score[0, 0])

    assert score(quiet) < 5.0 <= score(quiet - 0.02)
    assert np.isnan(quiet_at(detector, 0, at, 10.0, -30.0, 1e9)), "it would have kept quiet anyway"


async def test_a_replica_unlike_its_siblings_is_told_what_would_have_kept_it_quiet(db: Database) -> None:
    made = Walk(db, config_of(detection={"detectors": [{"kind": "peers", "match": "load"}]}))
    hosts = [labels("load", host=f"h{n}") for n in range(8)]
    noise = np.random.default_rng(2).normal(50.0, 1.0, (500, 8))
    slots = made.state.index.slots(hosts)
    made.state.learn(Frame(NOW - 2.0 * np.arange(500.0, 0.0, -1.0), slots, noise))
    for _ in range(5):
        await made.row(dict.fromkeys(hosts, 50.5) | {hosts[3]: 90.0, hosts[4]: 49.5, hosts[5]: 48.5})
    (alert,) = [a for a in made.state.alerting.live.values() if a.state is AlertState.FIRING]
    told = re.search(r"at ([\d.]+), ([\d.]+) less, it would have kept quiet", alert.reason)
    assert told is not None, alert.reason
    assert 51 < float(told[1]) < 80


async def test_what_people_said_reaches_the_bars_from_the_store(db: Database) -> None:
    made = Walk(db, config_of(detection={"detectors": [{"kind": "adaptive"}]}))
    learnt(made)
    alert = firing("queue_length", service="web", pod="web-7")
    judged = Problem("fw-1", NOW, "queue", alerts=[alert], updated=NOW)
    with db.begin() as conn:
        problems.save_problems(conn, [judged])
        ties.judge(conn, judged, Mark(Verdict.FALSE), NOW, "sre")
        rows = ties.standing(conn, NOW - 1)
    heed(made.state, [Said.of(row) for row in rows], NOW)
    assert made.state.anomalies.moved == {0: 1.0, 1: 1.0, 2: 1.0}
    with db.begin() as conn:
        ties.judge(conn, judged, Mark(Verdict.TRUE), NOW + 1, "sre")
        rows = ties.standing(conn, NOW - 1)
    heed(made.state, [Said.of(row) for row in rows], NOW + 1)
    assert made.state.anomalies.moved == {0: -0.5, 1: -0.5, 2: -0.5}
    assert kind_of(pod(0)) == kind_of(alert.labels)


@pytest.mark.parametrize("limit", [None, 120.0])
async def test_after_a_deploy_a_new_level_is_learnt_sooner_unless_a_limit_speaks(
    db: Database, limit: float | None
) -> None:
    detection = {"detectors": [{"kind": "adaptive"}], "relearn_after_change": "60s"}
    limits = [{"match": "queue_length", "breach": {"above": limit}}] if limit else []
    made = Walk(db, config_of(detection=detection, limits=limits))
    learnt(made)
    await made.hear((SOURCE, Change(made.clock.now(), "deploy", "web 2.0", labels_of({"service": "web"}))))
    for _ in range(60):
        await made.row({pod(n): 140.0 + 0.5 * (-1) ** n for n in range(3)})
    odd = [a for a in made.state.alerting.live.values() if a.kind is AlertKind.ANOMALY]
    told = [row["reason"] for row in await made.stored(tables.audit)]
    hint = "to be learnt after 60 s instead of 1 h unless more is wrong, as it follows deploy: web 2.0"
    assert any(hint in text for text in told)
    learning = [text for text in told if text.startswith("series that are learnt from now on")]
    expected = [float(made.state.recent.points(slot)["expected"][-1]) for slot in range(3)]
    if limit:
        assert len(odd) == 3
        assert not learning
        assert max(expected) < 110
        assert made.problem.alerts
    else:
        assert learning[0].endswith("60 s after they fired, following deploy: web 2.0 (service web)")
        assert min(expected) > 110, "it learns the new level"
