"""Who is near whom."""

import pytest

from aiops.core.topology import Topology
from tests.making import NOW

CHAIN = [("proxy", "app"), ("app", "db"), ("db", "disk"), ("batch", "db")]


def test_two_hops_in_any_direction() -> None:
    assert Topology(CHAIN).near("app") == {"app": 0, "proxy": 1, "db": 1, "disk": 2, "batch": 2}


def test_strangers_and_self_calls() -> None:
    topology = Topology([("a", "a")])
    assert topology.near("a") == {"a": 0}
    assert (topology.size, topology.links()) == (0, [])


def test_cycles_end() -> None:
    topology = Topology([("a", "b"), ("b", "c"), ("c", "a")])
    assert topology.near("a") == {"a": 0, "b": 1, "c": 1}
    assert topology.reach("b") == 3


def test_a_new_link_counts_at_once_and_once() -> None:
    topology = Topology(CHAIN)
    assert "cache" not in topology.near("app")
    topology.link("app", "cache")
    topology.link("app", "cache")
    assert topology.near("app")["cache"] == 1
    assert topology.size == 6
    assert topology.links().count(("app", "cache")) == 1


def test_relations_in_words() -> None:
    topology = Topology(CHAIN)
    assert topology.relation("app", "db") == "caller of db"
    assert topology.relation("db", "app") == "called by app"
    assert topology.relation("proxy", "db") == "two hops from db by app"


def test_components_of_some_entities() -> None:
    topology = Topology([*CHAIN, ("x", "y")])
    parts = topology.components(["proxy", "db", "x", "app", "y", "lone"])
    assert [sorted(part) for part in parts] == [["app", "db", "proxy"], ["x", "y"], ["lone"]]
    assert [sorted(p) for p in topology.components(["proxy", "db"])] == [["proxy"], ["db"]]


DAY = 86400.0


def test_an_observed_link_counts_for_a_day_and_its_history_for_a_week() -> None:
    topology = Topology([("proxy", "app")])
    topology.see("app", "cache", NOW)
    topology.see("app", "cache", NOW + 600)
    topology.forget(NOW + 600 + DAY)
    assert topology.links() == [("app", "cache"), ("proxy", "app")]
    topology.forget(NOW + 601 + DAY)
    assert topology.links() == [("proxy", "app")]
    assert (topology.size, topology.near("app")) == (2, {"app": 0, "proxy": 1})
    assert topology.links(NOW + 300) == [("app", "cache"), ("proxy", "app")]
    topology.forget(NOW + 8 * DAY)
    assert topology.links(NOW + 300) == [("proxy", "app")]


def test_a_link_that_was_away_was_not_there_in_between() -> None:
    topology = Topology()
    topology.see("app", "cache", NOW)
    topology.see("app", "cache", NOW + 5 * 3600)
    there = [at for at in range(0, 7 * 3600, 1800) if topology.links(NOW + at)]
    assert there == [0, 1800, 3600, 18000, 19800, 21600]


def test_declared_links_are_never_forgotten_though_they_are_seen_too() -> None:
    topology = Topology([("proxy", "app")])
    topology.see("proxy", "app", NOW)
    topology.forget(NOW + 30 * DAY)
    assert topology.links() == [("proxy", "app")]


def test_what_was_observed_outlives_a_restart_and_a_reload() -> None:
    before = Topology([("proxy", "app")])
    before.see("app", "cache", NOW)
    after = Topology([("batch", "db")])
    after.restore(before.snapshot(), NOW)
    assert after.links() == [("app", "cache"), ("batch", "db")]
    reloaded = Topology()
    reloaded.adopt(after)
    assert reloaded.links() == [("app", "cache")]
    with pytest.raises(ValueError, match="no snapshot"):
        after.restore([1, 2], NOW)
    assert after.links() == [("app", "cache"), ("batch", "db")]


def test_what_is_below_goes_all_the_way_down_and_round_cycles() -> None:
    topology = Topology([*CHAIN, ("disk", "app")])
    assert topology.below(["proxy"], 60) == ["proxy", "app", "db", "disk"]
    assert topology.below(["proxy"], 2) == ["proxy", "app"]
