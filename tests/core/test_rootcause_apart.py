"""One fault or several: what a component shows beyond all that those it calls account for."""

from dataclasses import replace

import numpy as np
import pytest

from aiops.core import rootcause_own
from aiops.core.rootcause_apart import faults
from aiops.core.rootcause_own import Parts, Symptom, unit_of
from aiops.core.rootcause_score import family
from aiops.core.rootcause_types import Evidence, Measure, Side

TIERS = ("proxy", "app", "db")
CHAIN = (("proxy", "app"), ("app", "db"))
LATENCY, ERRORS, LOAD = "request_latency_seconds", "request_error_ratio", "requests_per_second"
USUAL = {LATENCY: 0.1, ERRORS: 0.0, LOAD: 20.0}


def evidence(
    slow=None, failing=None, load=None, rows=24, metrics=(LATENCY, ERRORS, LOAD), factor=1.0, seed=0
):
    """Three tiers of which each adds `slow` seconds of its own and lets `failing` of its calls fail."""
    rng = np.random.default_rng(seed)
    measures = [Measure(tier, metric, family(metric)) for tier in TIERS for metric in metrics]
    usual = np.array([USUAL[m.metric] * (factor if m.metric == LATENCY else 1) for m in measures])
    spread = 0.02 * usual + 1e-4 * (usual == 0)
    normal = rng.normal(usual, spread, (60, len(measures)))
    window = rng.normal(usual, spread, (rows, len(measures)))
    for i, measure in enumerate(measures):
        below = TIERS[TIERS.index(measure.component) :]
        if measure.metric == LATENCY:
            window[:, i] += factor * sum((slow or {}).get(one, 0.0) for one in below)
        elif measure.metric == ERRORS:
            well = np.prod([1 - (failing or {}).get(one, 0.0) for one in below])
            window[:, i] = np.clip(window[:, i] + 1 - well, 0, 1)
        else:
            window[:, i] *= (load or {}).get(measure.component, 1.0)
    return Evidence(measures, np.maximum(normal, 0), window, CHAIN)


def found(case):
    return {one.component: set(one.symptoms) for one in faults(case)}


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", ["slow", "failing"])
def test_one_fault_is_one_wherever_it_is(tier, seed, kind):
    (one,) = faults(evidence(**{kind: {tier: 0.4}}, seed=seed))
    assert (one.component, set(one.symptoms)) == (tier, {Symptom(kind)})
    assert one.because == f"{tier} is {kind} and nothing that it calls is"


@pytest.mark.parametrize("pair", [("proxy", "app"), ("proxy", "db"), ("app", "db")])
@pytest.mark.parametrize("kind", ["slow", "failing"])
def test_two_faults_of_one_kind_in_one_chain_are_told_apart(pair, kind):
    assert found(evidence(**{kind: dict.fromkeys(pair, 0.4)})) == {one: {Symptom(kind)} for one in pair}


def test_it_says_how_much_is_its_own():
    _, proxy = sorted(faults(evidence({"app": 0.3, "proxy": 0.5})), key=lambda one: one.component)
    assert proxy.because == "proxy is slow by 500 ms more than app can account for"


@pytest.mark.parametrize("upper", ["proxy", "app"])
def test_failing_above_what_is_a_little_slow_is_another_fault(upper):
    assert found(evidence({"db": 0.3}, {upper: 0.3})) == {"db": {Symptom.SLOW}, upper: {Symptom.FAILING}}


def test_callers_give_up_on_what_is_very_slow():
    assert found(evidence({"db": 3.0}, {"app": 0.3})) == {"db": {Symptom.SLOW}}


def test_no_time_is_known_without_a_unit():
    case = evidence({"db": 0.3}, {"app": 0.3})
    strange = [replace(m, metric=m.metric.replace("_seconds", "")) for m in case.measures]
    assert found(replace(case, measures=strange)) == {"db": {Symptom.SLOW}}


def test_who_asks_again_is_slow_for_what_fails_below():
    assert found(evidence({"app": 0.3}, {"db": 0.5}, {"db": 1.8})) == {"db": {Symptom.FAILING}}
    assert found(evidence({"app": 0.3}, {"db": 0.5})) == {"db": {Symptom.FAILING}, "app": {Symptom.SLOW}}


def test_whether_it_is_asked_again_must_be_known():
    assert found(evidence({"app": 0.3}, {"db": 0.5}, metrics=(LATENCY, ERRORS))) == {"db": {Symptom.FAILING}}


def test_a_caller_that_asks_too_much_makes_its_callee_slow():
    driven = evidence({"db": 0.5}, {"app": 0.3}, {"db": 2.0})
    assert found(driven) == {"app": {Symptom.FAILING}}


def test_several_calls_a_request_count_several_times():
    """`app` asks `db` four times: its own excess is four times that of `db`, and no fault."""
    case = evidence({"db": 0.2})
    usual = 0.4
    for part in (case.normal, case.fault):
        part[:, [0, 3]] += usual
        part[:, [0, 3]] += 3 * np.maximum(part[:, [6]] - 0.1, 0.0)
        part[:, 8] *= 4
    assert found(case) == {"db": {Symptom.SLOW}}
    part = case.fault
    part[:, 0] += 2.0
    assert found(case) == {"db": {Symptom.SLOW}, "proxy": {Symptom.SLOW}}


def test_without_rates_or_times_any_number_of_calls_is_possible():
    case = evidence(failing={"db": 0.05, "app": 0.4}, metrics=(ERRORS,))
    assert found(case) == {"db": {Symptom.FAILING}}


def test_a_callee_that_is_silent_explains_all():
    case = evidence({"app": 0.4, "proxy": 0.4}, {"app": 0.3})
    assert found(replace(case, silent=frozenset({"db"}))) == {}


def test_what_only_callers_know_is_no_fault_of_its_own():
    case = evidence({"db": 0.4, "proxy": 0.4})
    assert found(replace(case, virtual=frozenset({"db"}))) == {"proxy": {Symptom.SLOW}}


def test_a_measured_call_speaks_for_what_its_callee_does_not_tell():
    case = evidence({"proxy": 0.4}, {"proxy": 0.3})
    call = Measure("proxy", LATENCY, family(LATENCY), "app", Side.CALLER)
    slow = replace(
        case,
        measures=[*case.measures, call],
        normal=np.column_stack([case.normal, case.normal[:, 0]]),
        fault=np.column_stack([case.fault, case.fault[:, 0]]),
    )
    assert found(slow) == {"proxy": {Symptom.FAILING}}, "the way to app took the time"


def test_the_second_may_come_later():
    first = evidence({"db": 0.4}, rows=60)
    both = evidence({"db": 0.4, "proxy": 0.6}, rows=60)
    assert set(found(first)) == {"db"}
    assert set(found(replace(first, late=both.fault))) == {"db", "proxy"}
    assert set(found(replace(first, late=evidence(rows=60).fault))) == {"db"}


def test_a_glimpse_is_not_enough():
    both = evidence({"db": 0.4, "proxy": 0.4}, rows=rootcause_own.ROWS)
    assert faults(both) == []
    late = evidence({"db": 0.4}, rows=24)
    late.fault[14:, 0] += 0.6
    assert found(late) == {"db": {Symptom.SLOW}}, "the window's first part does not say so"


def test_quiet_gaps_and_constants_are_no_fault():
    assert faults(evidence()) == []
    gaps = evidence({"db": 0.4})
    gaps.fault[:, :6] = np.nan
    assert set(found(gaps)) == {"db"}
    still = evidence({"db": 0.4})
    still.normal[:], still.fault[:] = 1.0, 1.0
    assert faults(still) == []


def test_without_symptoms_nothing_is_told():
    assert faults(evidence(load={"db": 3.0}, metrics=(LOAD,))) == []


def test_availability_is_failing_told_otherwise():
    for whole in (1.0, 100.0):
        case = evidence(failing={"db": 0.4, "proxy": 0.4})
        named = [
            replace(m, metric="availability", family=family("availability")) if m.metric == ERRORS else m
            for m in case.measures
        ]
        for part in (case.normal, case.fault):
            part[:, 1::3] = whole * (1 - part[:, 1::3])
        assert set(found(replace(case, measures=named))) == {"db", "proxy"}


@pytest.mark.parametrize(
    ("metric", "seconds"),
    [
        (LATENCY, 1.0),
        ("latency_ms", 1e-3),
        ("PodServerLatencyP90(s)", 1.0),
        ("took_us", 1e-6),
        ("errors", 0.0),
    ],
)
def test_units_of_times(metric, seconds):
    assert unit_of(metric) == seconds


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_a_cycle_of_calls_ends_and_scale_does_not_matter(factor):
    case = replace(evidence({"db": 0.4, "proxy": 0.4}, factor=factor), calls=(*CHAIN, ("db", "proxy")))
    assert len(faults(case)) <= 2
    chain = replace(case, calls=CHAIN)
    assert set(found(chain)) == {"db", "proxy"}
    assert Parts(case).under(0) == {1, 2}
