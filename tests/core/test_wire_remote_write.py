"""Remote write 1.0 and 2.0: what is taken, by which rule, and what is refused where."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.model.frame import Frame
from aiops.model.series import Labels, SeriesIndex, labels_of
from aiops.wire import WireError
from aiops.wire._tracks import COUNTER
from aiops.wire.intake import Intake, Limits
from aiops.wire.remote_write import RemoteWrite
from tests.bench import gen

T = 1_760_000_000_000
STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
UP = [("__name__", "up"), ("job", "api")]
TOTAL = [("__name__", "requests_total"), ("job", "api")]


class Receiver:
    """An index, an intake and a decoder, and what came of it by label set."""

    def __init__(self, **settings: object) -> None:
        self.index = SeriesIndex()
        self.intake = Intake(self.index, **settings)  # type: ignore[arg-type]
        self.decoder = RemoteWrite(self.intake)

    def send(self, *series: object, version: int = 1, kind: int = 0) -> list[tuple[float, Labels, float]]:
        raw = gen.message(series) if version == 1 else gen.message_2(series, kind)  # type: ignore[arg-type]
        return self.seen(self.decoder.decode(gen.pack(raw), version))

    def seen(self, frames: list[Frame]) -> list[tuple[float, Labels, float]]:
        return [
            (float(f.times[0]), self.index.labels(int(slot)), float(value))
            for f in frames
            for slot, value in zip(f.slots, f.values[0], strict=True)
        ]


def only(pairs: gen.Pairs, *samples: gen.Sample) -> tuple[gen.Pairs, list[gen.Sample]]:
    return pairs, list(samples)


@pytest.mark.parametrize("version", [1, 2])
def test_a_gauge_comes_out_as_it_is_under_its_labels(version: int) -> None:
    one = Receiver()
    for tick in range(3):
        got = one.send(only(UP, (T + tick * 15000, 1.5 + tick)), version=version)
        assert got == [((T + tick * 15000) / 1000, labels_of(UP), 1.5 + tick)]
    assert len(one.index) == 1


@pytest.mark.parametrize("version", [1, 2])
def test_a_counter_comes_out_per_second_and_from_zero_after_a_restart(version: int) -> None:
    one = Receiver()
    values = [
        one.send(only(TOTAL, (T + k * 10000, v)), version=version) for k, v in enumerate([100.0, 150.0, 20.0])
    ]
    assert [[v for _, _, v in row] for row in values] == [[], [5.0], [2.0]]
    assert one.intake.tally.resets == 1


def test_no_rate_is_made_over_a_gap_or_across_the_end_of_a_series() -> None:
    one = Receiver()
    samples = [
        (T, 0.0),
        (T + 400_000, 1e6),
        (T + 410_000, 1e6 + 10),
        (T + 420_000, STALE),
        (T + 430_000, 5.0),
    ]
    got = [one.send(only(TOTAL, s)) for s in samples]
    assert [[v for _, _, v in row] for row in got] == [[], [], [1.0], [], []]
    assert one.intake.tally.stale == 1


def test_what_is_late_or_doubled_or_too_dense_is_left_out_and_counted() -> None:
    one = Receiver()
    times = [0, 0, 15000, 14000, 15500, 30000]
    got = [one.send(only(UP, (T + at, float(at)))) for at in times]
    assert [v for row in got for _, _, v in row] == [0.0, 15000.0, 30000.0]
    tally = one.intake.tally
    assert (tally.duplicate, tally.late, tally.dense) == (1, 1, 1)


def test_a_dense_counter_loses_no_increase() -> None:
    one = Receiver()
    one.send(only(TOTAL, (T, 0.0), (T + 400, 4.0)))
    assert [v for _, _, v in one.send(only(TOTAL, (T + 1000, 10.0)))] == [10.0]


def test_a_clock_that_was_set_back_starts_anew() -> None:
    one = Receiver()
    one.send(only(TOTAL, (T + 10**9, 100.0)))
    assert one.send(only(TOTAL, (T, 200.0))) == []
    assert [v for _, _, v in one.send(only(TOTAL, (T + 10_000, 210.0)))] == [1.0]
    assert one.intake.tally.set_back == 1


def test_a_set_back_clock_never_puts_a_slot_into_a_frame_twice() -> None:
    one = Receiver()
    frames = one.decoder.decode(gen.pack(gen.message([only(UP, (T, 1.0), (T - 10**7, 2.0), (T, 3.0))])))
    for frame in frames:
        assert len(set(frame.slots.tolist())) == len(frame.slots)


def test_numbers_that_are_none_are_left_out() -> None:
    one = Receiver()
    assert one.send(only(UP, (T, np.nan), (T + 2000, np.inf))) == []
    assert one.intake.tally.not_finite == 2


def test_samples_of_one_message_come_out_in_frames_of_one_time_ascending() -> None:
    one = Receiver()
    times = [T + 9000, T + 1200, T + 1900, T + 5000]
    series = [only([("__name__", f"m{k}")], (at, 1.0)) for k, at in enumerate(times)]
    frames = one.decoder.decode(gen.pack(gen.message(series)))
    assert [f.times[0] for f in frames] == [(T + 1000) / 1000, (T + 5000) / 1000, (T + 9000) / 1000]
    assert [len(f.slots) for f in frames] == [2, 1, 1]


def buckets(at: int, **counts: float) -> list[tuple[gen.Pairs, list[gen.Sample]]]:
    return [
        only(
            [
                ("__name__", "lat_bucket"),
                ("job", "api"),
                ("le", le.strip("_").replace("inf", "+Inf").replace("_", ".")),
            ],
            (at, n),
        )
        for le, n in counts.items()
    ]


@pytest.mark.parametrize("version", [1, 2])
def test_a_histogram_comes_out_as_quantiles_of_what_was_observed_since(version: int) -> None:
    one = Receiver()
    assert one.send(*buckets(T, _0_1=10, _0_5=10, _inf=10), version=version) == []
    got = one.send(*buckets(T + 15000, _0_1=60, _0_5=110, _inf=110), version=version)
    named = {dict(labels)["quantile"]: value for _, labels, value in got}
    assert {dict(labels)["__name__"] for _, labels, _ in got} == {"lat"}
    # 100 observations: 50 up to 0.1, 50 between 0.1 and 0.5
    assert named == pytest.approx({"0.5": 0.1, "0.9": 0.1 + 0.4 * 0.8, "0.99": 0.1 + 0.4 * 0.98})


def test_buckets_may_come_in_any_order_and_in_several_messages() -> None:
    one = Receiver()
    for bucket in buckets(T, _0_5=10, _inf=10, _0_1=10):
        one.send(bucket)
    parts = [one.send(b) for b in buckets(T + 15000, _inf=110, _0_1=60, _0_5=110)]
    assert parts[0] == parts[1] == []
    assert [round(v, 3) for _, _, v in parts[2]] == [0.1, 0.42, 0.492]


def test_an_idle_histogram_gives_no_number_but_is_seen() -> None:
    one = Receiver()
    one.send(*buckets(T, _0_1=10, _inf=10))
    frame = one.decoder.decode(gen.pack(gen.message(buckets(T + 15000, _0_1=10, _inf=10))))[0]
    assert np.isnan(frame.values).all()
    assert len(frame.slots) == 3


def test_a_scrape_with_a_bucket_missing_gives_no_quantiles() -> None:
    one = Receiver()
    one.send(*buckets(T, _0_1=10, _0_5=20, _inf=20))
    one.send(*buckets(T + 15000, _0_1=20, _inf=40))
    assert len(one.send(*buckets(T + 30000, _0_1=30, _0_5=60, _inf=60))) == 3
    assert one.intake.tally.incomplete == 1


def test_types_that_the_sender_tells_outweigh_names() -> None:
    one = Receiver()
    odd = [("__name__", "jobs_count")]
    for k in range(2):
        got = one.send(only(odd, (T + 10_000 * k, 50.0)), version=2, kind=2)
    assert [v for _, _, v in got] == [50.0]
    metadata = gen.field(3, b"\x08\x01" + gen.field(2, b"plain"))
    plain = [("__name__", "plain")]
    assert [v for _, _, v in one.send(only(plain, (T, 10.0)))] == [10.0]
    one.decoder.decode(gen.pack(metadata))
    assert one.send(only(plain, (T + 10_000, 20.0))) == []
    assert [v for _, _, v in one.send(only(plain, (T + 20_000, 40.0)))] == [2.0]


def test_our_labels_stand_in_for_those_sent() -> None:
    one = Receiver(extra={"job": "ours", "team": "web"})
    got = one.send(only(UP, (T, 1.0)), only([("__name__", "up"), ("job", "b")], (T, 2.0)))
    # two series have become one: the newer spelling feeds it
    assert got == [(T / 1000, labels_of({"__name__": "up", "job": "ours", "team": "web"}), 2.0)]


def test_series_beyond_the_cap_are_not_taken_and_the_others_go_on() -> None:
    one = Receiver(limits=Limits(series=2))
    series = [only([("__name__", f"m{k}")], (T, 1.0)) for k in range(5)]
    assert len(one.send(*series)) == 2
    assert one.intake.tally.over_cap == 3
    later = [only([("__name__", f"m{k}")], (T + 15000, 1.0)) for k in range(5)]
    assert len(one.send(*later)) == 2


@pytest.mark.parametrize(
    "pairs",
    [
        [("__name__", "m"), ("a", "x" * 20_000)],
        [("__name__", "m"), *((f"l{k}", "v") for k in range(70))],
        [("__name__", "m"), ("a", "1"), ("a", "2")],
    ],
)
@pytest.mark.parametrize("version", [1, 2])
def test_labels_beyond_the_limits_are_refused_and_the_others_go_on(pairs: gen.Pairs, version: int) -> None:
    one = Receiver()
    assert len(one.send(only(pairs, (T, 1.0)), only(UP, (T, 1.0)), version=version)) == 1
    assert one.intake.tally.refused == 1


def test_an_evicted_series_gives_its_slot_to_another_without_a_mix_up() -> None:
    one = Receiver()
    one.send(only(UP, (T, 1.0)), only(TOTAL, (T, 1.0)))
    one.index.evict(0.0)
    assert len(one.index.evict(1e12)) == 2
    elsewhere = one.index.slots([labels_of({"__name__": "other"}), labels_of({"__name__": "more"})])
    got = one.send(only(UP, (T + 15000, 7.0)))
    assert [(labels, v) for _, labels, v in got] == [(labels_of(UP), 7.0)]
    assert not set(elsewhere.tolist()) & {one.index.find(labels_of(UP))}


def test_series_that_come_when_others_went_are_taken_wherever_they_are_put() -> None:
    """One may get the very track and slot that an old one had: it is no second spelling of it."""
    one = Receiver()
    for round_ in range(40):
        at = T + round_ * 15_000
        series = [only([("__name__", "m"), ("pod", f"{round_}-{k}")], (at, float(k))) for k in range(7)]
        assert [v for _, _, v in one.send(*series)] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
        one.index.touch(one.index.live(), at / 1000)
        one.index.evict(0.0)
        one.index.evict(at / 1000 - (round_ % 3) * 15.0 + 1.0)


def test_a_type_told_of_a_slot_that_another_source_took_over_changes_nothing_of_ours() -> None:
    one = Receiver()
    one.send(only(UP, (T, 1.0)))
    one.index.evict(0.0)
    one.index.evict(1e12)
    one.index.slot(labels_of(UP))
    other = [("__name__", "free_bytes")]
    one.send(only(other, (T, 5.0)))
    one.intake.learn_types({"up": COUNTER})
    assert [v for _, _, v in one.send(only(other, (T + 15_000, 7.0)))] == [7.0]


@pytest.mark.parametrize("version", [1, 2])
def test_new_series_are_expected_after_their_neighbours_in_the_message(version: int) -> None:
    one = Receiver()
    here = [[("__name__", "up"), ("pod", f"p{k}")] for k in range(6)]
    for pods in (here[:2], [here[0], here[2], here[3], here[1], here[4]], here):
        one.send(*(only(pod, (T, 1.0), (T + 1000, 1.0)) for pod in pods), version=version)
        rows = one.intake.tracks.rows
        ref_of = {int(rows["slot"][ref]): int(ref) for ref in one.intake.tracks.refs()}
        refs = [ref_of[one.index.find(labels_of(pod))] for pod in pods]  # type: ignore[index]
        assert rows["next"][refs[:-1]].tolist() == refs[1:], "none is its own neighbour by its two samples"


def test_tracks_and_pairs_of_evicted_series_are_given_back() -> None:
    one = Receiver()
    for tick in range(20):
        series = [
            only([("__name__", "m"), ("pod", f"{tick}-{k}")], (T + tick * 15000, 1.0)) for k in range(50)
        ]
        series += buckets(T + tick * 15000, _0_1=tick, _inf=tick)
        one.send(*series)
        one.index.touch(one.index.live(), 0.0)
        one.index.evict(1.0)
        one.index.evict(1.0)
    assert one.intake.tracks.used <= 2 * 52
    assert len(one.index.pairs) <= 2 * 60
    assert len(one.intake.histograms.groups) <= 16


def good(version: int) -> bytes:
    series = [only(UP, (T, 1.0)), only(TOTAL, (T, 2.0))]
    return gen.message(series) if version == 1 else gen.message_2(series)


def refused(one: Receiver, raw: bytes, version: int) -> int | None:
    """The offset of the fault, or None when it was taken."""
    try:
        frames = one.decoder.decode(gen.pack(raw), version)
    except WireError as bad:
        return bad.offset
    for frame in frames:
        assert frame.slots.min() >= 0
        assert frame.slots.max() < one.index.capacity
    return None


@pytest.mark.parametrize("version", [1, 2])
def test_every_cut_message_is_refused_with_an_offset_and_takes_nothing(version: int) -> None:
    whole = good(version)
    ends = {len(gen.message([only(UP, (T, 1.0))]))} if version == 1 else set()
    for end in range(1, len(whole)):
        one = Receiver()
        if (offset := refused(one, whole[:end], version)) is not None:
            assert 0 <= offset <= end
            assert len(one.index) == 0
        else:
            assert end in ends or version == 2


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (gen.field(1, gen.sample(T, 1.0)), "without labels"),
        (gen.field(1, gen.labels(UP) + gen.sample(0, 1.0)), "without a time"),
        (gen.field(1, gen.labels(UP) + gen.sample(T, 1.0) + gen.labels(UP)), "before the samples"),
        (
            gen.field(1, gen.field(1, gen.field(1, b"\xff") + gen.field(2, b"v")) + gen.sample(T, 1.0)),
            "UTF-8",
        ),
        (gen.field(1, gen.field(1, gen.field(2, b"v")) + gen.sample(T, 1.0)), "no name"),
        (b"\xff" * 30, "cut off"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(raw: bytes, words: str) -> None:
    one = Receiver()
    with pytest.raises(WireError, match=words) as caught:
        one.decoder.decode(gen.pack(raw))
    assert caught.value.offset >= 0
    assert [v for _, _, v in one.send(only(UP, (T, 1.0)))] == [1.0]


SYMBOLS = b"".join(gen.field(4, word) for word in (b"", b"__name__", b"up", b"job"))


@pytest.mark.parametrize(
    ("refs", "words"),
    [
        (b"", "without labels"),
        (b"\x01\x02\x03", "odd number"),
        (b"\x01\x02\x03\x09", "not sent before"),
        (b"\x01\x02\x03\xd9", "cut off"),
        (b"\x00\x02", "no name"),
    ],
)
def test_references_that_lead_nowhere_are_refused(refs: bytes, words: str) -> None:
    raw = SYMBOLS + gen.field(5, gen.field(1, refs) + gen.sample(T, 1.0))
    with pytest.raises(WireError, match=words) as caught:
        Receiver().decoder.decode(gen.pack(raw), 2)
    assert caught.value.offset >= 0


def test_a_bomb_is_not_unpacked() -> None:
    one = Receiver()
    one.decoder = RemoteWrite(one.intake, most_bytes=1000)
    with pytest.raises(WireError, match="more than 1000"):
        one.decoder.decode(gen.pack(b"\x0a" * 100_000))
    with pytest.raises(WireError, match="more than"):
        one.decoder.decode(b"\xff\xff\xff\xff\x0f")
    with pytest.raises(WireError, match="snappy"):
        one.decoder.decode(b"\x10nothing of the kind")


sample_lists = st.lists(st.tuples(st.integers(1, 2**45), st.floats()), max_size=3)
names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8)
values = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
series_lists = st.lists(
    st.tuples(st.dictionaries(names, values, min_size=1, max_size=4), sample_lists), max_size=8
)


@settings(max_examples=150, deadline=None)
@given(series_lists, st.sampled_from([1, 2]))
def test_both_versions_give_what_was_written(
    series: list[tuple[dict[str, str], list[gen.Sample]]], version: int
) -> None:
    one = Receiver(resolution=0.001)
    raw = [(sorted(labels.items()), samples) for labels, samples in series]
    one.send(*raw, version=version)
    assert {labels for _, labels in one.index.items()} <= {labels_of(labels) for labels, _ in series}
    assert one.intake.tally.samples == sum(len(samples) for _, samples in series)


@settings(max_examples=300, deadline=None)
@given(st.data(), st.sampled_from([1, 2]))
def test_no_mutation_of_a_message_does_more_than_be_refused(data: st.DataObject, version: int) -> None:
    raw = bytearray(good(version))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    one = Receiver()
    offset = refused(one, bytes(raw), version)
    assert offset is None or offset >= 0
