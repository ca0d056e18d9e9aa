"""SeriesIndex many at a time: the same as one by one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.model.selector import Selector
from aiops.model.series import NAME, Labels, SeriesIndex, labels_of
from aiops.model.table import SlotTable

words = st.sampled_from(["a", "b", "up", "x=y"])
label_sets = st.dictionaries(words, words, max_size=3).map(labels_of)
many = st.lists(label_sets, max_size=12)


def numbers(index: SeriesIndex, batch: list[Labels]) -> tuple[np.ndarray, np.ndarray]:
    rows = [index.pairs.take(labels) for labels in batch]
    flat = np.array([number for row in rows for number in reversed(row)], np.int32)
    return flat, np.cumsum([0, *map(len, rows)])


@settings(max_examples=200, deadline=None)
@given(many, many, many)
def test_a_batch_gives_the_slots_that_single_questions_give(
    first: list[Labels], gone: list[Labels], then: list[Labels]
) -> None:
    index, single = SeriesIndex(), SeriesIndex()
    for batch in (first, gone, then):
        slots = index.slots_of(*numbers(index, batch))
        expected = single.slots(batch)
        assert [index.labels(int(s)) for s in slots] == batch == [single.labels(int(s)) for s in expected]
        assert [index.find(labels) for labels in batch] == slots.tolist()
        for one in (index, single):
            one.touch(one.slots(first), 2.0)
            one.evict(0.0)
            left = [one.find(labels) for labels in set(batch) - set(first)]
            assert set(one.evict(1.5).tolist()) == set(left)
    assert len(index) == len(set(first))
    assert len(index.take_fresh()) == len(single.take_fresh())


def test_a_large_batch_on_a_small_table() -> None:
    index = SeriesIndex()
    batch = [labels_of({"n": str(k)}) for k in range(5000)]
    slots = index.slots_of(*numbers(index, batch))
    assert slots.tolist() == list(range(5000))
    assert index.slots(batch).tolist() == slots.tolist()


@settings(max_examples=100, deadline=None)
@given(
    many,
    st.sampled_from(["{}", '{a="b"}', '{a!="b"}', '{a=~"|b"}', '{b!~"a|up",a="a"}', '{up=""}']),
    st.integers(0, 40),
)
def test_a_selector_matches_many_as_it_matches_one(batch: list[Labels], text: str, more: int) -> None:
    """More pairs than series, or fewer."""
    index, selector = SeriesIndex(), Selector.parse(text)
    index.pairs.take([("unused", str(k)) for k in range(more)])
    slots = index.slots(batch)
    expected = [selector.matches(dict(labels)) for labels in batch]
    assert index.matches(slots, selector).tolist() == expected
    assert index.select(selector).tolist() == sorted(
        {int(s) for s, hit in zip(slots, expected, strict=True) if hit}
    )


def test_a_free_slot_matches_nothing() -> None:
    index = SeriesIndex()
    slots = index.slots([labels_of({"a": "b"}), labels_of({"a": "c"})])
    index.touch(slots[:1], 5.0)
    index.evict(0.0)
    index.evict(1.0)
    assert index.matches(slots, Selector.parse("{}")).tolist() == [True, False]


def test_what_series_no_longer_use_is_given_back() -> None:
    index = SeriesIndex()
    for wave in range(50):
        pods = [labels_of({"pod": f"{wave}-{k}", "size": "x" * (wave % 7)}) for k in range(20)]
        index.touch(index.slots(pods), float(wave))
        index.evict(0.0)
        index.evict(wave - 0.5)
    assert index.capacity <= 40
    assert len(index.pairs) <= 60
    arrays = index.arrays()
    assert sum(array.nbytes for array in arrays.values()) < 40 * 64 + 60 * 32


def test_a_generation_tells_a_reused_slot_apart() -> None:
    index = SeriesIndex()
    slots = index.slots([labels_of({"a": "b"})])
    before = index.generations(slots).tolist()
    index.evict(0.0)
    index.evict(1.0)
    assert index.slots([labels_of({"a": "c"})]).tolist() == slots.tolist()
    assert index.generations(slots).tolist() != before
    assert index.evictions == 1


def used(gone: list[Labels]) -> SeriesIndex:
    """One whose slots and numbers of pairs were given before."""
    index = SeriesIndex()
    index.slots(gone)
    index.evict(0.0)
    index.evict(1.0)
    return index


@settings(max_examples=60, deadline=None)
@given(many, many)
def test_arrays_give_the_same_index_again(batch: list[Labels], more: list[Labels]) -> None:
    index = SeriesIndex()
    index.slots(more)
    index.touch(index.slots(batch), 3.0)
    index.evict(0.0)
    index.evict(1.0)
    again = SeriesIndex.restore(index.arrays())
    assert dict(again.items()) == dict(index.items())
    assert again.slots_of(*numbers(again, batch)).tolist() == index.slots(batch).tolist()
    # the free slots come again in another order, and no slot is given twice
    fresh = again.slots([labels_of({"new": str(k)}) for k in range(9)])
    assert len(set(fresh.tolist()) | set(again.slots(batch).tolist())) == 9 + len(set(batch))


def test_an_index_of_before_hashes_were_kept_is_taken_up() -> None:
    index = SeriesIndex()
    slots = index.slots([labels_of({"a": str(k), "b": "x"}) for k in range(9)])
    arrays = index.arrays()
    hashes = arrays.pop("hashes")
    again = SeriesIndex.restore(arrays)
    assert again.arrays()["hashes"].tolist() == hashes.tolist()
    assert again.slots([labels_of({"a": str(k), "b": "x"}) for k in range(9)]).tolist() == slots.tolist()
    with pytest.raises(ValueError, match="hashes"):
        SeriesIndex.restore(arrays | {"hashes": hashes[:-1]})


@settings(max_examples=100, deadline=None)
@given(many, many, st.lists(words, unique=True, max_size=3))
def test_sets_of_few_labels_are_told_once_each(
    gone: list[Labels], batch: list[Labels], asked: list[str]
) -> None:
    index = used(gone)
    slots = index.slots(batch)
    found, which = index.alike(slots, asked)
    assert len(found) == len(set(found))
    assert [found[k] for k in which] == [
        tuple(pair for pair in index.labels(slot) if pair[0] in asked) for slot in slots.tolist()
    ]


@settings(max_examples=100, deadline=None)
@given(many, many, st.lists(words, unique=True, max_size=3))
def test_what_many_have_as_a_label_is_what_each_has(
    gone: list[Labels], batch: list[Labels], asked: list[str]
) -> None:
    index = used(gone)
    slots = index.slots(batch)
    for label, found in zip(asked, index.bearing(slots, asked).tolist(), strict=True):
        texts = [dict(index.pairs.pairs([number])) if number >= 0 else {} for number in found]
        assert texts == [{k: v for k, v in labels if k == label} for labels in batch]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.dictionaries(st.sampled_from([NAME, "a", "b"]), words, max_size=3).map(labels_of), max_size=9
    ),
    many,
)
def test_a_batch_is_found_by_its_names_and_sums_what_its_labels_weigh(
    batch: list[Labels], gone: list[Labels]
) -> None:
    index = used(gone)
    slots = index.slots_of(*numbers(index, batch))
    for name in ("up", "a"):
        found = index.matches(slots, Selector.exact({NAME: name}))
        assert found.tolist() == [dict(labels).get(NAME) == name for labels in batch]
    weights = np.arange(1, len(index.pairs) + 1, dtype=np.uint64)
    rows = [index.pairs.find(labels) or [] for labels in batch]
    assert index.sums(slots, weights).tolist() == [sum(row) + len(row) for row in rows]
    assert index.sums(slots, index.pairs.hashes(np.arange(len(weights), dtype=np.int32))).tolist() == (
        index.hashes(slots).tolist()
    )


@pytest.mark.parametrize("share", [0.1, 0.9])
def test_whatever_share_of_the_series_goes_the_others_are_found(share: float) -> None:
    index = SeriesIndex()
    kept = [labels_of({"n": str(k)}) for k in range(2000)]
    index.slots(kept)
    index.evict(-1.0)
    alive = kept[int(share * len(kept)) :]
    index.touch(slots := np.array([index.find(labels) for labels in alive], np.int32), 2.0)
    assert len(index.evict(1.0)) == len(kept) - len(alive)
    assert [index.find(labels) for labels in alive] == slots.tolist()
    assert all(index.find(labels) is None for labels in kept[: -len(alive)])
    assert index.slots_of(*numbers(index, alive)).tolist() == slots.tolist()
    assert set(index.slots(kept)) == set(range(2000))


def test_homes_at_the_end_of_the_table_go_on_at_its_begin() -> None:
    """All hashes have the table's last cell as their home."""
    hashes = (np.arange(40, dtype=np.uint64) << np.uint64(32)) + np.uint64(255)
    table = SlotTable()
    table.rebuild(np.arange(40, dtype=np.int32), hashes, 0)
    found = [table.find(int(key), hashes.data, lambda slot: True) for key in hashes]
    assert found == list(range(40))
    table.remove(np.array([3, 7], np.int32), hashes)
    assert table.find(int(hashes[7]), hashes.data, lambda slot: True) == -1
    assert table.find(int(hashes[39]), hashes.data, lambda slot: True) == 39
