"""Remote read: what is asked, chunks and samples against a naive encoder, and what is refused where."""

import struct

import cramjam
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.model.selector import Selector
from aiops.wire import WireError, remote_read
from aiops.wire._protobuf import fields
from aiops.wire._remote_read import crc32c
from tests.bench import gen
from tests.bench.xor import xor_chunk

T = 1_760_000_000_000
CHUNKED = remote_read.STREAMED + "; proto=prometheus.ChunkedReadResponse"
UP = [("__name__", "up"), ("job", "api")]


def frame(*series: tuple[gen.Pairs, list[list[gen.Sample]]]) -> bytes:
    """One frame of a streamed answer; each series with its chunks."""
    body = b"".join(
        gen.field(
            1,
            gen.labels(pairs)
            + b"".join(gen.field(2, b"\x18\x01" + gen.field(4, xor_chunk(c))) for c in chunks),
        )
        for pairs, chunks in series
    )
    buffer = np.frombuffer(body + bytes(64), np.uint8).copy()
    return gen.varint(len(body)) + struct.pack(">I", int(crc32c(buffer, 0, len(body)))) + body


def read(body: bytes, kind: str = CHUNKED, start: int = 0, end: int = 1 << 62) -> dict[str, list[gen.Sample]]:
    answer = remote_read.decode(body, kind, start, end)
    return {
        "|".join(f"{k}={v}" for k, v in labels.items()): list(
            zip(
                np.round(answer.times[a:b] * 1000).astype(int).tolist(),
                answer.values[a:b].tolist(),
                strict=True,
            )
        )
        for labels, a, b in zip(answer.labels, answer.starts, answer.starts[1:], strict=False)
    }


def test_the_checksum_is_castagnolis() -> None:
    assert int(crc32c(np.frombuffer(b"123456789" + bytes(64), np.uint8).copy(), 0, 9)) == 0xE3069283


def test_what_is_asked() -> None:
    plain = cramjam.snappy.decompress_raw(
        remote_read.request(Selector.parse('up{job!="b",a=~"x|y",c!~"z"}').matchers, 5, 300)
    )
    data = memoryview(bytes(plain))
    query, *kinds = fields(data, 0, len(data))
    assert [(number, value) for number, value, _, _ in kinds] == [(2, 1), (2, 0)]
    found = list(fields(data, query[2], query[3]))
    assert [value for number, value, _, _ in found if number in (1, 2)] == [5, 300]
    matchers = [
        [
            value if number == 1 else bytes(data[a:b]).decode()
            for number, value, a, b in fields(data, start, end)
        ]
        for number, _, start, end in found
        if number == 3
    ]
    assert matchers == [[0, "__name__", "up"], [1, "job", "b"], [2, "a", "x|y"], [3, "c", "z"]]


values = st.one_of(
    st.floats(allow_nan=False), st.sampled_from([0.0, -0.0, 1.0, 1e308, 5e-324, 1.5, 2.5, 1e9 + 1e-3])
)
gaps = st.one_of(st.just(15000), st.integers(1, 2**40), st.integers(14_000, 16_000))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(gaps, values), min_size=1, max_size=60), st.integers(1, 60))
def test_chunks_are_read_as_they_were_written(steps: list[tuple[int, float]], cut: int) -> None:
    samples, at = [], T
    for gap, value in steps:
        at += gap
        samples.append((at, value))
    chunks = [one for one in (samples[:cut], samples[cut:]) if one]
    assert read(frame((UP, chunks)), end=1 << 62) == {"__name__=up|job=api": samples}


def test_a_series_that_is_split_over_frames_is_one_and_in_order() -> None:
    first, second, third = ([(T + k * 1000 + j, float(j)) for j in range(5)] for k in range(3))
    other = [("__name__", "up"), ("job", "b")]
    body = frame((UP, [second]), (other, [first])) + frame((UP, [third, first, first[:1]]))
    assert read(body) == {"__name__=up|job=api": first + second + third, "__name__=up|job=b": first}
    assert read(body, start=T + 1001, end=T + 1002)["__name__=up|job=api"] == second[1:3]


def test_an_answer_of_samples() -> None:
    series = gen.field(1, gen.labels(UP) + gen.sample(T, 1.5) + gen.sample(T + 1, 2.5))
    body = gen.pack(gen.field(1, series))
    assert read(body, "application/x-protobuf") == {"__name__=up|job=api": [(T, 1.5), (T + 1, 2.5)]}
    assert read(gen.pack(b""), "application/x-protobuf") == read(b"") == {}


def test_more_than_was_made_room_for() -> None:
    series = [([("__name__", f"m{k}")], [[(T, 1.0)] * 1]) for k in range(3000)]
    assert len(read(frame(*series))) == 3000
    many = [(T + k, 1.0) for k in range(60_000)]
    assert read(frame((UP, [many])))["__name__=up|job=api"] == many


def refused(body: bytes, kind: str = CHUNKED) -> int | None:
    try:
        remote_read.decode(body, kind, 0, 1 << 62)
    except WireError as bad:
        return bad.offset
    return None


def test_every_cut_and_every_flipped_byte_of_a_frame_is_refused() -> None:
    whole = frame((UP, [[(T + k, float(k)) for k in range(9)]]))
    for end in range(1, len(whole)):
        assert refused(whole[:end]) == 0
        flipped = whole[:end] + bytes([whole[end] ^ 1]) + whole[end + 1 :]
        assert refused(flipped) == 0


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_mutation_of_a_chunk_does_more_than_be_refused(data: st.DataObject) -> None:
    body = bytearray(frame((UP, [[(T + 7 * k * k, k**0.5) for k in range(30)]]))[6:])
    for _ in range(data.draw(st.integers(1, 6))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    buffer = np.frombuffer(bytes(body) + bytes(64), np.uint8).copy()
    whole = gen.varint(len(body)) + struct.pack(">I", int(crc32c(buffer, 0, len(body)))) + bytes(body)
    offset = refused(whole)
    assert offset is None or 0 <= offset <= len(whole)


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (b"plain", "application/x-protobuf", "snappy"),
        (
            gen.pack(gen.field(1, gen.field(1, gen.sample(T, 1.0)))),
            "application/x-protobuf",
            "without labels",
        ),
        (b"\xff\xff\xff\xff\x0f", "application/x-protobuf", "more than"),
        (b"\x05abcd", CHUNKED, "cut off"),
        (b"\x01\x00\x00\x00\x00\x0a", CHUNKED, "checksum"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(body: bytes, kind: str, words: str) -> None:
    with pytest.raises(WireError, match=words) as caught:
        remote_read.decode(body, kind, 0, 1 << 62)
    assert caught.value.offset >= 0
