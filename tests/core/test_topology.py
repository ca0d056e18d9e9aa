"""Who is near whom."""

from aiops.core.topology import Topology

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
