"""Root cause: who is named, why, and when nothing is known."""

from dataclasses import replace

import numpy as np
import pytest

from aiops.core.rootcause import rank
from aiops.core.rootcause_graph import Graph, widest
from aiops.core.rootcause_score import Family, family, shifts
from aiops.core.rootcause_types import Changed, Evidence, Measure, Side

CHAIN = (("proxy", "app"), ("app", "db"))


def quiet(names, rows=300, seed=3, level=100.0):
    return np.random.default_rng(seed).normal(level, 2.0, (rows, len(names)))


def chain(**odd):
    """Latency of proxy, app and db, and db's CPU, over a window in which `odd` columns have moved."""
    measures = [Measure(c, "latency p95", Family.LATENCY) for c in ("proxy", "app", "db")]
    measures.append(Measure("db", "cpu", Family.RESOURCE))
    fault = quiet(measures, 10, seed=4)
    ramp = np.linspace(0.5, 1.0, 10)
    for i, name in enumerate(("proxy", "app", "db", "cpu")):
        fault[:, i] += odd.get(name, 0.0) * ramp
    return Evidence(measures, quiet(measures), fault, CHAIN)


@pytest.mark.parametrize("sli", [None, 0])
@pytest.mark.parametrize(
    ("odd", "cause"),
    [
        ({"proxy": 100}, "proxy"),
        ({"proxy": 100, "app": 110}, "app"),
        ({"proxy": 100, "app": 110, "db": 120}, "db"),
    ],
)
def test_the_deepest_that_shows_the_symptom_is_named(odd, cause, sli):
    evidence = chain(**odd)
    evidence = Evidence(evidence.measures, evidence.normal, evidence.fault, CHAIN, sli)
    verdict = rank(evidence)
    assert verdict.known
    assert verdict.ranked[0].component == cause


def test_without_the_graph_a_callee_explains_nothing():
    evidence = chain(proxy=300, app=110)
    loose = Evidence(evidence.measures, evidence.normal, evidence.fault)
    assert rank(loose).ranked[0].component == "proxy"
    assert rank(evidence).ranked[0].component == "app"


def test_resources_are_nobody_elses():
    assert rank(chain(proxy=60, cpu=200)).ranked[0].component == "db"


@pytest.mark.parametrize(
    ("odd", "cause"),
    [
        ({"proxy": 20, "cpu": 200}, "proxy"),
        ({"proxy": 20, "app": 21, "db": 22, "cpu": 200}, "db"),
    ],
)
def test_what_is_odd_below_is_no_cause_where_all_on_the_way_to_it_are_well(odd, cause):
    evidence = chain(**odd)
    fired = [replace(m, fired=m.component == "proxy") for m in evidence.measures]
    assert rank(replace(evidence, measures=fired)).ranked[0].component == cause


def test_what_the_suffering_call_themselves_may_be_the_cause_without_a_symptom_of_its_own():
    """A database that refuses connections answers those it has as fast as ever."""
    evidence = replace(chain(proxy=20, cpu=200), calls=[("proxy", "db")])
    fired = [replace(m, fired=m.component == "proxy") for m in evidence.measures]
    assert rank(replace(evidence, measures=fired)).ranked[0].component == "db"


def test_a_component_without_symptoms_stands_in_nobodys_way():
    evidence = chain(proxy=20, cpu=200)
    proxy, _, _, cpu = evidence.measures
    blind = replace(
        evidence,
        measures=[replace(proxy, fired=True), cpu],
        normal=evidence.normal[:, [0, 3]],
        fault=evidence.fault[:, [0, 3]],
        calls=[("proxy", "db")],
    )
    assert rank(blind).ranked[0].component == "db"


@pytest.mark.parametrize("factor", [1e-9, 1.0, 1e9])
def test_units_do_not_matter(factor):
    evidence = chain(proxy=100, app=110)
    scale = np.array([1.0, factor, 1.0, factor])
    other = Evidence(evidence.measures, evidence.normal * scale, evidence.fault * scale, CHAIN)
    mine, theirs = rank(evidence), rank(other)
    assert [c.component for c in mine.ranked] == [c.component for c in theirs.ranked]
    assert mine.ranked[0].score == pytest.approx(theirs.ranked[0].score, rel=1e-3)


def test_a_quiet_window_is_unknown():
    verdict = rank(chain())
    assert not verdict.known
    assert verdict.because == "nothing stands out from what chance brings"
    assert len(verdict.ranked) == 3


def test_one_point_is_too_little():
    evidence = chain(proxy=100, app=100)
    verdict = rank(Evidence(evidence.measures, evidence.normal, evidence.fault[:1], CHAIN))
    assert not verdict.known
    assert "points" in verdict.because


def test_nothing_measured_is_unknown():
    verdict = rank(Evidence([], np.empty((0, 0)), np.empty((0, 0))))
    assert (verdict.known, verdict.ranked) == (False, ())


def test_shapes_must_fit():
    with pytest.raises(ValueError, match="2 measures"):
        rank(Evidence([Measure("a", "x", Family.LOAD)] * 2, np.ones((5, 1)), np.ones((5, 2))))


def test_absent_samples_are_no_anomaly():
    evidence = chain(app=100)
    fault, normal = evidence.fault.copy(), evidence.normal.copy()
    fault[:, 2], normal[:, 3] = np.nan, np.nan
    verdict = rank(Evidence(evidence.measures, normal, fault, CHAIN))
    assert verdict.ranked[0].component == "app"
    assert verdict.ranked[-1].component == "db"
    assert verdict.ranked[-1].score == 0.0


def test_a_metric_without_spread_needs_an_effect_worth_a_word():
    normal, fault = np.full((100, 2), 50.0), np.full((10, 2), 50.0)
    fault[:, 1] = 50.04
    strength = shifts(normal, fault, [Family.LOAD, Family.LOAD]).strength
    assert strength[0] == 0
    assert strength[1] < 1
    fault[:, 1] = 75.0
    assert shifts(normal, fault, [Family.LOAD, Family.LOAD]).strength[1] > 10


def test_better_is_not_worse():
    normal = quiet(range(2))
    fault = np.stack([np.full(10, 50.0), np.full(10, 150.0)], axis=1)
    strength = shifts(normal, fault, [Family.LATENCY, Family.AVAILABILITY]).strength
    assert list(strength) == [0, 0]


def test_sampling_more_often_does_not_shout():
    slow = shifts(quiet([1], 400), quiet([1], 10, 5) + 8, [Family.LOAD]).strength[0]
    fast = shifts(quiet([1], 4000), quiet([1], 100, 5) + 8, [Family.LOAD]).strength[0]
    assert slow > 1
    assert fast == pytest.approx(slow, rel=1.5)


def test_slow_calls_name_the_callee_where_all_its_callers_wait():
    ends = [("a", "db"), ("b", "db"), ("a", "cache")]
    measures = [Measure(x, "latency", Family.LATENCY, y, Side.CALLER) for x, y in ends]
    fault = quiet(measures, 10, seed=5)
    fault[:, :2] += 100
    first = rank(Evidence(measures, quiet(measures), fault, ends)).ranked[0]
    assert first.component == "db"
    assert "a -> db" in first.reasons[0] or "b -> db" in first.reasons[0]


def test_what_the_callee_measured_itself_is_not_the_way():
    measures = [
        Measure("a", "latency", Family.LATENCY, "db", Side.CALLER),
        Measure("a", "latency", Family.LATENCY, "db", Side.CALLEE),
        Measure("a", "latency", Family.LATENCY, "web", Side.CALLER),
        Measure("a", "latency", Family.LATENCY, "web", Side.CALLEE),
    ]
    fault = quiet(measures, 10, seed=5)
    fault[:, [0, 2]] += 6
    fault[:, 3] += 40
    causes = rank(Evidence(measures, quiet(measures), fault)).ranked
    score = {cause.component: cause.score for cause in causes}
    assert score["db"] >= score["web"]


def test_a_fresh_deploy_tips_the_scale_and_is_said():
    evidence = chain(proxy=50, cpu=48)
    before = rank(evidence).ranked[0].component
    other = "db" if before == "proxy" else "proxy"
    changes = [Changed(other, 60.0, f"deployed {other} 1.4")]
    with_change = Evidence(evidence.measures, evidence.normal, evidence.fault, CHAIN, changes=changes)
    first = rank(with_change).ranked[0]
    assert first.component == other
    assert f"deployed {other} 1.4, 60 s before it began" in first.reasons
    old = [Changed(other, 7200.0, "deployed long ago")]
    stale = Evidence(evidence.measures, evidence.normal, evidence.fault, CHAIN, changes=old)
    assert rank(stale).ranked[0].component == before


def test_a_change_alone_is_no_evidence():
    quiet_one = chain()
    changes = [Changed("app", 5.0, "deployed")]
    evidence = Evidence(quiet_one.measures, quiet_one.normal, quiet_one.fault, CHAIN, changes=changes)
    assert not rank(evidence).known


def test_a_component_known_only_by_its_callers_comes_after_one_with_a_face():
    measures = [Measure(c, "latency", Family.LATENCY) for c in ("front", "elb", "service")]
    fault = quiet(measures, 10, seed=6)
    fault += np.linspace(20, 100, 10)[:, None]
    calls = [("front", "elb"), ("front", "service")]
    evidence = Evidence(measures, quiet(measures), fault, calls, 0, virtual=frozenset({"elb"}))
    assert [c.component for c in rank(evidence).ranked[:2]] == ["service", "elb"]


def test_with_an_sli_a_component_without_symptoms_of_its_own_can_be_named():
    measures = [Measure(c, "latency p95", Family.LATENCY) for c in ("proxy", "app")]
    measures += [Measure("db", "cpu", Family.RESOURCE), Measure("batch", "cpu", Family.RESOURCE)]
    fault = quiet(measures, 10, seed=7)
    fault[:, 0] += np.linspace(10, 60, 10)
    fault[:, 2:] += 300.0
    calls = [("proxy", "db"), ("proxy", "app")]
    names = [c.component for c in rank(Evidence(measures, quiet(measures), fault, calls, 0)).ranked]
    assert names[0] == "db"
    assert names.index("batch") > 0


def test_reasons_and_counterfactual_carry_the_numbers():
    first = rank(chain(proxy=100, app=110)).ranked[0]
    assert first.reasons[0].startswith("latency p95 rose from 100 to")
    assert "its callers show it too: proxy" in first.reasons
    assert "what it calls looks normal" in first.reasons
    text = first.counterfactual
    assert text.startswith("would look normal if latency p95 < ")
    assert 100 < float(text.rsplit(" ", 1)[1]) < 115


def test_a_bound_that_reads_as_the_usual_value_is_told_as_such():
    """Errors that never were: "would not have fired if errors < 0" is nothing that can be."""
    measures = [Measure("app", "log_error_lines_per_second", Family.ERRORS)]
    normal, fault = np.zeros((120, 1)), np.full((20, 1), 0.1)
    text = rank(Evidence(measures, normal, fault)).ranked[0].counterfactual
    assert text.endswith(" had stayed at 0")


def test_the_counterfactual_is_true():
    evidence = chain(proxy=100, app=110)
    bound = float(rank(evidence).ranked[0].counterfactual.rsplit(" ", 1)[1])
    fault = evidence.fault.copy()
    fault[:, 1] = np.minimum(fault[:, 1], bound * 0.99)
    again = rank(Evidence(evidence.measures, evidence.normal, fault, CHAIN))
    assert again.ranked[0].component != "app"


def test_cycles_end():
    graph = Graph(3, [(0, 1), (1, 2), (2, 0), (0, 0)])
    assert list(widest(graph, 0, np.array([0.1, 0.8, 0.5]))) == [1.0, 0.8, 0.5]


def test_what_cannot_be_reached_has_no_way():
    assert list(widest(Graph(3, [(0, 1)]), 0, np.ones(3))) == [1.0, 1.0, 0.0]


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("http_request_duration_seconds p95", Family.LATENCY),
        ("PodClientLatencyP90(s)", Family.WAITING),
        ("http_requests_failed", Family.ERRORS),
        ("probe_success", Family.AVAILABILITY),
        ("up", Family.AVAILABILITY),
        ("http_requests_per_second", Family.LOAD),
        ("host_network_receive_bytes_per_second", Family.IO),
        ("node_cpu", Family.SHARED),
        ("process_resident_memory_bytes", Family.RESOURCE),
        ("log template 14", Family.LOG),
    ],
)
def test_families_by_name(metric, expected):
    assert family(metric) is expected
