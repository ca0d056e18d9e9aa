"""Label sets and their slots: given, reused, announced, snapshot and restored."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from aiops.model.selector import Selector
from aiops.model.series import Labels, SeriesIndex, fingerprint, labels_of, text_of

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
label_sets = st.dictionaries(words, words, min_size=1, max_size=3).map(labels_of)


def named(name: str) -> Labels:
    return labels_of({"__name__": name})


def test_labels_are_sorted_and_empty_values_count_as_absent() -> None:
    assert labels_of({"b": "2", "a": "1", "c": ""}) == (("a", "1"), ("b", "2"))


@given(label_sets, label_sets)
def test_fingerprints_differ_where_label_sets_do(one: Labels, other: Labels) -> None:
    assert (fingerprint(one) == fingerprint(other)) == (one == other)
    assert len(fingerprint(one)) == 16


def test_text_of_a_series_is_what_prometheus_would_print() -> None:
    labels = labels_of({"__name__": "up", "job": 'a"b\\c', "host": "h"})
    assert text_of(labels) == 'up{host="h", job="a\\"b\\\\c"}'
    assert text_of(named("up")) == "up"


@given(st.dictionaries(st.sampled_from(["a", "b_c", "d"]), words, max_size=3), st.sampled_from(["up", "x:y"]))
def test_text_of_a_series_selects_that_series(pairs: dict[str, str], name: str) -> None:
    labels = labels_of({"__name__": name, **pairs})
    assert Selector.parse(text_of(labels)).matches(dict(labels))


def test_a_reused_slot_is_announced_again() -> None:
    index = SeriesIndex()
    first = index.slot(named("a"))
    assert index.take_fresh().tolist() == [first]
    assert index.take_fresh().tolist() == []
    index.touch(np.array([first], np.int32), 10.0)
    index.evict(0.0)
    assert index.evict(20.0).tolist() == [first]
    assert index.slot(named("b")) == first
    assert index.take_fresh().tolist() == [first]
    with pytest.raises(KeyError):
        index.labels(first + 1)


def test_a_slot_whose_first_samples_are_still_on_their_way_is_not_evicted() -> None:
    """A source asks for the slot, then its frame waits in the queue behind an eviction."""
    index = SeriesIndex()
    waiting = index.slot(named("a"))
    assert index.evict(before=1e9).tolist() == []
    assert index.labels(waiting) == named("a")
    assert index.evict(before=1e9).tolist() == [waiting]


def test_a_series_that_comes_back_just_before_it_is_forgotten_stays() -> None:
    index = SeriesIndex()
    slot = index.slot(named("a"))
    index.touch(np.array([slot], np.int32), 10.0)
    index.evict(0.0)
    assert index.slots([named("a")]).tolist() == [slot]
    assert index.evict(1e6).tolist() == []


def test_time_of_a_late_sample_does_not_make_a_series_older() -> None:
    index = SeriesIndex()
    slots = index.slots([named("a")])
    index.touch(slots, 100.0)
    index.touch(slots, 40.0)
    assert index.last_seen(int(slots[0])) == 100.0


def test_select_gives_ascending_slots_of_what_matches() -> None:
    index = SeriesIndex()
    slots = index.slots([named("up"), named("down"), labels_of({"__name__": "up", "job": "x"})])
    assert index.select(Selector.parse("up")).tolist() == [slots[0], slots[2]]
    assert index.select(Selector.parse('{job=~"y|z"}')).tolist() == []


class IndexMachine(RuleBasedStateMachine):
    """SeriesIndex against a plain dict of what it should hold."""

    @initialize()
    def start(self) -> None:
        self.index = SeriesIndex()
        self.model: dict[Labels, tuple[int, float]] = {}
        self.handed: set[Labels] = set()
        self.unannounced: list[int] = []
        self.now = 100.0

    @rule(labels=label_sets)
    def ask(self, labels: Labels) -> None:
        taken = {slot for slot, _ in self.model.values()}
        slot = self.index.slot(labels)
        if labels in self.model:
            assert slot == self.model[labels][0]
        else:
            assert slot not in taken
            self.model[labels] = (slot, 0.0)
            self.unannounced.append(slot)
        self.handed.add(labels)

    @rule(labels=label_sets)
    def look(self, labels: Labels) -> None:
        known = self.model.get(labels)
        assert self.index.find(labels) == (known[0] if known else None)

    @rule(step=st.floats(0, 50))
    def see_all(self, step: float) -> None:
        self.now += step
        slots = np.array([slot for slot, _ in self.model.values()], np.int32)
        self.index.touch(slots, self.now)
        self.model = {labels: (slot, self.now) for labels, (slot, _) in self.model.items()}

    @rule(back=st.floats(0, 60))
    def evict(self, back: float) -> None:
        before = self.now - back
        keep = {k: v for k, v in self.model.items() if v[1] >= before or k in self.handed}
        gone = {self.model[labels][0] for labels in set(self.model) - set(keep)}
        assert set(self.index.evict(before).tolist()) == gone
        self.model, self.handed = keep, set()

    @rule()
    def announce(self) -> None:
        assert self.index.take_fresh().tolist() == self.unannounced
        self.unannounced = []

    @rule()
    def restart(self) -> None:
        """What is not announced is announced by the snapshot's maker first: `checkpoint.capture` does."""
        self.announce()
        self.index = SeriesIndex.restore(self.index.arrays())
        self.handed = set()

    @invariant()
    def holds_what_the_model_holds(self) -> None:
        if not hasattr(self, "index"):
            return
        assert {labels: slot for slot, labels in self.index.items()} == {
            k: v[0] for k, v in self.model.items()
        }
        assert len(self.index) == len(self.model)
        assert all(slot < self.index.capacity for slot, _ in self.model.values())
        for labels, (slot, seen) in self.model.items():
            assert self.index.labels(slot) == labels
            assert self.index.last_seen(slot) == seen


TestIndexMachine = IndexMachine.TestCase
TestIndexMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
