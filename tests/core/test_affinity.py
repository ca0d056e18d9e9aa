"""Which alerts are one fault's, and the reason that is given."""

from collections import Counter

import numpy as np
import pytest

from aiops.core.affinity import IDLE, LIFE, MEGA, Affinity, Mark
from aiops.core.correlate import Correlator
from aiops.core.topology import Topology
from aiops.model.problem import Problem
from tests.making import NOW, firing, grouping

CHAIN = [("proxy", "app"), ("app", "db"), ("db", "disk")]


def chain() -> Affinity:
    """Known entities enough that one alert a minute is no storm."""
    links = [*CHAIN, *((f"other{i}", f"another{i}") for i in range(100))]
    return Affinity(Topology(links))


def test_a_caller_joins_soon_after_its_callee_and_says_so() -> None:
    affinity = chain()
    first = affinity.add(Mark(0, "db", "slow"))
    assert first.because == "nothing near in time and topology"
    placed = affinity.add(Mark(12, "app", "late"))
    assert (placed.group, placed.because) == (first.group, "caller of db, 12 s later")


@pytest.mark.parametrize(
    ("entity", "after", "joins"),
    [
        ("db", 80, True),
        ("app", 50, True),
        ("app", 75, False),
        ("proxy", 20, True),
        ("proxy", 40, False),
        ("other1", 1, False),
    ],
)
def test_farther_away_must_be_sooner(entity: str, after: float, joins: bool) -> None:
    affinity = chain()
    first = affinity.add(Mark(0, "db", "slow")).group
    assert (affinity.add(Mark(after, entity, "late")).group == first) is joins


def test_a_link_three_hops_away_is_none() -> None:
    affinity = chain()
    assert affinity.add(Mark(0, "disk", "full")).group != affinity.add(Mark(1, "proxy", "late")).group


def test_a_group_ends_when_idle_and_when_old() -> None:
    affinity = chain()
    first = affinity.add(Mark(0, "db", "slow")).group
    assert affinity.add(Mark(IDLE + 2, "db", "slow")).group != first
    affinity = chain()
    groups = {affinity.add(Mark(at, "db", "slow")).group for at in range(0, int(LIFE * 2), 30)}
    assert len(groups) == 2


def test_the_same_text_strengthens_and_never_joins_strangers() -> None:
    affinity = chain()
    first = affinity.add(Mark(0, "db", "refused")).group
    assert affinity.add(Mark(1, "other1", "refused")).group != first
    plain, alike = chain(), chain()
    for one in (plain, alike):
        one.add(Mark(0, "db", "refused"))
    assert plain.add(Mark(62, "app", "else")).because.startswith("nothing")
    assert alike.add(Mark(60, "app", "refused")).because.startswith("caller of db")


def test_the_same_namespace_joins_at_once_only() -> None:
    affinity = chain()
    first = affinity.add(Mark(0, "web-1", "x", "shop")).group
    soon = affinity.add(Mark(10, "cart-9", "y", "shop"))
    assert (soon.group, soon.because) == (first, "same namespace shop, 10 s later")
    assert affinity.add(Mark(11, "cart-8", "y", "bank")).group != first
    assert affinity.add(Mark(70, "cart-7", "y", "shop")).group != first


def test_what_keeps_failing_together_is_learnt_and_said() -> None:
    affinity = chain()
    for i in range(8):
        at = i * 1000.0
        affinity.add(Mark(at, "db", "slow"))
        affinity.add(Mark(at + 5, "proxy", "late"))
    at = 9000.0
    affinity.add(Mark(at, "db", "slow"))
    placed = affinity.add(Mark(at + 45, "proxy", "late"))
    assert placed.because == "co-occurred with db 8 of 8 times, 45 s later"
    assert affinity.find(placed.group) == placed.group


def test_two_groups_that_prove_one_are_merged_and_the_older_is_kept() -> None:
    affinity = chain()
    one = affinity.add(Mark(0, "disk", "full")).group
    two = affinity.add(Mark(0.5, "proxy", "late")).group
    assert one != two
    for _ in range(3):
        affinity.kin.learn(["app", "disk"])
        affinity.kin.learn(["app", "proxy"])
    placed = affinity.add(Mark(1, "app", "late"))
    assert (placed.group, placed.merged, affinity.find(two)) == (one, (two,), one)
    assert affinity.add(Mark(2, "proxy", "late")).group == one
    assert list(affinity.groups) == [one]


def storm(rate: float, count: int = 6000) -> Counter[int]:
    rng = np.random.default_rng(3)
    names = [f"e{i}" for i in range(1000)]
    links = [(names[i], names[int(rng.integers(1000))]) for i in range(1000)]
    affinity = Affinity(Topology(links))
    times = np.cumsum(rng.exponential(1 / rate, count))
    placed = [affinity.add(Mark(float(t), names[int(rng.integers(1000))], "x")).group for t in times]
    return Counter(affinity.find(group) for group in placed)


@pytest.mark.parametrize("rate", [5.0, 50.0])
def test_a_storm_at_random_does_not_collapse(rate: float) -> None:
    sizes = storm(rate)
    assert len(sizes) > 200
    assert max(sizes.values()) < 0.05 * sum(sizes.values())


def test_a_hubs_neighbours_are_not_one_fault() -> None:
    spokes = [("hub", f"s{i}") for i in range(200)]
    affinity = Affinity(Topology(spokes))
    rng = np.random.default_rng(1)
    groups = Counter(
        affinity.find(affinity.add(Mark(i * 2.0, f"s{int(rng.integers(200))}", "x")).group)
        for i in range(300)
    )
    assert max(groups.values()) < 100


def test_a_mega_group_is_cut_where_no_link_holds_it() -> None:
    links = [(f"{side}{i}", f"{side}{i + 1}") for side in "ab" for i in range(60)]
    links += [(f"far{i}", f"off{i}") for i in range(3000)]
    affinity = Affinity(Topology(links))
    for i in range(MEGA // 2 + 5):
        for side in "ab":
            affinity.add(Mark(i * 0.2, f"{side}{i}", "x", "shop"))
    ends = [affinity.add(Mark(9.0, f"{side}{MEGA // 2 + 4}", "y")).group for side in "ab"]
    assert ends[0] != ends[1]


def test_memory_is_bounded_by_what_lives() -> None:
    affinity = chain()
    for i in range(2000):
        affinity.add(Mark(i * 50.0, f"e{i % 40}", f"t{i}"))
    assert len(affinity.groups) <= 3
    assert sum(map(len, (affinity._by_entity, affinity._by_text, affinity._by_namespace))) < 20


# -- in the problems' hands


def test_an_alert_of_a_caller_joins_its_callees_problem() -> None:
    calls = {"proxy": ["app"], "app": ["db"], **{f"o{i}": [f"p{i}"] for i in range(50)}}
    correlator = Correlator(grouping(calls=calls))
    slow, late = firing("latency", service="db"), firing("errors", service="app")
    assert correlator.place(slow, [], NOW).problem is None
    slow.problem_key = "fw-1"
    problem = Problem("fw-1", NOW, alerts=[slow], last_evidence=NOW)
    placed = correlator.place(late, [problem], NOW + 12)
    assert (placed.problem, placed.because) == (problem, "caller of db, 12 s later")
    stranger = correlator.place(firing("errors", service="o1"), [problem], NOW + 12)
    assert stranger.problem is None
    other_team = firing("errors", service="app", team="core")
    assert correlator.place(other_team, [problem], NOW + 13).problem is None


def test_without_calls_only_labels_join() -> None:
    correlator = Correlator(grouping())
    slow = firing("latency", service="db")
    correlator.place(slow, [], NOW)
    slow.problem_key = "fw-1"
    problem = Problem("fw-1", NOW, alerts=[slow], last_evidence=NOW)
    assert correlator.place(firing("errors", service="app"), [problem], NOW + 1).problem is None
    same = correlator.place(firing("errors", service="db"), [problem], NOW + 2)
    assert same.because == "same service db, 2 s later"


def test_a_reload_takes_the_new_links_and_keeps_what_was_seen() -> None:
    old = Correlator(grouping())
    slow = firing("latency", service="db")
    old.place(slow, [], NOW)
    slow.problem_key = "fw-1"
    problem = Problem("fw-1", NOW, alerts=[slow], last_evidence=NOW)
    new = Correlator(grouping(calls={"app": ["db"], **{f"o{i}": [f"p{i}"] for i in range(50)}}))
    new.adopt(old)
    assert new.place(firing("errors", service="app"), [problem], NOW + 5).problem is problem
