"""SLIs over series that a source yields, under labels of their own."""

import numpy as np

from aiops.core.slis import Named, SliSeries
from aiops.model.frame import Frame
from aiops.model.selector import Selector
from aiops.model.series import SeriesIndex
from tests.making import NOW, labels

PROBE = labels("probe_success", instance="http://shop", job="blackbox")
SHOP = Named(Selector.parse("probe_success"), {"service": "shop"})


def test_a_matching_series_is_copied_under_the_labels_of_its_sli_and_others_are_not() -> None:
    index = SeriesIndex()
    slots = index.slots([labels("load"), PROBE])
    slis = SliSeries(index, [SHOP])
    slis.welcome(index.take_fresh())
    frame = slis.beside(Frame(np.array([NOW, NOW + 1]), slots, np.array([[1.0, 0.5], [2.0, 0.25]])))
    assert frame.values.tolist() == [[1.0, 0.5, 0.5], [2.0, 0.25, 0.25]]
    copy = index.labels(int(frame.slots[2]))
    assert dict(copy) == dict(PROBE) | {"service": "shop"}
    assert slis.copies == {copy}
    assert SHOP.selector.matches(dict(copy))
    assert not SHOP.selector.matches(dict(PROBE))


def test_a_series_that_bears_the_labels_already_is_judged_itself() -> None:
    index = SeriesIndex()
    own = labels("probe_success", instance="http://shop", service="shop")
    slots = index.slots([own])
    slis = SliSeries(index, [SHOP])
    frame = Frame(np.array([NOW]), slots, np.array([[1.0]]))
    assert slis.beside(frame) is frame
    assert SHOP.selector.matches(dict(own))


def test_a_copy_that_was_forgotten_before_its_original_is_made_again() -> None:
    index = SeriesIndex()
    slots = index.slots([PROBE])
    slis = SliSeries(index, [SHOP])
    (copy,) = slis.copies
    index.evict(0.0)  # what was asked for stays once
    index.expect(slots)
    gone = index.evict(NOW)
    assert len(gone) == 1
    slis.forget(gone)
    index.slots(labels("load", number=str(i)) for i in range(9))
    frame = slis.beside(Frame(np.array([NOW]), slots, np.array([[1.0]])))
    assert [index.labels(int(slot)) for slot in frame.slots] == [PROBE, copy]
    assert slis.copies == {copy}


def test_what_is_left_of_a_series_that_went_is_forgotten() -> None:
    index = SeriesIndex()
    index.slots([PROBE])
    slis = SliSeries(index, [SHOP], [])
    index.evict(0.0)
    slis.forget(index.evict(NOW))
    assert slis.copies == set()


def test_a_slot_that_was_given_to_another_series_is_copied_no_more() -> None:
    index = SeriesIndex()
    (slot,) = index.slots([PROBE]).tolist()
    slis = SliSeries(index, [SHOP])
    index.touch(np.array([slot], np.int32), NOW)
    index.evict(NOW + 1)  # one that was just asked for stays once
    index.evict(NOW + 1)
    index.take_fresh()
    again = index.slots(labels("load", number=str(i)) for i in range(200))
    assert slot in again.tolist()
    slis.welcome(index.take_fresh())
    frame = Frame(np.array([NOW]), again, np.ones((1, 200)))
    assert slis.beside(frame) is frame
