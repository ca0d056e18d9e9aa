"""Which problems of the past resemble one."""

from aiops.core.similar import LEAST, alike, traits
from aiops.model.cause import Cause, Causes
from aiops.model.problem import Problem
from aiops.model.signal import AlertKind
from tests.making import NOW, firing

BY = ["service", "host"]
POOL = frozenset({"entity:checkout", "metric:db_pool", "metric:errors", "rule:checkout errors"})
SPREAD = {"entity:checkout": 40, "metric:errors": 30, "metric:db_pool": 2, "rule:checkout errors": 12}


def test_a_signature_names_components_metrics_limits_patterns_and_the_cause() -> None:
    log = firing("forewarn_log_lines", kind=AlertKind.LOG, rule="new pattern", template="T1", host="web-1")
    slo = firing("errors", kind=AlertKind.SLI, rule="checkout errors", service="checkout")
    problem = Problem("fw-1", NOW, alerts=[log, slo])
    assert traits(problem, BY) == {
        "entity:web-1",
        "pattern:T1",
        "entity:checkout",
        "metric:errors",
        "rule:checkout errors",
    }
    problem.causes = Causes((Cause("db", 3.0, 0.8, ("slow",), ""),), True, "db leads", NOW)
    assert "cause:db" in traits(problem, BY)


def test_the_same_signature_is_wholly_alike_and_a_shared_host_hardly() -> None:
    past = {1: POOL, 2: {"entity:checkout", "metric:gc_pause"}, 3: {"metric:db_pool", "entity:orders"}}
    found = alike(POOL, past, SPREAD, 100)
    assert [one.problem_id for one in found][:2] == [1, 3]
    assert found[0].score == 1.0
    assert found[0].because.startswith("same metric db_pool")
    assert 2 not in [one.problem_id for one in found]
    assert all(one.score >= LEAST for one in found)


def test_a_rare_trait_tells_more_than_a_common_one() -> None:
    mine = frozenset({"metric:common", "metric:rare"})
    past = {1: {"metric:common", "metric:x"}, 2: {"metric:rare", "metric:x"}}
    spread = {"metric:common": 90, "metric:rare": 2, "metric:x": 10}
    assert [one.problem_id for one in alike(mine, past, spread, 100)] == [2]


def test_the_latest_comes_first_among_equals_and_only_so_many() -> None:
    found = alike(POOL, dict.fromkeys(range(1, 9), POOL), SPREAD, 100)
    assert [one.problem_id for one in found] == [8, 7, 6, 5, 4]


def test_a_cause_counts_only_where_both_are_known() -> None:
    told = POOL | {"cause:db"}
    assert alike(POOL, {1: told}, SPREAD, 100)[0].score == 1.0
    assert alike(told, {1: told}, SPREAD, 100)[0].because.startswith("same likely cause db")
    other = alike(told, {1: POOL | {"cause:cache"}}, SPREAD, 100)
    assert not other or other[0].score < 0.7


def test_nothing_resembles_what_has_no_signature() -> None:
    assert alike(frozenset(), {1: POOL}, SPREAD, 100) == []
