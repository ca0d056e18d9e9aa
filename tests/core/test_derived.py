"""Series made of others: shares and the time that is left, and the ready limits that need them."""

import numpy as np
import pytest

from aiops.config.ready import READY
from aiops.core.derived import Derived
from aiops.core.slis import SliSeries
from aiops.engine.rules import derived_of, rules_of
from aiops.model.frame import Frame
from aiops.model.selector import Selector
from aiops.model.series import SeriesIndex, text_of
from aiops.model.signal import AlertKind
from tests.making import NOW, labels
from tests.walk import config_of


def derived(match: str, whole: str | None = None) -> Derived:
    return Derived(Selector.parse(match), Selector.parse(whole) if whole else None)


class Stand:
    """Series of an index with what is derived of them."""

    def __init__(self, *derived: Derived) -> None:
        self.index = SeriesIndex()
        self.series = SliSeries(self.index, [], derived)

    def row(self, **values: float) -> dict[str, float]:
        """``metric__mount`` -> value; what stands beside, by the series' text."""
        named = {labels(k.split("__")[0], mount=k.split("__")[1]): v for k, v in values.items()}
        slots = self.index.slots(named)
        self.series.welcome(self.index.take_fresh())
        frame = self.series.beside(Frame(np.array([NOW]), slots, np.array([list(named.values())])))
        return {
            text_of(self.index.labels(slot)): value
            for slot, value in zip(frame.slots.tolist(), frame.values[0].tolist(), strict=True)
        }


SPACE = derived("avail_bytes", "size_bytes")


def test_a_share_is_of_the_series_with_the_same_labels() -> None:
    found = Stand(SPACE).row(avail_bytes__a=5.0, avail_bytes__b=30.0, size_bytes__b=40.0, size_bytes__a=100.0)
    assert found['avail_ratio{mount="a"}'] == 0.05
    assert found['avail_ratio{mount="b"}'] == 0.75


def test_what_it_is_a_share_of_may_have_come_before_and_may_be_nothing() -> None:
    stand = Stand(SPACE)
    assert np.isnan(stand.row(avail_bytes__a=5.0)['avail_ratio{mount="a"}'])
    stand.row(size_bytes__a=50.0)
    assert stand.row(avail_bytes__a=5.0)['avail_ratio{mount="a"}'] == 0.1
    stand.row(size_bytes__a=0.0)
    assert np.isnan(stand.row(avail_bytes__a=5.0)['avail_ratio{mount="a"}'])


def test_labels_that_are_asked_for_by_name_need_not_be_equal() -> None:
    quota = derived('quota{type="used"}', 'quota{type="hard"}')
    index = SeriesIndex()
    series = SliSeries(index, [], [quota])
    slots = index.slots([labels("quota", type="used", team="a"), labels("quota", type="hard", team="a")])
    series.welcome(index.take_fresh())
    frame = series.beside(Frame(np.array([NOW]), slots, np.array([[3.0, 4.0]])))
    assert frame.values[0].tolist() == [3.0, 4.0, 0.75]
    assert quota.selector.matches(dict(index.labels(int(frame.slots[2]))))


def test_a_moment_is_judged_by_the_seconds_that_are_left() -> None:
    found = Stand(derived("cert_expiry")).row(cert_expiry__a=NOW + 3600)
    assert found['cert_expiry_left_seconds{mount="a"}'] == 3600.0


def test_a_slot_that_is_given_to_another_series_is_no_whole_any_more() -> None:
    stand = Stand(SPACE)
    stand.row(avail_bytes__a=5.0, size_bytes__a=50.0)
    stand.index.evict(0.0)
    stand.index.evict(2 * NOW)
    stand.row(load__a=7.0, temperature__a=8.0, speed__a=9.0)
    assert np.isnan(stand.row(avail_bytes__a=5.0)['avail_ratio{mount="a"}'])


def test_a_share_of_nothing_keeps_its_slot_while_its_part_lives() -> None:
    stand = Stand(SPACE)
    for minute in range(6):
        stand.row(avail_bytes__a=5.0)
        if minute % 2:
            gone = stand.index.evict(NOW)
            stand.series.forget(gone)
    others = {f"load__{n}": 1.0 for n in range(200)}
    found = stand.row(avail_bytes__a=5.0, **others)
    assert len(found) == 202
    assert np.isnan(found['avail_ratio{mount="a"}'])
    stand.row(size_bytes__a=50.0)
    assert stand.row(avail_bytes__a=5.0)['avail_ratio{mount="a"}'] == 0.1


def test_a_derived_series_that_was_forgotten_before_its_part_is_made_again() -> None:
    stand = Stand(SPACE)
    stand.row(avail_bytes__a=5.0, size_bytes__a=50.0)
    stand.index.evict(0.0)  # what was asked for stays once
    kept = stand.index.slots([labels("avail_bytes", mount="a"), labels("size_bytes", mount="a")])
    gone = stand.index.evict(NOW)
    assert len(gone) == 1
    stand.series.forget(gone)
    assert not set(stand.index.slots(labels("load", number=str(n)) for n in range(9))) & set(kept.tolist())
    assert stand.row(avail_bytes__a=5.0)['avail_ratio{mount="a"}'] == 0.1


def test_ready_limits_are_limits_and_those_declared_go_before_them() -> None:
    mine = {"name": "disk space", "match": "host_filesystem_free_ratio", "breach": {"below": 0.2}}
    config = config_of(ready_limits=list(READY), limits=[mine])
    named = {rule.name: rule for rule in rules_of(config) if rule.kind is AlertKind.LIMIT}
    assert len(named) == sum(map(len, READY.values()))
    assert named["disk space"].bound == 0.2
    assert len(derived_of(config)) == 12
    left = labels("probe_ssl_earliest_cert_expiry_left_seconds", instance="web")
    assert named["certificate"].selector.matches(dict(left))
    space = named["node disk space"].selector
    mount = {"__name__": "node_filesystem_avail_ratio", "mountpoint": "/"}
    assert space.matches({**mount, "fstype": "ext4"})
    assert not space.matches({**mount, "fstype": "tmpfs"})


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ({"match": '{job="a"}', "until": True}, "match has to name a metric"),
        ({"match": "a", "share_of": "b", "until": True}, "either share_of or until"),
    ],
)
def test_what_cannot_be_derived_is_refused(limit: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        config_of(limits=[{**limit, "breach": {"below": 1}}])
