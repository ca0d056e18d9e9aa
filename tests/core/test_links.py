"""Links and components, read off the labels of series."""

from collections.abc import Mapping

import numpy as np
import pytest

from aiops.core.components import Components
from aiops.core.kin import Kin
from aiops.core.links import Links
from aiops.core.rootcause_score import Family
from aiops.core.topology import Topology
from aiops.model.frame import Frame
from aiops.model.series import Labels, SeriesIndex
from tests.making import NOW, labels

BY = ["service", "instance"]
CALLS = [("client", "server")]
PAIRS = [*CALLS, ("service", "pod"), ("pod", "node")]
GRAPH = labels("traces_service_graph_request_total", client="shop", server="cart", instance="tempo")
POD = labels("container_memory_bytes", service="cart", pod="cart-1", node="n1")


class Stand:
    def __init__(self) -> None:
        self.index = SeriesIndex()
        self.topology = Topology()
        self.links = Links(self.index, self.topology, PAIRS)

    def row(self, values: Mapping[Labels, float], at: float = NOW) -> None:
        slots = self.index.slots(values)
        self.links.welcome(self.index.take_fresh())
        self.links.see(Frame(np.array([at]), slots, np.array([list(values.values())])))


def test_calls_and_what_runs_on_what_are_seen_while_their_series_are_not_0() -> None:
    stand = Stand()
    stand.row({GRAPH: 0.0, POD: 5.0, labels("load", service="cart"): 1.0})
    assert stand.topology.links() == [("cart", "cart-1"), ("cart-1", "n1")]
    stand.row({GRAPH: 3.0})
    assert ("shop", "cart") in stand.topology.links()


def test_a_link_is_seen_as_long_as_one_of_its_series_lives() -> None:
    stand = Stand()
    stand.row({POD: 5.0})
    stand.row({POD: np.nan}, NOW + 3600.0)
    stand.row({POD: 5.0}, NOW + 7300.0)
    assert stand.topology.links(NOW + 3650.0) == []


def test_a_slot_that_another_series_got_speaks_for_that() -> None:
    stand = Stand()
    stand.row({GRAPH: 1.0})
    (slot,) = stand.index.slots([GRAPH]).tolist()
    stand.index.evict(NOW + 1)  # one that was just asked for stays once
    stand.index.evict(NOW + 1)
    stand.row({labels("load", number=str(i)): 1.0 for i in range(200)}, NOW + 2)
    assert slot in stand.index.live().tolist()
    assert stand.topology.links(NOW + 3700) == []


def test_a_link_goes_on_being_seen_when_those_that_spoke_of_it_first_are_forgotten() -> None:
    stand = Stand()
    old, new = ([(*GRAPH, ("pod", f"{age}-{n}")) for n in range(4)] for age in ("a", "b"))
    stand.row(dict.fromkeys(old, 1.0))
    stand.row(dict.fromkeys(old + new, 1.0), NOW + 60.0)  # a rollout: both are there for a while
    stand.index.evict(NOW)
    stand.index.touch(stand.index.slots(new), NOW + 120.0)
    gone = stand.index.evict(NOW + 100.0)
    assert len(gone) == 4
    stand.links.forget(gone)
    stand.row(dict.fromkeys(new, 1.0), NOW + 7200.0)
    assert ("shop", "cart") in stand.topology.links(NOW + 7200.0)


def test_components_and_calls_have_the_series_that_speak_of_them() -> None:
    index = SeriesIndex()
    own, called, pod, nobody = index.slots(
        [labels("latency_seconds", service="cart", instance="a"), GRAPH, POD, labels("load")]
    ).tolist()
    components = Components(index, BY, CALLS, 100)
    assert components.slots("cart") == [own, pod]
    assert components.slots(("shop", "cart")) == [called]
    assert components.slots("tempo") == []
    assert components.calls_among(["shop", "cart", "db"]) == [("shop", "cart")]
    assert components.calls_among(["cart"]) == []
    assert components.family[own] is Family.LATENCY
    assert nobody not in components.family
    assert Components(index, BY, CALLS, 1).slots("cart") == [own], "no recent past is kept of the others"


def test_a_callers_own_view_of_a_call_is_its_own() -> None:
    index = SeriesIndex()
    (slot,) = index.slots([labels("client_seconds", service="shop", client="shop", server="cart")]).tolist()
    components = Components(index, BY, CALLS, 100)
    assert components.slots("shop") == [slot]


def test_who_keeps_failing_together_outlives_a_restart() -> None:
    kin, again = Kin(), Kin()
    for _ in range(4):
        kin.learn(["app", "db"])
    again.restore(kin.snapshot())
    assert again.of("app") == kin.of("app") == [("db", 1.0, 4, 4)]
    with pytest.raises(ValueError, match="no snapshot"):
        again.restore({"seen": 3})
    assert again.of("app") == [("db", 1.0, 4, 4)]
