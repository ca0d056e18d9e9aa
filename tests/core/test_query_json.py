"""The decoder of query answers: recorded ones, broken ones, and whatever hypothesis thinks of."""

from pathlib import Path

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.wire import WireError
from aiops.wire.query_json import Answer, decode, error_text

GOLDENS = Path(__file__).parent.parent / "contracts" / "goldens" / "query_json"


def answer(result: object, kind: str = "matrix", **more: object) -> bytes:
    return orjson.dumps({"status": "success", "data": {"resultType": kind, "result": result}} | more)


def matrix(*series: tuple[dict[str, str], list[list[object]]]) -> bytes:
    return answer([{"metric": m, "values": v} for m, v in series])


@pytest.mark.parametrize("path", sorted(GOLDENS.glob("*.json")), ids=lambda p: p.stem)
def test_recorded_answers(path: Path) -> None:
    """Each recording lies beside what it must decode to, as plain rows."""
    found = decode(path.read_bytes())
    expected = orjson.loads(path.with_suffix(".rows").read_bytes())
    rows = [
        [labels, found.times[a:b].tolist(), [str(v) for v in found.values[a:b]]]
        for labels, a, b in zip(found.labels, found.starts, found.starts[1:], strict=False)
    ]
    assert rows == expected


def test_recordings_exist() -> None:
    assert len(list(GOLDENS.glob("*.json"))) >= 6


def test_values_that_are_no_numbers_to_json() -> None:
    found = decode(matrix(({"a": "b"}, [[1, "NaN"], [2, "+Inf"], [3.5, "-Inf"], [4, "1e3"]])))
    assert found.times.tolist() == [1, 2, 3.5, 4]
    np.testing.assert_array_equal(found.values, [np.nan, np.inf, -np.inf, 1000])


def test_grid_of_series_with_gaps() -> None:
    found = decode(matrix(({"n": "a"}, [[1, "1"], [3, "3"]]), ({"n": "b"}, [[2, "20"], [3, "30"]])))
    times, values = found.grid()
    assert times.tolist() == [1, 2, 3]
    np.testing.assert_array_equal(values, [[1, np.nan], [np.nan, 20], [3, 30]])


def test_empty_answers() -> None:
    for body in (answer([]), answer([], "vector"), matrix(({}, []))):
        times, values = decode(body).grid()
        assert times.shape == (0,)
        assert values.shape[0] == 0


def test_scalar() -> None:
    found = decode(answer([1.5, "2"], "scalar"))
    assert (found.labels, found.times.tolist(), found.values.tolist()) == ([{}], [1.5], [2.0])


def test_native_histograms_are_left_out() -> None:
    series = [
        {"metric": {"a": "1"}, "histograms": [[1, {"count": "3"}]]},
        {"metric": {"b": "2"}, "values": []},
    ]
    assert decode(answer(series)).labels == [{"b": "2"}]


def test_warnings_and_partial_answers_are_told() -> None:
    assert decode(answer([], warnings=["slow"], infos=["hm"], isPartial=True)).warnings == (
        "slow",
        "hm",
        "the answer is partial",
    )


@pytest.mark.parametrize(
    ("body", "words", "offset"),
    [
        (b"", "not JSON", 0),
        (b'{"status":"success",}', "not JSON", 19),
        ('{"status":"é",}'.encode(), "not JSON", 14),
        (b'{"status":"\xff"}', "not JSON", 11),
        (matrix(({}, [[1, "1"]]))[:-6], "not JSON", len(matrix(({}, [[1, "1"]]))) - 6),
        (b"[]", "not a JSON object", 0),
        (b'{"status":"error","error":"no such metric"}', "no such metric", None),
        (b'{"status":"success"}', "data is missing", None),
        (answer({}), "data.result is no list", None),
        (answer([], "string"), "resultType is 'string'", None),
        (answer([3]), r"data\.result\[0\] has no metric", None),
        (answer([{"metric": {}, "values": 3}]), r"data\.result\[0\]\.values is no list", None),
        (answer([{"metric": {"a": 1}, "values": []}]), "label that is no text", None),
        (matrix(({}, []), ({}, [[1, "1"], [2, "x"]])), r"data\.result\[1\] sample 1", None),
        (matrix(({}, [[1, "1", 2]])), r"data\.result\[0\] sample 0", None),
        (matrix(({}, [[1, None]])), r"data\.result\[0\] sample 0", None),
        (matrix(({}, [["nan", "1"]])), "not finite", None),
        (matrix(({}, []), ({}, [[2, "1"], [2, "1"]]), ({}, [])), r"data\.result\[1\] has times", None),
    ],
)
def test_malformed_answers_say_where(body: bytes, words: str, offset: int | None) -> None:
    with pytest.raises(WireError, match=words) as caught:
        decode(body)
    assert 0 <= caught.value.offset <= len(body)
    if offset is not None:
        assert caught.value.offset == offset


def test_series_may_follow_each_other_with_earlier_times() -> None:
    found = decode(
        matrix(({}, []), ({"a": "1"}, [[5, "1"]]), ({}, []), ({"b": "1"}, [[1, "1"], [2, "2"]]), ({}, []))
    )
    assert found.starts.tolist() == [0, 0, 1, 1, 3, 3]


def test_error_text_of_anything() -> None:
    assert error_text(b'{"status":"error","error":"bad"}') == "bad"
    for body in (b"", b"<html>", b"[1]", b'{"error":3}'):
        assert error_text(body) == ""


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["status", "data", "resultType", "result", "metric", "values", "value", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
_result = st.lists(
    _json
    | st.fixed_dictionaries(
        {"metric": st.dictionaries(st.text(max_size=3), _json, max_size=2), "values": _json}
    )
    | st.fixed_dictionaries(
        {"metric": st.just({}), "values": st.lists(st.lists(_json, max_size=3), max_size=4)}
    ),
    max_size=4,
)
_documents = st.builds(answer, _result | _json, st.sampled_from(["matrix", "vector", "scalar", "string"]))


@given(st.binary() | _documents | st.builds(orjson.dumps, _json))
def test_nothing_but_a_wire_error(body: bytes) -> None:
    try:
        found = decode(body)
    except WireError:
        return
    assert isinstance(found, Answer)
    assert len(found.starts) == len(found.labels) + 1
    assert found.starts[-1] == len(found.times) == len(found.values)
    found.grid()


@given(_documents, st.data())
def test_cut_or_flipped_bytes(body: bytes, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(body) - 1))
    for broken in (body[:cut], body[:cut] + bytes([data.draw(st.integers(0, 255))]) + body[cut + 1 :]):
        why = refusal(broken)
        assert why is None or -1 <= why.offset <= len(broken)


def refusal(body: bytes) -> WireError | None:
    try:
        decode(body)
    except WireError as why:
        return why
    return None


_series = st.dictionaries(st.sampled_from("abc"), st.text(min_size=1, max_size=3), max_size=3)
_values = st.lists(st.tuples(st.integers(0, 2**40), st.floats()), max_size=8, unique_by=lambda p: p[0])


@given(st.lists(st.tuples(_series, _values.map(sorted)), max_size=5))
def test_round_trip(series: list[tuple[dict[str, str], list[tuple[int, float]]]]) -> None:
    body = matrix(
        *(
            (m, [[t / 1000, repr(v).replace("inf", "Inf").replace("nan", "NaN")] for t, v in p])
            for m, p in series
        )
    )
    found = decode(body)
    assert found.labels == [m for m, _ in series]
    np.testing.assert_array_equal(found.times, [t / 1000 for _, p in series for t, _ in p])
    np.testing.assert_array_equal(found.values, [v for _, p in series for _, v in p])
